"""Convolutions as one gather and one matrix product, where the stock ones take a path many times slower."""

from __future__ import annotations

import math

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.dense import AddBias
from ms_gan_callbacks.models.layers.fast import Fast
from ms_gan_callbacks.models.layers.primitives import times, times_transposed
from ms_gan_callbacks.models.layers.windows import (
    Fold,
    Geometry,
    Unfold,
    WithoutLast,
    channels_first,
    channels_last,
    cut_tiles,
    size_after,
    window_grid,
    with_zeros,
)


def geometry_of(layer: nn.Cell) -> Geometry:
    """Return how a stock convolution's kernel walks."""
    padding = layer.padding if isinstance(layer.padding, tuple) else (layer.padding,) * 4
    return Geometry(layer.kernel_size, layer.stride, layer.dilation, layer.pad_mode, padding)


class Conv2d(Fast, nn.Conv2d):  # type: ignore[misc]
    """:class:`mindspore.nn.Conv2d` as windows times weights; see there for its arguments.

    With ``group`` other than 1 it is the stock layer. The windows take taps / (stride * stride) times the memory
    of the images.
    """

    @staticmethod
    def stands_for(layer: nn.Conv2d) -> bool:
        return bool(layer.data_format == "NCHW" and layer.group == 1)

    def refit(self) -> None:
        self.unfold, self.without_last, self.add_bias = Unfold(geometry_of(self)), WithoutLast(), AddBias()

    def construct(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H', W') for images (N, in_channels, H, W)."""
        if self.group != 1 or 0 in x.shape:
            return super().construct(x)
        channels = (self.in_channels, self.out_channels)
        height, width = size_after("Conv2d", self.unfold.geometry, channels, self.weight.shape, x.shape)
        windows = self.unfold(channels_last(x)).reshape(x.shape[0] * (height * width + 1), -1)
        rows = times_transposed(windows, ops.transpose(self.weight, (0, 2, 3, 1)).reshape(self.out_channels, -1))
        if self.has_bias:
            rows = self.add_bias(rows, self.bias)
        rows = self.without_last(rows.reshape(x.shape[0], height * width + 1, self.out_channels))
        return channels_first(rows.reshape(x.shape[0], height, width, self.out_channels))


class Conv2dTranspose(Fast, nn.Conv2dTranspose):  # type: ignore[misc]
    """:class:`mindspore.nn.Conv2dTranspose` as pixels times weights, folded; see there for its arguments.

    Where the kernel is a multiple of the stride and there are no more channels in than out, the few pixels that
    make a tile of stride x stride are multiplied at once instead, and the tiles laid side by side.

    With ``group`` other than 1 or an ``output_padding`` it is the stock layer. The windows take
    taps / (stride * stride) times the memory of the images it makes.
    """

    @staticmethod
    def stands_for(layer: nn.Conv2dTranspose) -> bool:
        return bool(layer.group == 1 and layer.output_padding in (0, (0, 0)))

    def refit(self) -> None:
        geometry = geometry_of(self)
        self.geometry, self.fold, self.add_bias = tuple(geometry), Fold(geometry), AddBias()
        self.folds = self.stands_for(self)
        both = cut_tiles(geometry)
        self.in_tiles = both is not None and self._tiles_pay(*both)
        if both is not None and self.in_tiles:
            self.unfold, self.fold, self.per_tile = Unfold(both[0]), Fold(both[1]), both[0].kernel

    def _tiles_pay(self, walk: Geometry, lie: Geometry) -> bool:
        """Whether windows and tiles are half as large as the windows of all taps, or less.

        They are multiplied along the border, too, up to a third more: at half the size both ways are as fast.
        """
        windows, tiles = self.in_channels * math.prod(walk.kernel), self.out_channels * math.prod(lie.kernel)
        return bool(windows + tiles <= self.out_channels * math.prod(self.kernel_size) / 2)

    def construct(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H', W') for images (N, in_channels, H, W)."""
        if not self.folds or 0 in x.shape:
            return super().construct(x)
        channels = (self.in_channels, self.out_channels)
        size = size_after("Conv2dTranspose", self.geometry, channels, self.weight.shape, x.shape)
        pixels = self.fold(self._tiles(x) if self.in_tiles else self._windows(x), size)
        if self.has_bias:
            pixels = self.add_bias(pixels.reshape(-1, self.out_channels), self.bias).reshape(pixels.shape)
        return channels_first(pixels)

    def _windows(self, x: Tensor) -> Tensor:
        """Return what every pixel makes, taps * C numbers."""
        batch, channels, height, width = x.shape
        weight = ops.transpose(self.weight, (0, 2, 3, 1)).reshape(channels, -1)
        rows = with_zeros(channels_last(x).reshape(batch, height * width, channels))
        windows = times(rows.reshape(-1, channels), weight)
        return windows.reshape(batch, height * width + 1, -1)

    def _tiles(self, x: Tensor) -> Tensor:
        """Return what the pixels of every tile make, stride * stride * C numbers."""
        (down, right), (tall, wide) = self.stride, self.per_tile
        taps = self.weight.reshape(self.in_channels, self.out_channels, tall, down, wide, right)
        weight = ops.transpose(taps, (2, 4, 0, 3, 5, 1)).reshape(tall * wide * self.in_channels, -1)
        tiles = times(self.unfold(channels_last(x)).reshape(-1, tall * wide * self.in_channels), weight)
        height, width = window_grid(self.unfold.geometry, x.shape[2:])
        return tiles.reshape(x.shape[0], height * width + 1, -1)
