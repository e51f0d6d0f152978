"""Images that are in memory, shuffled anew each epoch and scaled batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ms_gan_callbacks.data.protocol import (
    Batch,
    check_batch_size,
    check_dtype,
    check_place,
    check_range,
    check_usual_range,
    to_unit,
)
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import DataError


class ArraySource:
    """A :class:`Source` over one array.

    Epoch ``e`` is in the order ``stream(seed, "data", e).permutation(count)``, so it can be entered
    anywhere at no cost. The array is not copied where it need not be: leave it as it is while in use.

    Args:
        images: ``(N, C, H, W)``, or ``(N, H, W)`` which gains a channel axis; uint8 in 0..255 (kept as
            uint8) or floats in [-1, 1] (kept as float32).
        batch_size: images in a batch, 1 to N.
        labels: one for each image; a conditional run (``Recipe(classes=...)``) trains on them, others do not.
        name: what logs call the source.

    Raises:
        RecipeError: ``batch_size`` is not a whole number of at least 1.
        DataError: the images or labels are of the wrong kind, shape or range, or too few.

    Warns:
        GanWarning: the images are in a range that a wrong scaling leaves, such as [0, 1].
    """

    def __init__(
        self,
        images: NDArray[Any],
        batch_size: int = 32,
        *,
        labels: ArrayLike | None = None,
        name: str = "array",
    ) -> None:
        self.name = name
        self.batch_size = check_batch_size(batch_size)
        self.images = _checked_images(name, images)
        self.count = len(self.images)
        self.image_shape: tuple[int, ...] = self.images.shape[1:]
        self.labels = None if labels is None else _checked_labels(name, labels, self.count)
        self.steps_per_epoch = self.count // self.batch_size
        if not self.steps_per_epoch:
            raise DataError(f"{name}: {self.count} images do not fill one batch of {self.batch_size}")
        check_usual_range(name, self.images)
        self._sha256: str | None = None

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def labels_sha256(self) -> str | None:
        """Hex digest of type and values of the labels; None where there are none."""
        if self.labels is None:
            return None
        return hashlib.sha256(self.labels.dtype.str.encode() + self.labels.tobytes()).hexdigest()

    def sha256(self) -> str:
        """Hex digest of type, shape and values of the images (the labels do not take part)."""
        if self._sha256 is None:
            kind = f"{self.images.dtype.name} {self.images.shape}"
            digest = hashlib.sha256(kind.encode())
            digest.update(self.images.data)
            self._sha256 = digest.hexdigest()
        return self._sha256

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See :meth:`Source.batches`; every batch is a fresh C-contiguous array.

        Raises:
            DataError: ``epoch`` or ``start`` is out of range.
        """
        return (self._images_at(places) for places in self._places(seed, epoch, start))

    def labelled_batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Batch, NDArray[Any]]]:
        """See :meth:`LabelledSource.labelled_batches`.

        Raises:
            DataError: there are no labels, or ``epoch`` or ``start`` is out of range.
        """
        labels = self.labels
        if labels is None:
            raise DataError(f"{self.name} has no labels")
        return ((self._images_at(places), labels[places]) for places in self._places(seed, epoch, start))

    def _places(self, seed: int, epoch: int, start: int) -> Iterator[NDArray[np.int64]]:
        """Where the images of every batch lie."""
        check_place(self, epoch, start)
        order, size = stream(seed, "data", epoch).permutation(self.count), self.batch_size
        return (order[step * size : (step + 1) * size] for step in range(start, self.steps_per_epoch))

    def _images_at(self, places: NDArray[np.int64]) -> Batch:
        batch: NDArray[Any] = self.images.take(places, axis=0)
        return to_unit(batch) if batch.dtype == np.uint8 else batch


def _checked_images(name: str, images: object) -> NDArray[Any]:
    """The images as ``(N, C, H, W)``, contiguous, uint8 or float32."""
    if not isinstance(images, np.ndarray):
        raise DataError(f"{name}: images must be a NumPy array, got {type(images).__name__}")
    check_dtype(name, images.dtype)
    if images.ndim not in (3, 4):
        raise DataError(f"{name}: images must be (N, C, H, W) or (N, H, W), got shape {images.shape}")
    if not images.size:
        raise DataError(f"{name}: there are no images in an array of shape {images.shape}")
    if images.dtype != np.uint8:
        check_range(name, images)
        images = images.astype(np.float32, copy=False)
    return np.ascontiguousarray(images if images.ndim == 4 else images[:, np.newaxis])


def _checked_labels(name: str, labels: ArrayLike, count: int) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.ndim != 1 or len(array) != count:
        raise DataError(f"{name}: {count} images need {count} labels in one row, got shape {array.shape}")
    return array
