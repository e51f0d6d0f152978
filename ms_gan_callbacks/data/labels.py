"""Sources with labels, and the checks on labels of a conditional run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.protocol import Batch, Labels, Source
from ms_gan_callbacks.errors import DataError


@runtime_checkable
class LabelledSource(Source, Protocol):
    """A :class:`Source` that also provides the labels of its images.

    Attributes:
        labelled: whether it has labels.
    """

    labelled: bool

    def labels_sha256(self) -> str | None:
        """Return the hex digest of the labels, or None if it is not available."""
        ...

    def labelled_batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Batch, NDArray[Any]]]:
        """Yield the batches of :meth:`Source.batches`, each with its labels, (batch_size,) integers."""
        ...


def require_labels(source: Source) -> LabelledSource:
    """Return the source if it has labels, else raise DataError."""
    if isinstance(source, LabelledSource) and source.labelled:
        return source
    raise DataError(
        f"{source.name} has no labels, but a conditional run (classes=...) requires them: "
        "use ArraySource(images, labels=...), DatasetSource(pipeline, labels=column) or mnist()"
    )


def check_labels(source: Source, classes: int) -> None:
    """Check the labels of a source in memory, or those of the first batch, see :func:`convert_labels`."""
    labels = getattr(require_labels(source), "labels", None)
    if isinstance(labels, np.ndarray):
        convert_labels(source.name, labels, classes)
    else:
        next(iterate_with_labels(source, classes, seed=0, epoch=1))


def iterate_with_labels(
    source: Source, classes: int, seed: int, epoch: int, start: int = 0
) -> Iterator[tuple[Batch, Labels]]:
    """Yield an epoch's batches, each with its labels, int32 (batch_size,), see :func:`convert_labels`."""
    for images, labels in require_labels(source).labelled_batches(seed, epoch, start):
        yield images, convert_labels(source.name, labels, classes)


def convert_labels(name: str, labels: NDArray[Any], classes: int) -> Labels:
    """Return labels as int32; raise DataError unless they are integers from 0 to classes - 1."""
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name}: labels must be whole numbers from 0 to {classes - 1}, got {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"{name}: labels range from {low} to {high}, but classes={classes} requires 0 to {classes - 1}"
        )
    return np.ascontiguousarray(labels, np.int32)
