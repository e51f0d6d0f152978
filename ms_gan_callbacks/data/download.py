"""MNIST's files from a mirror into the user's cache folder: checked by their content, never half-written."""

from __future__ import annotations

import hashlib
import os
import queue
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

from ms_gan_callbacks.data.idx import unpack
from ms_gan_callbacks.errors import DataError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


class Known(NamedTuple):
    """What an unpacked file must be."""

    size: int
    sha256: str


KNOWN = {
    "train-images-idx3-ubyte": Known(
        47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": Known(60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": Known(7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": Known(10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}

SILENCE = 5.0  # seconds without an answer, or without the next bytes, after which a mirror is given up
PATIENCE = 300.0  # seconds one file may take in all
_CHUNK = 1 << 16
_FAULTS = (OSError, HTTPException, ValueError, DataError)  # what a network and a mirror can do to us

Report = Callable[[str, int, int], None]  # file name, bytes so far, bytes in all or 0


def check(packed: bytes, name: str) -> None:
    """Refuse gzipped bytes whose content is not exactly the known file ``name``.

    Raises:
        DataError: the bytes are damaged or are something else.
    """
    content = unpack(packed, name, KNOWN[name].size)
    if hashlib.sha256(content).hexdigest() != KNOWN[name].sha256:
        raise DataError(f"{name}: is not MNIST's file of that name (sha256 differs)")


def download(names: Iterable[str], folder: Path) -> None:
    """Put the named files, gzipped, into ``folder``; a mirror is left at its first failure.

    Raises:
        DataError: no mirror gave them, or the folder cannot be written; one line says why.
    """
    missing, reasons = list(names), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _Progress() as report:
            for mirror in MIRRORS:
                try:
                    while missing:
                        packed = _fetch(mirror, missing[0], report)
                        _write(folder / f"{missing[0]}.gz", packed)
                        missing.pop(0)
                    return
                except _MirrorError as error:
                    reasons.append(str(error))
    except OSError as error:
        raise DataError(f"cache folder {folder} cannot be written ({error.strerror or error})") from error
    raise DataError("no mirror could be used: " + "; ".join(reasons))


class _MirrorError(Exception):
    """What is wrong with a mirror, in a few words."""


def _fetch(mirror: str, name: str, report: Report) -> bytes:
    """One file of one mirror, gzipped, its content checked."""
    try:
        with _open(f"{mirror}{name}.gz") as response:
            packed = _receive(response, name, report)
        check(packed, name)
    except _FAULTS as error:
        cause = error.reason if type(error) is URLError else error
        raise _MirrorError(f"{mirror.split('/')[2]}: {cause}") from error
    return packed


def _open(url: str) -> Any:
    """``urlopen``, given up after ``SILENCE`` in all.

    Its own timeout counts for each address of a host anew and not at all while a name is looked up, so
    a machine without a network could wait a minute; hence a thread that may be left behind.
    """
    answer: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answer.put(urllib.request.urlopen(url, timeout=SILENCE))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        response = answer.get(timeout=SILENCE + 1)
    except queue.Empty as error:
        raise TimeoutError("no answer") from error
    if isinstance(response, Exception):
        raise response
    return response


def _receive(response: Any, name: str, report: Report) -> bytes:
    """The body, never more than the unpacked file would be (gzip does not double what it cannot shrink)."""
    total = int(response.headers.get("Content-Length") or 0)
    limit, deadline = KNOWN[name].size + _CHUNK, time.monotonic() + PATIENCE
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        report(name, len(body), total)
        if len(body) > limit:
            raise DataError(f"{name}: sends more than the expected {limit:,} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name}: not complete after {PATIENCE:.0f} s")
    return bytes(body)


def _write(path: Path, content: bytes) -> None:
    """Write all or nothing: under another name first, on disk before it is given its own."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:  # Ctrl-C too must not leave the partial file
        Path(partial).unlink(missing_ok=True)
        raise


class _Progress:
    """A bar on stderr where somebody can see it, nothing in a log or a pipe."""

    def __enter__(self) -> Report:
        self._bars: Any = None
        if sys.stderr is None or not sys.stderr.isatty():
            return lambda name, done, total: None
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        text = TextColumn("{task.description}")
        self._bars = Progress(text, BarColumn(), DownloadColumn(), console=Console(stderr=True), transient=True)
        self._bars.start()
        self._task = self._bars.add_task("MNIST")
        return self._show

    def _show(self, name: str, done: int, total: int) -> None:
        self._bars.update(self._task, description=name, completed=done, total=total or None)

    def __exit__(self, *failure: object) -> None:
        if self._bars is not None:
            self._bars.stop()
