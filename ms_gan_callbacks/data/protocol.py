"""What every source of real images offers, and the few checks all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import DataError, RecipeError

Batch = NDArray[np.float32]
Labels = NDArray[np.int32]

SCALING = "images must be uint8 in 0..255, or floats already scaled to [-1, 1] (x / 127.5 - 1)"
_SLACK = 1e-3  # what half precision or a resampling filter may add to +-1


@runtime_checkable
class Source(Protocol):
    """Real images, batch by batch, in an order that depends on nothing but (seed, epoch).

    Attributes:
        name: what a log calls it, e.g. ``"mnist train"``.
        batch_size: images in every batch.
        count: number of images.
        image_shape: shape of one image, e.g. ``(1, 28, 28)``.
        steps_per_epoch: whole batches in an epoch; the remainder is dropped.
    """

    name: str
    batch_size: int
    count: int
    image_shape: tuple[int, ...]
    steps_per_epoch: int

    def sha256(self) -> str | None:
        """Hex digest of the images, computed once and on demand; None if it cannot be known."""
        ...

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, each float32 ``(batch_size, *image_shape)`` in [-1, 1].

        Args:
            seed: the run's seed, 0 or more.
            epoch: which pass over the images, from 1.
            start: batches of this epoch that were already consumed, 0 to ``steps_per_epoch``.
        """
        ...


def first_images(source: Source, count: int, seed: int = 0) -> Batch:
    """Return the first ``count`` images of a source's first epoch, (count, C, H, W) in [-1, 1].

    Raises:
        DataError: an epoch has fewer.
    """
    whole = source.steps_per_epoch * source.batch_size
    if not 1 <= count <= whole:
        raise DataError(f"{source.name}: cannot take {count:,} images, an epoch has 1 to {whole:,}")
    batches = source.batches(seed, 1)
    taken = [next(batches).copy() for _ in range(-(-count // source.batch_size))]
    return np.concatenate(taken)[:count]


def check_batch_size(batch_size: object) -> int:
    """A whole number of at least 1, or a RecipeError."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)):
        raise RecipeError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    if batch_size < 1:
        raise RecipeError(f"batch_size must be at least 1, got {batch_size}")
    return int(batch_size)


def check_place(source: Source, epoch: int, start: int) -> None:
    """Refuse a place that is in no epoch; a resumed run with another batch size asks for one."""
    if epoch < 1:
        raise DataError(f"{source.name}: epochs are counted from 1, got {epoch}")
    if not 0 <= start <= source.steps_per_epoch:
        raise DataError(
            f"{source.name}: cannot start after {start} batches, an epoch has {source.steps_per_epoch} of"
            f" {source.batch_size}; was the run begun with another batch size or other images?"
        )


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse images that are neither uint8 nor floats."""
    if dtype != np.uint8 and dtype.kind != "f":
        raise DataError(f"{name}: images are {dtype}; {SCALING}")


def check_range(name: str, images: NDArray[np.floating[Any]]) -> None:
    """Refuse floats that are not finite or not scaled to [-1, 1]."""
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():  # min and max of anything with a NaN are NaN
        raise DataError(f"{name}: images hold values that are not finite (NaN or infinity)")
    if low < -1 - _SLACK or high > 1 + _SLACK:
        raise DataError(f"{name}: images range over [{low:.6g}, {high:.6g}]; {SCALING}")


def to_unit(pixels: NDArray[np.uint8]) -> Batch:
    """Scale 0..255 to [-1, 1], both ends exactly, into a fresh array of the same shape."""
    scaled: Batch = np.divide(pixels, np.float32(127.5), dtype=np.float32)
    scaled -= np.float32(1)
    return scaled
