"""The labels of a conditional run: the column "labels" of its source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import list_columns, read_batches
from ms_gan_callbacks.data.protocol import LABELS, Columns, Labels, Source
from ms_gan_callbacks.errors import DataError


def require_labels(source: Source) -> None:
    """Raise DataError if a source does not have the column "labels"."""
    if LABELS not in list_columns(source):
        raise DataError(
            f"{source.name} has no labels, but a conditional run (classes=...) requires them: "
            "use ArraySource(images, labels=...), DatasetSource(pipeline, labels=column) or mnist()"
        )


def check_labels(source: Source, classes: int) -> None:
    """Check the labels of a source in memory, or those of the first batch, see :func:`convert_labels`."""
    require_labels(source)
    labels = _get_labels(source)
    if labels is not None:
        convert_labels(source.name, labels, classes)
    else:
        next(read_with_labels(source, classes, seed=0, epoch=1), None)


def hash_labels(source: Source) -> str | None:
    """Return the hex digest of the type and values of labels in memory; None without."""
    labels = _get_labels(source)
    return None if labels is None else hashlib.sha256(labels.dtype.str.encode() + labels.tobytes()).hexdigest()


def read_with_labels(source: Source, classes: int, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
    """Return the batches of :func:`read_batches` with "labels" as int32, see :func:`convert_labels`.

    Raises:
        DataError: the source does not have labels, or they are invalid.
    """
    for batch in read_batches(source, seed, epoch, start):
        if LABELS not in batch:
            require_labels(source)
        yield {**batch, LABELS: convert_labels(source.name, batch[LABELS], classes)}


def _get_labels(source: Source) -> NDArray[Any] | None:
    labels = getattr(source, "labels", None)
    return labels if isinstance(labels, np.ndarray) else None


def convert_labels(name: str, labels: NDArray[Any], classes: int) -> Labels:
    """Return labels as int32, (N,); raise DataError unless they are N integers from 0 to classes - 1."""
    if labels.ndim != 1:
        raise DataError(f"{name}: labels must be one whole number per image, got an array of shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name}: labels must be whole numbers from 0 to {classes - 1}, got {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"{name}: labels range from {low} to {high}, but classes={classes} requires 0 to {classes - 1}"
        )
    return np.ascontiguousarray(labels, np.int32)
