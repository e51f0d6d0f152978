"""Convolutions of images in batch-last layout, (C, H, W, N), each as one gather and one matrix product.

::

    images (C, H, W, N) ── Windows ──> windows (C * taps, P * N)       P windows of an image
    weight (O, C * taps) times windows ──> (O, P * N)                  Correlate
    images (C, H, W, N) <── (O, P * N)                                 Spread, its gradient for the images

A transposed convolution is :class:`Spread`, with :class:`Correlate` as its gradient. Where the kernel is a
multiple of the stride, :class:`SpreadTiles` computes the same without sums over overlapping windows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.geometry import (
    Geometry,
    Pair,
    count_windows,
    cut_tiles,
    map_pixels_to_taps,
    map_taps_to_pixels,
)
from ms_gan_callbacks.models.layers.primitives import append_zeros, gather, sum_gathered, times, times_transposed


# Evaluated once, during compilation. The functions below have no branches and loops: in a custom bprop MindSpore's
# compiler fails on them with "the func graph is empty".
@ops.constexpr  # type: ignore[untyped-decorator]
def _index_windows(geometry: tuple, size: Pair) -> Tensor:  # type: ignore[type-arg]
    """Return the pixels under all windows, tap by tap; H * W outside the image."""
    return Tensor(np.ascontiguousarray(map_taps_to_pixels(Geometry(*geometry), size).T).reshape(-1))


@ops.constexpr  # type: ignore[untyped-decorator]
def _index_pixels(geometry: tuple, size: Pair) -> tuple[Tensor, ...]:  # type: ignore[type-arg]
    """Return the places of the 1st, 2nd, ... tap over each pixel in (taps, windows + 1), the last one empty."""
    taps = geometry[0][0] * geometry[0][1]
    windows = len(map_taps_to_pixels(Geometry(*geometry), size))
    found = map_pixels_to_taps(Geometry(*geometry), size)  # window * taps + tap
    places = np.where(found == windows * taps, windows, found % taps * (windows + 1) + found // taps)
    return tuple(Tensor(one.astype(np.int32)) for one in places)


@ops.constexpr  # type: ignore[untyped-decorator]
def _index_tiles(geometry: tuple, size: Pair) -> Tensor:  # type: ignore[type-arg]
    """Return the place of each pixel in tiles, (taps, windows): one tile covers it."""
    taps = geometry[0][0] * geometry[0][1]
    windows = len(map_taps_to_pixels(Geometry(*geometry), size))
    [found] = map_pixels_to_taps(Geometry(*geometry), size)
    return Tensor((found % taps * windows + found // taps).astype(np.int32))


def take_windows(images: Tensor, geometry: tuple) -> Tensor:  # type: ignore[type-arg]
    """Return the windows (C * taps, P * N) of images (C, H, W, N)."""
    channels, height, width, batch = images.shape
    rows = append_zeros(images.reshape(channels, height * width, batch))
    taps = gather(rows, _index_windows(geometry, (height, width)), 1)
    return taps.reshape(channels * geometry[0][0] * geometry[0][1], -1)


def sum_windows(windows: Tensor, size: Pair, geometry: tuple, batch: int) -> Tensor:  # type: ignore[type-arg]
    """Return images (C, H, W, N), each pixel the sum of its taps in windows (C * taps, (P + 1) * N).

    The last window must be empty.
    """
    channels = windows.shape[0] // (geometry[0][0] * geometry[0][1])
    rows = windows.reshape(channels, -1, batch)
    return sum_gathered(rows, _index_pixels(geometry, size)).reshape(channels, size[0], size[1], batch)


class Windows(nn.Cell):  # type: ignore[misc]
    """Maps images (C, H, W, N) to windows (C * taps, P * N)."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = tuple(geometry)

    def construct(self, images: Tensor) -> Tensor:
        """Return the windows."""
        return take_windows(images, self.geometry)

    def bprop(self, images: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        """Return the gradient with respect to the images."""
        rows = append_zeros(grad.reshape(grad.shape[0], -1, images.shape[3]))
        windows = rows.reshape(grad.shape[0], -1)
        return (sum_windows(windows, images.shape[1:3], self.geometry, images.shape[3]),)


class Spread(nn.Cell):  # type: ignore[misc]
    """A transposed convolution: pixels (O, h, w, N) times weights (O, C * taps), summed where windows overlap."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry, self.windows = tuple(geometry), Windows(geometry)

    def construct(self, pixels: Tensor, weight: Tensor, size: Pair) -> Tensor:
        """Return images (C, H, W, N) of a size (H, W)."""
        channels, _, _, batch = pixels.shape
        rows = append_zeros(pixels.reshape(channels, -1, batch)).reshape(channels, -1)
        return sum_windows(times(ops.transpose(weight, (1, 0)), rows), size, self.geometry, batch)

    def bprop(self, pixels: Tensor, weight: Tensor, size: Pair, out: Tensor, grad: Tensor) -> tuple[Any, ...]:
        """Return the gradients with respect to the pixels and the weights."""
        windows = self.windows(grad)
        rows = pixels.reshape(pixels.shape[0], -1)
        return times(weight, windows).reshape(pixels.shape), times_transposed(rows, windows), size


class SpreadTiles(Spread):
    """The same, computed tile by tile from the pixels that contribute to it; see :func:`cut_tiles`."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(geometry)
        both = cut_tiles(geometry)
        assert both is not None
        self.walk, self.lie, self.stride = tuple(both[0]), tuple(both[1]), geometry.stride

    def construct(self, pixels: Tensor, weight: Tensor, size: Pair) -> Tensor:
        """Return images (C, H, W, N) of a size (H, W)."""
        (tall, wide), (down, right) = self.walk[0], self.stride
        taps = weight.reshape(weight.shape[0], -1, tall, down, wide, right)
        # (C, down, right, O, tall, wide): each tile of stride x stride from tall x wide pixels.
        kernel = ops.transpose(taps, (1, 3, 5, 0, 2, 4)).reshape(-1, weight.shape[0] * tall * wide)
        tiles = times(kernel, take_windows(pixels, self.walk))
        channels = taps.shape[1]
        rows = gather(tiles.reshape(channels, -1, pixels.shape[3]), _index_tiles(self.lie, size), 1)
        return rows.reshape(channels, size[0], size[1], pixels.shape[3])


class Correlate(nn.Cell):  # type: ignore[misc]
    """A convolution: weights (O, C * taps) times the windows of images (C, H, W, N).

    Args:
        geometry: the geometry of the convolution.
        spread: computes the gradient for the images.
    """

    def __init__(self, geometry: Geometry, spread: Spread) -> None:
        super().__init__()
        self.geometry, self.windows, self.spread = tuple(geometry), Windows(geometry), spread

    def construct(self, images: Tensor, weight: Tensor) -> Tensor:
        """Return (O, h, w, N)."""
        height, width = count_windows(self.geometry, images.shape[1:3])
        return times(weight, self.windows(images)).reshape(weight.shape[0], height, width, images.shape[3])

    def bprop(self, images: Tensor, weight: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients with respect to the images and the weights."""
        rows = grad.reshape(grad.shape[0], -1)
        return self.spread(grad, weight, images.shape[1:3]), times_transposed(rows, self.windows(images))


class CorrelateLean(Correlate):
    """The same, without keeping the windows of the forward pass for the gradient."""

    def bprop(self, images: Tensor, weight: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients with respect to the images and the weights."""
        rows = grad.reshape(grad.shape[0], -1)
        # The dependency makes these windows other ones for the compiler, which would keep the first ones.
        windows = self.windows(ops.depend(images, grad))
        return self.spread(grad, weight, images.shape[1:3]), times_transposed(rows, windows)


def prefer_tiles(geometry: Geometry, pixels: int, images: int) -> bool:
    """Return whether tiles move fewer numbers than windows with sums.

    Args:
        geometry: the geometry of the transposed convolution.
        pixels: channels of its input.
        images: channels of its output.
    """
    both = cut_tiles(geometry)
    if both is None:
        return False
    walk, lie, taps = (one.kernel[0] * one.kernel[1] for one in (*both, geometry))
    # Sums move each number twice. At a stride of more than 1, tiles at the border are multiplied in vain.
    times_moved = 2 if geometry.stride == (1, 1) else 1
    return pixels * walk + images * lie <= times_moved * images * taps
