"""A source of several columns in memory, in one order or each in its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import convert_images, hash_rows, take_rows
from ms_gan_callbacks.data.columns import find_main, locate_column
from ms_gan_callbacks.data.protocol import LABELS, Columns, check_place, check_usual_range, check_whole
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import DataError


class ColumnSource:
    """A :class:`Source` backed by one array per column; see :func:`pairs` and :func:`unpaired`.

    Args:
        arrays: the columns by name: images as :class:`ArraySource` takes them, integers (N,), or vectors (N, K),
            one per row.
        batch_size: rows per batch.
        name: name of the source in logs.
        paired: whether all columns have the order ``stream(seed, "data", epoch)``; else a column has the order
            ``stream(seed, "data <column>", epoch)``, and an epoch ends with the shortest column.

    Raises:
        RecipeError: ``batch_size`` is not a whole number of at least 1.
        DataError: a column has the wrong type, shape or range; no column has images; paired columns differ in
            length; the columns do not fill a batch.

    Warns:
        GanWarning: the range of a column of images indicates wrong scaling, such as [0, 1].

    Attributes:
        columns: names of the columns.
        paired: as the argument.
        arrays: the columns by name, images as uint8 or float32 (N, C, H, W): do not modify them.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], batch_size: int, *, name: str, paired: bool) -> None:
        self.name, self.paired = name, paired
        self.batch_size = check_whole("batch_size", batch_size, least=1)
        self.arrays = {column: _convert(locate_column(name, column), rows) for column, rows in arrays.items()}
        self.columns = tuple(self.arrays)
        images = [column for column, rows in self.arrays.items() if rows.ndim == 4]
        if not images:
            raise DataError(f"{name}: at least one column must contain images, got {', '.join(self.columns)}")
        self.image_shape: tuple[int, ...] = self.arrays[find_main(images)].shape[1:]
        lengths = {column: len(rows) for column, rows in self.arrays.items()}
        if paired:
            check_lengths(name, lengths)
        self.count = min(lengths.values())
        self.steps_per_epoch = self.count // self.batch_size
        if not self.steps_per_epoch:
            shortest = min(lengths, key=lengths.__getitem__)
            where = "" if paired else f" of column {shortest!r}"
            raise DataError(f"{name}: {self.count} rows{where} do not fill one batch of {self.batch_size}")
        self._sha256: str | None = None

    @property
    def labels(self) -> NDArray[Any] | None:
        """The column "labels", or None."""
        return self.arrays.get(LABELS)

    def sha256(self) -> str:
        """Return the hex digest of all columns: their names, types, shapes and values."""
        if self._sha256 is None:
            parts = [f"{column} {hash_rows(self.arrays[column])}\n" for column in sorted(self.arrays)]
            self._sha256 = hashlib.sha256("".join(parts).encode()).hexdigest()
        return self._sha256

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
        """See :meth:`Source.batches`; every column of a batch is a new C-contiguous array.

        Raises:
            DataError: ``epoch`` or ``start`` is out of range.
        """
        check_place(self, epoch, start)
        orders, size = self._shuffle(seed, epoch), self.batch_size
        places = (slice(step * size, (step + 1) * size) for step in range(start, self.steps_per_epoch))
        return (
            {column: take_rows(rows, orders[column][place]) for column, rows in self.arrays.items()}
            for place in places
        )

    def _shuffle(self, seed: int, epoch: int) -> dict[str, NDArray[np.int64]]:
        """Return the order of each column, indices of its rows."""
        if self.paired:
            return dict.fromkeys(self.columns, stream(seed, "data", epoch).permutation(self.count))
        return {
            column: stream(seed, f"data {column}", epoch).permutation(len(rows))
            for column, rows in self.arrays.items()
        }


def check_lengths(name: str, lengths: Mapping[str, int]) -> None:
    """Raise DataError unless all columns have the same number of rows."""
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{column!r} has {length:,}" for column, length in lengths.items())
        raise DataError(f"{name}: all columns need the same number of rows, but {found}")


def _convert(name: str, rows: NDArray[Any]) -> NDArray[Any]:
    """Return images as :func:`convert_images` does, or integers (N,) or vectors (N, K), contiguous."""
    if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.size and rows.dtype.kind in "fiu":
        if not np.isfinite(rows).all():
            raise DataError(f"{name}: vectors contain values that are not finite (NaN or infinity)")
        return np.ascontiguousarray(rows, np.float32)
    if not isinstance(rows, np.ndarray) or rows.ndim != 1:
        images = convert_images(name, rows)
        check_usual_range(name, images)
        return images
    if rows.dtype.kind not in "iu":
        raise DataError(f"{name}: one value per row must be a whole number, got {rows.dtype}")
    if not rows.size:
        raise DataError(f"{name}: there are no rows")
    return np.ascontiguousarray(rows)
