"""What every source of real images offers, and the few checks all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import DataError, RecipeError, warn

Batch = NDArray[np.float32]
Labels = NDArray[np.int32]

SCALING = "images must be uint8 in 0..255, or floats already scaled to [-1, 1] (x / 127.5 - 1)"
_ONCE = "scale 0..255 by x / 127.5 - 1, once"
_EXPECTED = "[-1, 1] expected: scale 0..255 by x / 127.5 - 1"
_SLACK = 1e-3  # what half precision or a resampling filter may add to +-1
_NEAR = 0.02  # how close to its ends a range must come that is told by its ends
_DARK = 16  # of 255: images with nothing brighter hold other units, such as the 0 to 16 of scikit-learn's digits


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


def check_whole(what: str, value: object, least: int) -> int:
    """A whole number of at least ``least``, or a RecipeError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise RecipeError(f"{what} takes a whole number of at least {least}, not {value!r}")
    return int(value)


def make_pixels(name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Black images, or a RecipeError where memory cannot hold them."""
    try:
        return np.zeros(shape, np.uint8)
    except (MemoryError, ValueError) as error:
        told = " x ".join(f"{length:,}" for length in shape)
        raise RecipeError(f"{name}: {told} pixels do not fit into memory; take a smaller size") from error


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


def check_usual_range(name: str, images: NDArray[Any]) -> None:
    """Warn of values that a forgotten or repeated scaling leaves: they train, but not to what is meant.

    Args:
        name: what the source is called.
        images: all that there are, or a first batch: uint8 in 0..255, or floats in [-1, 1].

    Warns:
        GanWarning: all are in [0, 1], [-0.5, 0.5] or [-1, 0], next to black, or nearly of one shade.
    """
    low, high = float(images.min()), float(images.max())
    if low == high:
        return  # of one shade: a placeholder, which no scaling has made
    doubt = _doubt_bytes(low, high) if images.dtype == np.uint8 else _doubt_floats(low, high)
    if doubt:
        warn(f"{name}: {doubt}")


def check_batch(source: Source, images: object) -> None:
    """Look at a first batch of a source that is not one of the package's: its shape, type and range.

    Raises:
        DataError: it is not what the source announces, or not floats in [-1, 1].

    Warns:
        GanWarning: as :func:`check_usual_range` does.
    """
    expected = (source.batch_size, *source.image_shape)
    if not isinstance(images, np.ndarray) or images.shape != expected:
        found = f"shape {images.shape}" if isinstance(images, np.ndarray) else f"type {type(images).__name__}"
        raise DataError(f"{source.name}: a batch has {found}, expected an array of shape {expected}")
    if images.dtype.kind != "f":
        raise DataError(f"{source.name}: a batch is {images.dtype}, expected floats in [-1, 1] (x / 127.5 - 1)")
    check_range(source.name, images)
    check_usual_range(source.name, images)


def _doubt_bytes(low: float, high: float) -> str | None:
    """Tell what is odd about bytes of this range."""
    if high <= _DARK:
        held = "only 0 and 1" if high == 1 else f"nothing above {high:g}"
        return (
            f"images are uint8 but hold {held}, next to black; 0 to 255 expected: scale them by"
            f" x * {255 / high:.4g}, or floats in [0, 1] by x * 255 before they become uint8"
        )
    if high - low <= 2:
        return f"every pixel of the images lies between {low:g} and {high:g} of 255: check how they are read"
    return None


def _doubt_floats(low: float, high: float) -> str | None:
    """Tell what is odd about floats of this range."""

    def spans(least: float, most: float) -> bool:
        return least - _SLACK <= low <= least + _NEAR and most - _NEAR <= high <= most + _SLACK

    if (low < -1 + _NEAR and high <= _DARK / 127.5 - 1) or high - low <= _NEAR:
        return f"images range over [{low:.4g}, {high:.4g}] only; were they scaled twice? {_ONCE}"
    if low >= -_SLACK:
        return f"images lie in [0, 1], as x / 255 and ToTensor leave them; {_EXPECTED}, or these by 2 * x - 1"
    if spans(-0.5, 0.5):
        return f"images lie in [-0.5, 0.5], as x / 255 - 0.5 leaves them; {_EXPECTED}, or these by 2 * x"
    if spans(-1, 0):
        return f"images lie in [-1, 0], as x / 255 - 1 leaves them; {_EXPECTED}, or these by 2 * x + 1"
    return None


def to_unit(pixels: NDArray[np.uint8]) -> Batch:
    """Scale 0..255 to [-1, 1], both ends exactly, into a fresh array of the same shape."""
    scaled: Batch = np.divide(pixels, np.float32(127.5), dtype=np.float32)
    scaled -= np.float32(1)
    return scaled
