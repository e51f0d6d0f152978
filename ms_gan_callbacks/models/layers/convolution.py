"""Convolutions as one gather and one matrix product, many times faster than MindSpore's on a CPU.

Outside of a sequence they move channels last and back; within one they take images in batch-last layout.
"""

from __future__ import annotations

import math

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import AddColumn, BatchLast
from ms_gan_callbacks.models.layers.correlation import (
    Correlate,
    CorrelateLean,
    Spread,
    SpreadTiles,
    prefer_tiles,
)
from ms_gan_callbacks.models.layers.dense import AddBias
from ms_gan_callbacks.models.layers.geometry import (
    Geometry,
    compute_size,
    count_windows,
    cut_tiles,
    get_geometry,
    is_even,
)
from ms_gan_callbacks.models.layers.im2col import (
    Fold,
    Unfold,
    WithoutLast,
    move_channels_first,
    move_channels_last,
)
from ms_gan_callbacks.models.layers.primitives import append_zeros, times, times_transposed

MOST_KEPT = 2**24
"""Most numbers, 64 MiB, in windows that are kept for the gradient; larger ones are gathered a second time."""


class Conv2d(Fast, nn.Conv2d, BatchLast):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.Conv2d`, with the same arguments: windows times weights.

    MindSpore's implementation is used if ``group`` is not 1. The windows take taps / (stride * stride) times the
    memory of the images.
    """

    ranks = (4,)

    @staticmethod
    def stands_for(layer: nn.Conv2d) -> bool:
        return bool(layer.data_format == "NCHW" and layer.group == 1)

    def refit(self) -> None:
        geometry = get_geometry(self)
        self.unfold, self.without_last, self.add_bias = Unfold(geometry), WithoutLast(), AddBias()
        spread = SpreadTiles if prefer_tiles(geometry, self.out_channels, self.in_channels) else Spread
        self.correlate = Correlate(geometry, spread(geometry))
        self.correlate_lean = CorrelateLean(geometry, spread(geometry))
        self.correlate_uneven = CorrelateLean(geometry, Spread(geometry))
        self.add_column = AddColumn()

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return (out_channels, H', W', N) for images (in_channels, H, W, N)."""
        channels, shape = (self.in_channels, self.out_channels), (x.shape[3], *x.shape[:3])
        geometry = self.unfold.geometry
        size = compute_size("Conv2d", geometry, channels, self.weight.shape, shape)
        weight = self.weight.reshape(self.out_channels, -1)
        if not is_even(geometry, x.shape[1:3]):  # there are no tiles for pixels that no window reaches
            rows = self.correlate_uneven(x, weight)
        elif math.prod(size) * x.shape[3] * weight.shape[1] > MOST_KEPT:
            rows = self.correlate_lean(x, weight)
        else:
            rows = self.correlate(x, weight)
        rows = rows.reshape(self.out_channels, -1)
        if self.has_bias:
            rows = self.add_column(rows, self.bias)
        return rows.reshape(self.out_channels, size[0], size[1], x.shape[3])

    def construct(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H', W') for images (N, in_channels, H, W)."""
        if self.group != 1 or 0 in x.shape:
            return super().construct(x)
        channels = (self.in_channels, self.out_channels)
        height, width = compute_size("Conv2d", self.unfold.geometry, channels, self.weight.shape, x.shape)
        windows = self.unfold(move_channels_last(x)).reshape(x.shape[0] * (height * width + 1), -1)
        rows = times_transposed(windows, ops.transpose(self.weight, (0, 2, 3, 1)).reshape(self.out_channels, -1))
        if self.has_bias:
            rows = self.add_bias(rows, self.bias)
        rows = self.without_last(rows.reshape(x.shape[0], height * width + 1, self.out_channels))
        return move_channels_first(rows.reshape(x.shape[0], height, width, self.out_channels))


class Conv2dTranspose(Fast, nn.Conv2dTranspose, BatchLast):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.Conv2dTranspose`, with the same arguments: pixels times weights.

    If the kernel is a multiple of the stride and this halves the memory use, the output is computed in
    tiles of stride x stride instead, each from the pixels that contribute to it.

    MindSpore's implementation is used if ``group`` is not 1 or ``output_padding`` is set. The windows take
    taps / (stride * stride) times the memory of the output.
    """

    ranks = (4,)

    @staticmethod
    def stands_for(layer: nn.Conv2dTranspose) -> bool:
        return bool(layer.group == 1 and layer.output_padding in (0, (0, 0)))

    def refit(self) -> None:
        geometry = get_geometry(self)
        self.geometry, self.fold, self.add_bias = tuple(geometry), Fold(geometry), AddBias()
        self.folds = self.stands_for(self)
        both = cut_tiles(geometry)
        self.in_tiles = both is not None and self._prefer_tiles(*both)
        if both is not None and self.in_tiles:
            self.unfold, self.fold, self.per_tile = Unfold(both[0]), Fold(both[1]), both[0].kernel
        kind = SpreadTiles if prefer_tiles(geometry, self.in_channels, self.out_channels) else Spread
        self.spread, self.add_column = kind(geometry), AddColumn()

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return (out_channels, H', W', N) for images (in_channels, H, W, N)."""
        channels, shape = (self.in_channels, self.out_channels), (x.shape[3], *x.shape[:3])
        size = compute_size("Conv2dTranspose", self.geometry, channels, self.weight.shape, shape)
        pixels = self.spread(x, self.weight.reshape(self.in_channels, -1), size)
        if self.has_bias:
            rows = self.add_column(pixels.reshape(self.out_channels, -1), self.bias)
            pixels = rows.reshape(pixels.shape)
        return pixels

    def _prefer_tiles(self, walk: Geometry, lie: Geometry) -> bool:
        """Return whether windows and tiles have at most half the size of the windows of all taps.

        Tiles need up to a third more multiplications, at the border: at half the size both methods are equally
        fast.
        """
        windows, tiles = self.in_channels * math.prod(walk.kernel), self.out_channels * math.prod(lie.kernel)
        return bool(windows + tiles <= self.out_channels * math.prod(self.kernel_size) / 2)

    def construct(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, H', W') for images (N, in_channels, H, W)."""
        if not self.folds or 0 in x.shape:
            return super().construct(x)
        channels = (self.in_channels, self.out_channels)
        size = compute_size("Conv2dTranspose", self.geometry, channels, self.weight.shape, x.shape)
        pixels = self.fold(self._make_tiles(x) if self.in_tiles else self._make_windows(x), size)
        if self.has_bias:
            pixels = self.add_bias(pixels.reshape(-1, self.out_channels), self.bias).reshape(pixels.shape)
        return move_channels_first(pixels)

    def _make_windows(self, x: Tensor) -> Tensor:
        """Return the contributions of every pixel to the output, taps * C numbers per pixel."""
        batch, channels, height, width = x.shape
        weight = ops.transpose(self.weight, (0, 2, 3, 1)).reshape(channels, -1)
        rows = append_zeros(move_channels_last(x).reshape(batch, height * width, channels))
        windows = times(rows.reshape(-1, channels), weight)
        return windows.reshape(batch, height * width + 1, -1)

    def _make_tiles(self, x: Tensor) -> Tensor:
        """Return the tiles of the output, stride * stride * C numbers per tile."""
        (down, right), (tall, wide) = self.stride, self.per_tile
        taps = self.weight.reshape(self.in_channels, self.out_channels, tall, down, wide, right)
        weight = ops.transpose(taps, (2, 4, 0, 3, 5, 1)).reshape(tall * wide * self.in_channels, -1)
        tiles = times(self.unfold(move_channels_last(x)).reshape(-1, tall * wide * self.in_channels), weight)
        height, width = count_windows(self.unfold.geometry, x.shape[2:])
        return tiles.reshape(x.shape[0], height * width + 1, -1)
