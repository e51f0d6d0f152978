"""Nearest-neighbour upsampling by integer factors, as copies of columns and rows in both layouts."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import BatchLast
from ms_gan_callbacks.models.layers.primitives import times


def find_factors(layer: nn.Upsample) -> tuple[int, ...] | None:
    """Return the integer factors of a nearest-neighbour upsampling, (vertical, horizontal) or (both,), or None."""
    scale: Any = layer.scale_factor
    scales = tuple(scale) if isinstance(scale, (tuple, list)) else (scale,)
    if layer.mode != "nearest" or layer.size is not None or layer.align_corners is not None:
        return None
    # Without recomputation MindSpore's layer refuses images, and factors that are not floats.
    if layer.recompute_scale_factor is not True or not all(type(one) is float for one in scales):
        return None
    whole = len(scales) in (1, 2) and all(one >= 1 and one.is_integer() for one in scales)
    return tuple(map(int, scales)) if whole else None


class Upsample(Fast, nn.Upsample, BatchLast):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.Upsample` by integer factors, with the same arguments.

    It replaces ``Upsample(scale_factor=2.0, recompute_scale_factor=True)`` and other nearest-neighbour forms whose
    factors are whole. Unlike MindSpore's layer it has a second derivative. MindSpore's implementation is used for
    inputs other than images in single precision, and for all other forms.
    """

    ranks = (4,)
    pays = False

    @staticmethod
    def stands_for(layer: nn.Upsample) -> bool:
        return find_factors(layer) is not None

    def refit(self) -> None:
        factors = find_factors(self)
        self.repeats = factors is not None
        self.down, self.right = (factors[0], factors[-1]) if factors else (1, 1)

    def construct(self, x: Tensor) -> Tensor:
        """Return images (N, C, H * vertical factor, W * horizontal factor) for images (N, C, H, W)."""
        if not self.repeats or len(x.shape) != 4 or x.dtype != ms.float32 or 0 in x.shape:
            return super().construct(x)
        batch, channels, height, width = x.shape
        # An outer product copies single numbers faster than MindSpore's broadcast or concatenation.
        wide = times(x.reshape(-1, 1), ops.ones((1, self.right), x.dtype))
        rows = ops.concat((wide.reshape(-1, width * self.right),) * self.down, 1)
        return rows.reshape(batch, channels, height * self.down, width * self.right)

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return images (C, H * vertical factor, W * horizontal factor, N) for images (C, H, W, N)."""
        channels, height, width, batch = x.shape
        wide = ops.concat((x.reshape(-1, batch),) * self.right, 1).reshape(channels * height, -1)
        rows = ops.concat((wide,) * self.down, 1)
        return rows.reshape(channels, height * self.down, width * self.right, batch)
