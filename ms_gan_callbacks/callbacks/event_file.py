"""TensorBoard event files, written in the caller's thread."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import monotonic, time
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ms_gan_callbacks.callbacks.tensorboardx import Event, EventsWriter, Summary, masked_crc32c
from ms_gan_callbacks.errors import warn
from ms_gan_callbacks.storage.files import list_folder, replace_file

OURS = ".ms-gan"
"""File name suffix of this package's event files; other programs may write event files to the same folder."""


class EventFile:
    """Appends summaries to a new event file in a folder.

    tensorboardX's ``SummaryWriter`` passes events to a thread through a short queue. If the disk is full, the
    thread dies without an error, the queue fills up, and training hangs. Writing to a buffered file is as fast,
    and errors are raised in the caller.

    Args:
        folder: the log directory; created if it does not exist.
        suffix: part of the file name, which otherwise is unique only to the second.
        flush_seconds: maximum time that events other than the newest stay in the buffer.

    Raises:
        OSError: the folder or the file cannot be written; also raised by every method.
    """

    def __init__(self, folder: Path, suffix: str, flush_seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(os.fspath(folder / "events"), suffix + OURS)
        self._pending: list[tuple[float, int, Any]] = []
        self._flush_seconds, self._flush_at = flush_seconds, 0.0

    def add(self, summaries: Iterable[Any], step: int) -> None:
        """Append summaries of a step: scalars by tag, or what the functions of ``tensorboardX.summary`` return."""
        now = time()
        self._pending += [(now, step, summary) for summary in summaries]
        if monotonic() >= self._flush_at:
            self.flush()
            self._flush_at = monotonic() + self._flush_seconds

    def flush(self) -> None:
        """Write the buffer to the file."""
        # Encoded together: one after the other is several times as fast as each after a training step, which
        # evicts the processor's caches.
        pending, self._pending = self._pending, []
        for wall_time, step, summary in pending:
            self._file.write_event(Event(wall_time=wall_time, step=step, summary=_make_summary(summary)))
        self._file.flush()

    def close(self) -> None:
        """Write the buffer and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()


def _make_summary(summary: Any) -> Any:
    """Return a summary; scalars become one, because of MindSpore's slow choice of protobuf's implementation."""
    if not isinstance(summary, Mapping):
        return summary
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in summary.items()])


def drop_events_after(folder: Path, step: int) -> None:
    """Remove the events after a step from a folder's event files, so that a resumed run has a single curve.

    Incomplete records and files without events are removed, too. Files are replaced atomically; files that were
    not written by :class:`EventFile` are left unchanged.

    Raises:
        OSError: a file cannot be read or written.
    """
    try:
        found = list_folder(folder)
    except FileNotFoundError:
        return
    for path in found:
        if not path.name.endswith(OURS) or path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        try:
            events = [(Event.FromString(record), frame) for record, frame in _read_records(content)]
        except (DecodeError, ValueError):
            warn(f"{path} is damaged and left unchanged")
            continue
        kept = [(event, frame) for event, frame in events if event.step <= step]
        if all(event.HasField("file_version") for event, _ in kept):
            path.unlink()
        elif (rest := b"".join(frame for _, frame in kept)) != content:
            replace_file(path, rest)


def _read_records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records and frames of a TFRecord file: length (8 bytes), checksum (4), record, checksum (4)."""
    start = 0
    while start + 12 <= len(content):
        length, checksum = struct.unpack_from("<QI", content, start)
        if checksum != masked_crc32c(content[start : start + 8]):
            raise ValueError(f"the length at byte {start:,} is damaged")
        end = start + 12 + length + 4
        if end > len(content):
            return
        yield content[start + 12 : end - 4], content[start:end]
        start = end
