"""A source of images in memory, shuffled every epoch and scaled batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ms_gan_callbacks.data.protocol import (
    LABELS,
    REAL,
    Columns,
    Source,
    check_dtype,
    check_place,
    check_range,
    check_usual_range,
    check_whole,
    to_unit,
)
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import DataError


class ArraySource:
    """A :class:`Source` backed by an array.

    Epoch ``e`` has the order ``stream(seed, "data", e).permutation(count)``, so iteration can start at any batch
    at no cost. The array is not copied if avoidable: do not modify it while the source is in use.

    Args:
        images: ``(N, C, H, W)``, or ``(N, H, W)``, to which a channel axis is added; uint8 in 0..255 (stored
            as uint8) or floats in [-1, 1] (stored as float32).
        batch_size: images per batch, 1 to N.
        labels: one per image, the column "labels" of a batch; used by conditional runs (``Recipe(classes=...)``)
            only.
        name: name of the source in logs.

    Raises:
        RecipeError: ``batch_size`` is not a whole number of at least 1.
        DataError: the images or labels are of the wrong type, shape or range, or there are too few.

    Warns:
        GanWarning: the range of the images indicates wrong scaling, such as [0, 1].
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
        self.batch_size = check_whole("batch_size", batch_size, least=1)
        self.images = convert_images(name, images)
        self.count = len(self.images)
        self.image_shape: tuple[int, ...] = self.images.shape[1:]
        self.labels = None if labels is None else _convert_labels(name, labels, self.count)
        self.steps_per_epoch = self.count // self.batch_size
        if not self.steps_per_epoch:
            raise DataError(f"{name}: {self.count} images do not fill one batch of {self.batch_size}")
        check_usual_range(name, self.images)
        self._sha256: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a batch: ``("real",)``, or ``("real", "labels")``."""
        return (REAL,) if self.labels is None else (REAL, LABELS)

    def sha256(self) -> str:
        """Return the hex digest of the images' type, shape and values, without the labels."""
        if self._sha256 is None:
            self._sha256 = hash_rows(self.images)
        return self._sha256

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
        """See :meth:`Source.batches`; every column of a batch is a new C-contiguous array.

        Raises:
            DataError: ``epoch`` or ``start`` is out of range.
        """
        return (self._take(indices) for indices in shuffle_batches(self, seed, epoch, start))

    def _take(self, indices: NDArray[np.int64]) -> Columns:
        batch = {REAL: take_rows(self.images, indices)}
        return batch if self.labels is None else {**batch, LABELS: take_rows(self.labels, indices)}


def convert_columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return columns as a source yields them: images (N, C, H, W) or (N, H, W) as float32, labels unchanged.

    Raises:
        DataError: images are of the wrong type, shape or range, or the columns differ in length.
    """
    converted: dict[str, NDArray[Any]] = {}
    for name, rows in columns.items():
        if isinstance(rows, np.ndarray) and rows.ndim in (3, 4):
            images = convert_images(name, rows)
            converted[name] = to_unit(images) if images.dtype == np.uint8 else images
        else:
            converted[name] = np.ascontiguousarray(rows)
    lengths = {name: len(rows) for name, rows in converted.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns differ in length: {lengths}")
    return converted


def take_rows(rows: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
    """Return rows of a column in memory as a new array, uint8 images (N, C, H, W) scaled to [-1, 1]."""
    taken: NDArray[Any] = rows.take(indices, axis=0)
    return to_unit(taken) if taken.ndim == 4 and taken.dtype == np.uint8 else taken


def shuffle_batches(source: Source, seed: int, epoch: int, start: int) -> Iterator[NDArray[np.int64]]:
    """Return the indices of the images of each batch of a source, in the order of :class:`ArraySource`.

    Raises:
        DataError: ``epoch`` or ``start`` is out of range.
    """
    check_place(source, epoch, start)
    order, size = stream(seed, "data", epoch).permutation(source.count), source.batch_size
    return (order[step * size : (step + 1) * size] for step in range(start, source.steps_per_epoch))


def begin_digest(dtype: str, shape: tuple[int, ...]) -> hashlib._Hash:
    """Return the digest of the type and shape of an array, to which its values are to be added."""
    return hashlib.sha256(f"{dtype} {shape}".encode())


def hash_rows(rows: NDArray[Any]) -> str:
    """Return the hex digest of the type, shape and values of a contiguous array."""
    digest = begin_digest(rows.dtype.name, rows.shape)
    digest.update(rows.data)
    return digest.hexdigest()


def convert_images(name: str, images: object) -> NDArray[Any]:
    """Return images as ``(N, C, H, W)``, contiguous, uint8 or float32; raise DataError if they cannot be used."""
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


def _convert_labels(name: str, labels: ArrayLike, count: int) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.ndim != 1 or len(array) != count:
        raise DataError(f"{name}: {count} images need {count} labels in one row, got shape {array.shape}")
    return array
