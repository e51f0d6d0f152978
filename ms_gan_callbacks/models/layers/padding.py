"""Padding by reflection, with a second derivative, in both layouts."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import BatchLast
from ms_gan_callbacks.models.layers.geometry import Pair, find_places
from ms_gan_callbacks.models.layers.primitives import append_zeros, gather, sum_gathered
from ms_gan_callbacks.models.mindspore_private import MirrorPadGrad

Sides = tuple[int, int, int, int]
"""Pixels of padding at (top, bottom, left, right)."""

reflect = ops.MirrorPad(mode="REFLECT")
sum_reflected = MirrorPadGrad(mode="REFLECT")


def map_to_source(sides: Sides, size: Pair) -> NDArray[np.int32]:
    """Return the pixel of an image (H, W) at each place of the padded image, (H' * W').

    Raises:
        ValueError: the padding is as large as the image.
    """
    if max(sides[:2]) >= size[0] or max(sides[2:]) >= size[1]:
        raise ValueError(
            f"ReflectionPad2d requires padding smaller than its images: {sides} at (top, bottom, left, right) of "
            f"{size[0]} x {size[1]} pixels"
        )
    pixels = np.arange(size[0] * size[1], dtype=np.int32).reshape(size)
    return np.pad(pixels, (sides[:2], sides[2:]), mode="reflect").reshape(-1)


# Evaluated once, during compilation; see ``correlation``.
@ops.constexpr  # type: ignore[untyped-decorator]
def _index_source(sides: Sides, size: Pair) -> Tensor:
    return Tensor(map_to_source(sides, size))


@ops.constexpr  # type: ignore[untyped-decorator]
def _index_copies(sides: Sides, size: Pair) -> tuple[Tensor, ...]:
    """Return the places of the 1st, 2nd, ... copy of each pixel; H' * W' if there are fewer."""
    return tuple(map(Tensor, find_places(map_to_source(sides, size), size[0] * size[1])))


@ops.constexpr  # type: ignore[untyped-decorator]
def _list_sides(sides: Sides, rank: int) -> Tensor:
    """Return the padding of each axis, (rank, 2)."""
    return Tensor(np.array([(0, 0)] * (rank - 2) + [sides[:2], sides[2:]], np.int64))


class _Fold(nn.Cell):  # type: ignore[misc]
    """Sums the copies of each pixel in padded images (..., H', W')."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self.sides = sides

    def construct(self, padded: Tensor) -> Tensor:
        """Return images (..., H, W)."""
        return sum_reflected(padded, _list_sides(self.sides, len(padded.shape)))

    def bprop(self, padded: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        """Return the gradient with respect to the padded images."""
        return (reflect(grad, _list_sides(self.sides, len(padded.shape))),)


class Reflect(nn.Cell):  # type: ignore[misc]
    """Pads images (..., H, W)."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self.sides, self.fold = sides, _Fold(sides)

    def construct(self, images: Tensor) -> Tensor:
        """Return padded images."""
        return reflect(images, _list_sides(self.sides, len(images.shape)))

    def bprop(self, images: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        """Return the gradient with respect to the images."""
        return (self.fold(grad),)


class ReflectBatchLast(nn.Cell):  # type: ignore[misc]
    """Pads images (C, H * W, N) of a size (H, W)."""

    def __init__(self, sides: Sides) -> None:
        super().__init__()
        self.sides = sides

    def construct(self, rows: Tensor, size: Pair) -> Tensor:
        """Return padded images (C, H' * W', N)."""
        return gather(rows, _index_source(self.sides, size), 1)

    def bprop(self, rows: Tensor, size: Pair, out: Tensor, grad: Tensor) -> tuple[Tensor, Pair]:
        """Return the gradient with respect to the images."""
        return sum_gathered(append_zeros(grad), _index_copies(self.sides, size)), size


class ReflectionPad2d(Fast, nn.ReflectionPad2d, BatchLast):  # type: ignore[misc]
    """:class:`mindspore.nn.ReflectionPad2d` with a second derivative, which also takes batch-last layout."""

    ranks = (4,)
    pays = False

    @staticmethod
    def stands_for(layer: nn.ReflectionPad2d) -> bool:
        return len(layer.padding) == 2

    def refit(self) -> None:
        self.reflects = self.stands_for(self)
        if self.reflects:
            (top, bottom), (left, right) = self.padding
            self.sides = (top, bottom, left, right)
            self.reflect, self.reflect_batch_last = Reflect(self.sides), ReflectBatchLast(self.sides)

    def construct(self, x: Tensor) -> Tensor:
        """Return padded images, (N, C, H', W') for (N, C, H, W)."""
        return self.reflect(x) if self.reflects and len(x.shape) > 1 else super().construct(x)

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return padded images (C, H', W', N) for images (C, H, W, N)."""
        channels, height, width, batch = x.shape
        top, bottom, left, right = self.sides
        rows = self.reflect_batch_last(x.reshape(channels, height * width, batch), (height, width))
        return rows.reshape(channels, top + height + bottom, left + width + right, batch)
