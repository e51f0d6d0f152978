"""Extraction of convolution windows from images in channels-last layout (im2col), and its adjoint (col2im).

A convolution outside of a sequence uses it, and one of few images: gathers move the C numbers of a pixel. See
``correlation`` for images in batch-last layout.

::

    pixels (N, H, W, C)  ── Unfold ──>  windows (N, windows + 1, taps * C)
    pixels (N, H, W, C)  <── Fold ────  windows          each pixel is the sum of its entries in all windows

The last window contains only zeros, for gathers of pixels outside the image. Matrix products preserve it;
appending zeros to the windows instead would copy the largest array. Each operation is the gradient of the other.
Both gather contiguous pixels of C numbers, at the speed of the memory.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.geometry import Geometry, Pair, map_pixels_to_taps, map_taps_to_pixels
from ms_gan_callbacks.models.layers.primitives import append_zeros, gather, sum_gathered, take_slice


# Evaluated once, during compilation. The functions below have no branches and loops: in a custom bprop MindSpore's
# compiler fails on them with "the func graph is empty".
@ops.constexpr  # type: ignore[untyped-decorator]
def _index_windows(geometry: tuple, size: Pair) -> Tensor:  # type: ignore[type-arg]
    pixels = map_taps_to_pixels(Geometry(*geometry), size)
    empty = np.full((1, pixels.shape[1]), size[0] * size[1], np.int32)
    return Tensor(np.concatenate((pixels, empty)).reshape(-1))


@ops.constexpr  # type: ignore[untyped-decorator]
def _index_pixels(geometry: tuple, size: Pair) -> tuple[Tensor, ...]:  # type: ignore[type-arg]
    return tuple(Tensor(taps) for taps in map_pixels_to_taps(Geometry(*geometry), size))


def move_channels_last(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) as (N, H, W, C)."""
    batch, channels, height, width = images.shape
    if channels > 1:
        images = ops.transpose(images.reshape(batch, channels, height * width), (0, 2, 1))
    return images.reshape(batch, height, width, channels)


def move_channels_first(pixels: Tensor) -> Tensor:
    """Return pixels (N, H, W, C) as images (N, C, H, W)."""
    batch, height, width, channels = pixels.shape
    if channels > 1:
        pixels = ops.transpose(pixels.reshape(batch, height * width, channels), (0, 2, 1))
    return pixels.reshape(batch, channels, height, width)


class WithoutLast(nn.Cell):  # type: ignore[misc]
    """Rows (N, R + 1, C) without the last row, whose gradient is zero."""

    def construct(self, rows: Tensor) -> Tensor:
        """Return (N, R, C)."""
        return take_slice(rows, (0, 0, 0), (rows.shape[0], rows.shape[1] - 1, rows.shape[2]))

    def bprop(self, rows: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        """Return the gradient with respect to the rows."""
        return (append_zeros(grad),)


def unfold(pixels: Tensor, geometry: tuple) -> Tensor:  # type: ignore[type-arg]
    """Return the windows (N, windows + 1, taps * C) of pixels (N, H, W, C); the last one is empty."""
    batch, height, width, channels = pixels.shape
    rows = append_zeros(pixels.reshape(batch, height * width, channels))
    taps = gather(rows, _index_windows(geometry, (height, width)), 1)
    return taps.reshape(batch, -1, geometry[0][0] * geometry[0][1] * channels)


def fold(windows: Tensor, size: Pair, geometry: tuple) -> Tensor:  # type: ignore[type-arg]
    """Return pixels (N, H, W, C), each the sum of its taps in windows (N, windows + 1, taps * C).

    The last window must be empty.
    """
    batch, channels = windows.shape[0], windows.shape[2] // (geometry[0][0] * geometry[0][1])
    rows = windows.reshape(batch, -1, channels)
    return sum_gathered(rows, _index_pixels(geometry, size)).reshape(batch, size[0], size[1], channels)


class Unfold(nn.Cell):  # type: ignore[misc]
    """Maps pixels (N, H, W, C) to windows (N, windows + 1, taps * C); its gradient is :class:`Fold`."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = tuple(geometry)

    def construct(self, pixels: Tensor) -> Tensor:
        """Return the windows."""
        return unfold(pixels, self.geometry)

    def bprop(self, pixels: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        """Return the gradient with respect to the pixels."""
        return (fold(grad, pixels.shape[1:3], self.geometry),)


class Fold(nn.Cell):  # type: ignore[misc]
    """Maps windows (N, windows + 1, taps * C) to pixels (N, H, W, C); its gradient is :class:`Unfold`."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = tuple(geometry)

    def construct(self, windows: Tensor, size: Pair) -> Tensor:
        """Return the pixels."""
        return fold(windows, size, self.geometry)

    def bprop(self, windows: Tensor, size: Pair, out: Tensor, grad: Tensor) -> tuple[Tensor, Pair]:
        """Return the gradient with respect to the windows."""
        return unfold(grad, self.geometry), size
