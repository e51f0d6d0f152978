"""The columns of a source's batches: their names, reading, taking the first rows, checking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.protocol import LABELS, REAL, Columns, Source, check_range, check_usual_range
from ms_gan_callbacks.errors import DataError, suggest


def read_batches(source: Source, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
    """Return the batches of :meth:`Source.batches` as dicts; a plain array is the column "real".

    Raises:
        DataError: the source's own, such as an epoch or a start that is out of range.
    """
    return map(_name_columns, source.batches(seed, epoch, start))


def list_columns(source: Source) -> tuple[str, ...]:
    """Return the names of the columns of a source's batches.

    These are ``source.columns`` if the source has this attribute, a tuple of names; else the columns of the first
    batch of its first epoch. A source that yields plain arrays has the column "real".

    Raises:
        DataError: the source does not have the attribute and its first epoch is empty.
    """
    declared = _read_declared(source)
    return declared if declared is not None else tuple(_read_first(source))


def check_columns(source: Source, needed: Iterable[str]) -> None:
    """Raise DataError, with the nearest match, if a source does not have one of the columns that are needed."""
    names = list_columns(source)
    for column in needed:
        if column not in names:
            raise DataError(f"{source.name} has no column {column!r}: {suggest(column, names)}")


def take_columns(source: Source, count: int, seed: int = 0) -> Columns:
    """Return the first ``count`` rows of the first epoch, all columns; raise DataError if it has fewer."""
    whole = source.steps_per_epoch * source.batch_size
    if not 1 <= count <= whole:
        raise DataError(f"{source.name}: cannot take {count:,} images, an epoch has 1 to {whole:,}")
    batches = read_batches(source, seed, 1)
    taken = [
        {column: rows.copy() for column, rows in next(batches).items()}
        for _ in range(-(-count // source.batch_size))
    ]
    return {column: np.concatenate([batch[column] for batch in taken])[:count] for column in taken[0]}


def take_images(source: Source, count: int, seed: int = 0, column: str = REAL) -> NDArray[Any]:
    """Return the first ``count`` images of the first epoch, (count, C, H, W).

    Raises:
        DataError: the epoch has fewer images, or the source does not have the column.
    """
    taken = take_columns(source, count, seed)
    if column not in taken:
        raise DataError(f"{source.name} has no column {column!r}: {suggest(column, taken)}")
    return taken[column]


def find_main(columns: Iterable[str]) -> str:
    """Return the column that ``image_shape`` describes: "real" if there is one, else the first except "labels"."""
    names = list(columns)
    return REAL if REAL in names else next((name for name in names if name != LABELS), LABELS)


def describe_column(name: str, column: str) -> str:
    """Return the name of a column for messages; the column "real" has the name of its source."""
    return name if column == REAL else locate_column(name, column)


def locate_column(name: str, column: str) -> str:
    """Return the name of a source and of one of its columns for messages."""
    return f"{name}, column {column!r}"


def check_batch(source: Source, batch: object) -> None:
    """Check the first batch of a user-defined source: an array of images, or a dict of columns.

    Every column is an array with ``batch_size`` rows. The main column (see :func:`find_main`) has the shape
    ``(batch_size, *image_shape)``. It and all other columns of shape (N, C, H, W) are floats in [-1, 1].

    Raises:
        DataError: the batch does not match the source's attributes, or images are not floats in [-1, 1].

    Warns:
        GanWarning: see :func:`check_usual_range`.
    """
    columns = _name_columns(batch)
    _check_names(source, columns)
    main = find_main(columns)
    for column, rows in columns.items():
        name = describe_column(source.name, column)
        _check_rows(name, rows, (source.batch_size, *source.image_shape) if column == main else None, source)
        if column == main or rows.ndim == 4:
            _check_images(name, rows)


def _check_names(source: Source, columns: Mapping[Any, object]) -> None:
    declared = _read_declared(source)
    if not columns or not all(isinstance(column, str) for column in columns):
        found = ", ".join(repr(column) for column in columns) or "none"
        raise DataError(f"{source.name}: the columns of a batch are named by strings, not by {found}")
    if declared is not None and set(declared) != set(columns):
        raise DataError(
            f"{source.name}: a batch has the columns {', '.join(columns)}, but the source declares columns ="
            f" {declared!r}"
        )


def _check_rows(name: str, rows: object, shape: tuple[int, ...] | None, source: Source) -> None:
    found = f"shape {rows.shape}" if isinstance(rows, np.ndarray) else f"type {type(rows).__name__}"
    if shape is not None and (not isinstance(rows, np.ndarray) or rows.shape != shape):
        raise DataError(f"{name}: a batch has {found}, expected an array of shape {shape}")
    if not isinstance(rows, np.ndarray) or rows.shape[:1] != (source.batch_size,):
        raise DataError(f"{name}: a batch has {found}, expected an array with {source.batch_size} rows")


def _check_images(name: str, images: NDArray[Any]) -> None:
    if images.dtype.kind != "f":
        raise DataError(f"{name}: a batch is {images.dtype}, expected floats in [-1, 1] (x / 127.5 - 1)")
    check_range(name, images)
    check_usual_range(name, images)


def _read_first(source: Source) -> Columns:
    first = next(iter(read_batches(source, 0, 1)), None)
    if first is None:
        raise DataError(f"{source.name}: the first epoch has no batches")
    return first


def _read_declared(source: Source) -> tuple[str, ...] | None:
    """Return the columns that a source declares; None without, or if the attribute has another meaning."""
    declared = getattr(source, "columns", None)
    if isinstance(declared, (tuple, list)) and declared and all(isinstance(name, str) for name in declared):
        return tuple(declared)
    return None


def _name_columns(batch: Any) -> Columns:
    return dict(batch) if isinstance(batch, Mapping) else {REAL: batch}
