"""Labels that come with the images: sources that have them, and what a conditional run wants of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.protocol import Batch, Labels, Source
from ms_gan_callbacks.errors import DataError


@runtime_checkable
class LabelledSource(Source, Protocol):
    """A :class:`Source` that can tell its images' labels, too; its ``batches`` are those of any source.

    Attributes:
        labelled: whether it has labels.
    """

    labelled: bool

    def labels_sha256(self) -> str | None:
        """Hex digest of the labels; None if it cannot be known."""
        ...

    def labelled_batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Batch, NDArray[Any]]]:
        """The batches of :meth:`Source.batches`, each with its labels, (batch_size,) whole numbers."""
        ...


def labelled(source: Source) -> LabelledSource:
    """Return a source that has labels.

    Raises:
        DataError: it has none.
    """
    if isinstance(source, LabelledSource) and source.labelled:
        return source
    raise DataError(
        f"{source.name} has no labels, which a conditional run (classes=...) needs: "
        "ArraySource(images, labels=...) has, and DatasetSource(pipeline, labels=column), and mnist()"
    )


def check_labels(source: Source, classes: int) -> None:
    """Look for what is wrong with a source's labels: at all of them where they are at hand, else at the first.

    Raises:
        DataError: there are none, or they are no whole numbers, or not all within 0 to classes - 1.
    """
    whole = getattr(labelled(source), "labels", None)
    if isinstance(whole, np.ndarray):
        checked(source.name, whole, classes)
    else:
        next(batches_with_labels(source, classes, seed=0, epoch=1))


def batches_with_labels(
    source: Source, classes: int, seed: int, epoch: int, start: int = 0
) -> Iterator[tuple[Batch, Labels]]:
    """Return an epoch's batches, each with its labels, (batch_size,), from 0 to classes - 1.

    Raises:
        DataError: the source has no labels, or some that are not of these; while iterating.
    """
    for images, labels in labelled(source).labelled_batches(seed, epoch, start):
        yield images, checked(source.name, labels, classes)


def checked(name: str, labels: NDArray[Any], classes: int) -> Labels:
    """Return labels as they are told to a network, int32.

    Raises:
        DataError: they are no whole numbers, or not all within 0 to classes - 1.
    """
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name}: labels must be whole numbers from 0 to {classes - 1}, got {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(f"{name}: labels go from {low} to {high}, but classes={classes} takes 0 to {classes - 1}")
    return np.ascontiguousarray(labels, np.int32)
