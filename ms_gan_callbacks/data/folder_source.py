"""A source of images of a folder that is larger than memory: files are decoded as they are needed.

::

    the first time    all files are decoded once: damaged ones are left out, the digest is computed
    later             the results are read from the cache, unless a file has another size or time
    each batch        its files are decoded by a few threads, while the previous batch is used
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic

import numpy as np
import platformdirs
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import begin_digest, shuffle_batches
from ms_gan_callbacks.data.decoding import explain_damage, read_parts
from ms_gan_callbacks.data.protocol import LABELS, REAL, Columns, to_unit
from ms_gan_callbacks.errors import DataError
from ms_gan_callbacks.storage.files import replace_file, to_json

THREADS = min(4, os.cpu_count() or 1)
CHUNK = 256
"""Files that are decoded at a time by the first look."""
PROGRESS_SECONDS = 2.0
FORMAT = 1


@dataclass(frozen=True)
class Decoder:
    """Decodes files to pixels of one size.

    Attributes:
        size: height and width.
        grey: whether to convert to grey.
    """

    size: int
    grey: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image, (C, H, W)."""
        return (1 if self.grey else 3, self.size, self.size)

    def read(self, file: Path) -> NDArray[np.uint8]:
        """Return the pixels of a file, (C, H, W)."""
        pixels: NDArray[np.uint8] = read_parts(file, self.size, self.grey, 1)[0]
        return pixels

    def try_read(self, file: Path) -> NDArray[np.uint8] | str:
        """Return the pixels of a file, or a description of its damage."""
        try:
            return self.read(file)
        except Exception as error:  # Pillow's readers raise many types
            return explain_damage(error, file)


@dataclass(frozen=True)
class Look:
    """The results of decoding all files once.

    Attributes:
        sha256: the digest of the pixels of all intact files, as that of an :class:`ArraySource` of them.
        damaged: a description of the damage of each damaged file, by index.
    """

    sha256: str
    damaged: dict[int, str]


def look_at(name: str, files: Sequence[Path], decoder: Decoder) -> Look:
    """Decode all files once, or return the results of an earlier time; print a line of progress meanwhile."""
    key = _hash_listing(files, decoder)
    path = Path(platformdirs.user_cache_dir("ms_gan_callbacks", appauthor=False)) / "folders" / f"{key[:32]}.json"
    found = _load(path, key)
    if found is None:
        found = _decode_all(name, files, decoder, {})
        with suppress(OSError):
            damaged = {str(number): why for number, why in found.damaged.items()}
            replace_file(path, to_json({"key": key, "sha256": found.sha256, "damaged": damaged}))
    return found


def _hash_listing(files: Sequence[Path], decoder: Decoder) -> str:
    digest = hashlib.sha256(f"{FORMAT} {decoder}\n".encode())
    for file in files:
        with suppress(OSError):
            status = file.stat()
            digest.update(f"{file.absolute()}\0{status.st_size} {status.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()


def _load(path: Path, key: str) -> Look | None:
    try:
        content = json.loads(path.read_bytes())
        damaged = {int(number): str(why) for number, why in content["damaged"].items()}
        return Look(str(content["sha256"]), damaged) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _decode_all(name: str, files: Sequence[Path], decoder: Decoder, known: dict[int, str]) -> Look:
    """Decode all files except those that are known to be damaged; once more if others are.

    The digest begins with the number of intact images, so they must be counted before.
    """
    wanted = [number for number in range(len(files)) if number not in known]
    digest = begin_digest("uint8", (len(wanted), *decoder.shape))
    damaged, progress = dict(known), _Progress(name, len(wanted))
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(wanted), CHUNK):
            some = wanted[start : start + CHUNK]
            for number, pixels in zip(some, pool.map(decoder.try_read, [files[one] for one in some]), strict=True):
                if isinstance(pixels, str):
                    damaged[number] = pixels
                else:
                    digest.update(np.ascontiguousarray(pixels).data)
            progress.show(start + len(some))
    progress.end()
    more = len(damaged) > len(known) and 2 * len(damaged) < len(files)
    return _decode_all(name, files, decoder, damaged) if more else Look(digest.hexdigest(), damaged)


class _Progress:
    """A line of progress on a terminal, or one line per minute in a log."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._at = name, total, monotonic()
        self._interval = PROGRESS_SECONDS if sys.stderr.isatty() else 60.0
        self._shown = False

    def show(self, done: int) -> None:
        if monotonic() - self._at >= self._interval:
            self._at, self._shown = monotonic(), True
            start, end = ("\r", "") if sys.stderr.isatty() else ("", "\n")
            line = f"{self._name}: {done:,} of {self._total:,} images checked, once"
            print(f"{start}{line}", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class FolderSource:
    """A :class:`Source` of image files, of which only a few batches are in memory.

    Its batches are those of an :class:`ArraySource` with the same images, in the same order.

    Args:
        files: the files.
        decoder: decodes them.
        batch_size: images per batch.
        sha256: the digest of all pixels.
        labels: one per file, or None.
        name: name of the source in logs.

    Raises:
        DataError: the files do not fill a batch; while iterating, a file can no longer be read.
    """

    def __init__(
        self,
        files: Sequence[Path],
        decoder: Decoder,
        batch_size: int,
        sha256: str,
        *,
        labels: NDArray[np.int64] | None,
        name: str,
    ) -> None:
        self.name, self.labels, self.batch_size = name, labels, batch_size
        self.count, self.image_shape = len(files), tuple(decoder.shape)
        self.steps_per_epoch = self.count // batch_size
        if not self.steps_per_epoch:
            raise DataError(f"{name}: {self.count} images do not fill one batch of {batch_size}")
        self._files, self._decoder, self._sha256 = list(files), decoder, sha256
        self._rows = slice(None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a batch: ``("real",)``, or ``("real", "labels")``."""
        return (REAL,) if self.labels is None else (REAL, LABELS)

    def sha256(self) -> str:
        """Return the hex digest of the images' type, shape and values, without the labels."""
        return self._sha256

    def divide(self, rank: int, size: int) -> FolderSource:
        """Return a source of the rows of one rank of each batch, so that ranks do not decode those of others."""
        part, count = copy.copy(self), self.batch_size // size
        part._rows = slice(rank * count, (rank + 1) * count)
        return part

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
        """See :meth:`Source.batches`; starting at any batch costs nothing.

        Raises:
            DataError: ``epoch`` or ``start`` is out of range, or a file can no longer be read.
        """
        return self._decode(one[self._rows] for one in shuffle_batches(self, seed, epoch, start))

    def _decode(self, places: Iterator[NDArray[np.int64]]) -> Iterator[Columns]:
        """Yield batches; the next one is decoded meanwhile."""
        with ThreadPoolExecutor(THREADS) as pool:
            waiting: list[tuple[NDArray[np.int64], list[Future[NDArray[np.uint8]]]]] = []
            while True:
                for indices in islice(places, 2 - len(waiting)):
                    waiting.append((indices, [pool.submit(self._read, int(index)) for index in indices]))
                if not waiting:
                    return
                indices, pixels = waiting.pop(0)
                yield self._assemble(indices, [one.result() for one in pixels])

    def _read(self, index: int) -> NDArray[np.uint8]:
        try:
            return self._decoder.read(self._files[index])
        except Exception as error:
            why = explain_damage(error, self._files[index])
            raise DataError(f"{self._files[index]} was intact and can no longer be read: {why}") from error

    def _assemble(self, indices: NDArray[np.int64], pixels: Sequence[NDArray[np.uint8]]) -> Columns:
        batch: Columns = {REAL: to_unit(np.stack(pixels))}
        return batch if self.labels is None else {**batch, LABELS: self.labels.take(indices)}
