"""The protocol of sources of real images, and the checks that sources share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import DataError, RecipeError, warn

Batch = NDArray[np.float32]
Labels = NDArray[np.int32]
Columns: TypeAlias = dict[str, NDArray[Any]]
"""A batch: its columns by name, each with one row per image."""

REAL = "real"
"""The column of images of sources with one kind of images."""
LABELS = "labels"
"""The column of classes of a conditional run."""

SCALING = "images must be uint8 in 0..255, or floats already scaled to [-1, 1] (x / 127.5 - 1)"
_ONCE = "scale 0..255 by x / 127.5 - 1, once"
_EXPECTED = "[-1, 1] expected: scale 0..255 by x / 127.5 - 1"
_SLACK = 1e-3  # tolerance beyond +-1 for half precision and resampling filters
_NEAR = 0.02  # tolerance for recognising a range by its limits
_DARK = 16  # of 255: darker images have another unit, such as the 0 to 16 of scikit-learn's digits


@runtime_checkable
class Source(Protocol):
    """Batches of real images, in an order determined by (seed, epoch).

    A source may also have an attribute ``columns``, the names of the columns of its batches, e.g.
    ``("real", "labels")``; else they are read from its first batch. If it has the labels of all images in memory
    as an array ``labels``, (count,), they are checked before the first step and identified in ``run.json``.

    Attributes:
        name: name of the source in logs, e.g. ``"mnist train"``.
        batch_size: images per batch.
        count: number of images.
        image_shape: shape of one image of the column "real", else of the first column, e.g. ``(1, 28, 28)``.
        steps_per_epoch: full batches per epoch; the remainder is dropped.
    """

    name: str
    batch_size: int
    count: int
    image_shape: tuple[int, ...]
    steps_per_epoch: int

    def sha256(self) -> str | None:
        """Return the hex digest of the images, computed once and on demand, or None if it is not available."""
        ...

    def batches(
        self, seed: int, epoch: int, start: int = 0
    ) -> Iterator[Mapping[str, NDArray[Any]] | NDArray[Any]]:
        """Yield the batches of one epoch, each a dict of columns, arrays with ``batch_size`` rows.

        Images are float32 ``(batch_size, *image_shape)`` in [-1, 1], in the column "real"; labels, if any, are
        integers ``(batch_size,)`` in the column "labels". A source with images only may yield them as a plain
        array instead of a dict.

        Args:
            seed: the run's seed, 0 or more.
            epoch: counted from 1.
            start: batches of this epoch to skip, 0 to ``steps_per_epoch``.
        """
        ...


def check_whole(name: str, value: object, least: int) -> int:
    """Return the value as an int; raise RecipeError unless it is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def make_pixels(name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return black images; raise RecipeError if they do not fit into memory."""
    try:
        return np.zeros(shape, np.uint8)
    except (MemoryError, ValueError) as error:
        extent = " x ".join(f"{length:,}" for length in shape)
        raise RecipeError(f"{name}: {extent} pixels do not fit into memory; use a smaller size") from error


def check_place(source: Source, epoch: int, start: int) -> None:
    """Raise DataError if an epoch does not have this position, as after a resume with another batch size."""
    if epoch < 1:
        raise DataError(f"{source.name}: epochs are counted from 1, got {epoch}")
    if not 0 <= start <= source.steps_per_epoch:
        raise DataError(
            f"{source.name}: cannot start after {start} batches, an epoch has {source.steps_per_epoch} of"
            f" {source.batch_size}; was the run started with another batch size or other images?"
        )


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Raise DataError unless images are uint8 or floats."""
    if dtype != np.uint8 and dtype.kind != "f":
        raise DataError(f"{name}: images are {dtype}; {SCALING}")


def check_range(name: str, images: NDArray[np.floating[Any]]) -> None:
    """Raise DataError unless floats are finite and in [-1, 1]."""
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        raise DataError(f"{name}: images contain values that are not finite (NaN or infinity)")
    if low < -1 - _SLACK or high > 1 + _SLACK:
        raise DataError(f"{name}: images range over [{low:.6g}, {high:.6g}]; {SCALING}")


def check_usual_range(name: str, images: NDArray[Any]) -> None:
    """Warn about a range that indicates missing or repeated scaling.

    Args:
        name: name of the source.
        images: all images or the first batch: uint8 in 0..255, or floats in [-1, 1].

    Warns:
        GanWarning: all values are in [0, 1], [-0.5, 0.5] or [-1, 0], almost black, or nearly constant.
    """
    low, high = float(images.min()), float(images.max())
    if low == high:
        return  # a placeholder, not the result of wrong scaling
    warning = _diagnose_bytes(low, high) if images.dtype == np.uint8 else _diagnose_floats(low, high)
    if warning:
        warn(f"{name}: {warning}")


def _diagnose_bytes(low: float, high: float) -> str | None:
    if high <= _DARK:
        held = "only 0 and 1" if high == 1 else f"nothing above {high:g}"
        return (
            f"images are uint8 but contain {held}, almost black; 0 to 255 expected: scale them by"
            f" x * {255 / high:.4g}, or scale floats in [0, 1] by x * 255 before the conversion to uint8"
        )
    if high - low <= 2:
        return f"all pixels of the images are between {low:g} and {high:g} of 255: check how they are read"
    return None


def _diagnose_floats(low: float, high: float) -> str | None:
    def spans(least: float, most: float) -> bool:
        return least - _SLACK <= low <= least + _NEAR and most - _NEAR <= high <= most + _SLACK

    if (low < -1 + _NEAR and high <= _DARK / 127.5 - 1) or high - low <= _NEAR:
        return f"images range over [{low:.4g}, {high:.4g}] only; were they scaled twice? {_ONCE}"
    if low >= -_SLACK:
        return f"images are in [0, 1], the range of x / 255 and ToTensor; {_EXPECTED}, or these by 2 * x - 1"
    if spans(-0.5, 0.5):
        return f"images are in [-0.5, 0.5], the range of x / 255 - 0.5; {_EXPECTED}, or these by 2 * x"
    if spans(-1, 0):
        return f"images are in [-1, 0], the range of x / 255 - 1; {_EXPECTED}, or these by 2 * x + 1"
    return None


def to_unit(pixels: NDArray[np.uint8]) -> Batch:
    """Return pixels 0..255 scaled to [-1, 1], both limits exactly, as a new array of the same shape."""
    scaled: Batch = np.divide(pixels, np.float32(127.5), dtype=np.float32)
    scaled -= np.float32(1)
    return scaled
