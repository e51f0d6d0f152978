"""The geometry of convolutions: sizes, and which pixels lie under which taps of which windows."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from mindspore import nn, ops
from numpy.typing import NDArray

Pair: TypeAlias = tuple[int, int]


class Geometry(NamedTuple):
    """The geometry of a convolution; pairs are (vertical, horizontal).

    Attributes:
        kernel: size in taps.
        stride: pixels from one window to the next.
        dilation: pixels from one tap to the next.
        mode: "pad", "same" or "valid", MindSpore's ``pad_mode``.
        padding: pixels of zeros at (top, bottom, left, right), for "pad".
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    mode: str
    padding: tuple[int, int, int, int]

    def __str__(self) -> str:
        """Return the arguments of a MindSpore layer."""
        padding = f", padding={self.padding}" if self.mode == "pad" else ""
        dilation = f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        return f"kernel_size={self.kernel}, stride={self.stride}, pad_mode='{self.mode}'{padding}{dilation}"

    def reach(self, axis: int) -> int:
        """Return the extent of a kernel in pixels."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def windows(self, axis: int, size: int) -> tuple[int, int]:
        """Return the number of windows of an image, and the padding before its first pixel."""
        stride, reach = self.stride[axis], self.reach(axis)
        if self.mode == "same":
            count = -(-size // stride)
            return count, max((count - 1) * stride + reach - size, 0) // 2
        before, after = self.cut(axis)
        return (size + before + after - reach) // stride + 1, before

    def size(self, axis: int, count: int) -> int:
        """Return the output size of a transposed convolution of a number of windows."""
        spare = self.reach(axis) - self.stride[axis]
        if self.mode == "valid":
            spare = max(spare, 0)
        return count * self.stride[axis] + spare - sum(self.cut(axis))

    def cut(self, axis: int) -> tuple[int, int]:
        """Return the padding at both ends, which a transposed convolution removes."""
        if self.mode == "same":
            spare = self.reach(axis) - self.stride[axis]
            return spare // 2, spare - spare // 2
        first, last = self.padding[2 * axis : 2 * axis + 2] if self.mode == "pad" else (0, 0)
        return first, last


def cut_tiles(geometry: Geometry) -> tuple[Geometry, Geometry] | None:
    """Express a transposed convolution as windows of pixels that each produce a tile of stride x stride.

    If the kernel is a multiple of the stride, all pixels of a tile depend on the same pixels of the image,
    kernel / stride along each axis, as in the sub-pixel convolution of Shi et al. (2016), arXiv:1609.05158.

    Returns:
        The geometry of the windows, with reversed taps, and that of the tiles, a transposed convolution whose
        windows do not overlap; None if the kernel is not a multiple of the stride.
    """
    if any(k % s or d > 1 for k, s, d in zip(geometry.kernel, geometry.stride, geometry.dilation, strict=True)):
        return None
    walk, lie = [], []
    for axis in (0, 1):
        kernel, stride, (first, last) = geometry.kernel[axis], geometry.stride[axis], geometry.cut(axis)
        skipped = first // stride  # tiles removed completely
        more = (kernel - 1 - last) // stride - skipped  # tiles in addition to one per pixel
        walk += [-skipped, more + skipped + 1 - kernel // stride]
        lie += [first % stride, stride * (more + 1 + skipped) + last - kernel]
    per_tile = (geometry.kernel[0] // geometry.stride[0], geometry.kernel[1] // geometry.stride[1])
    return (
        Geometry(per_tile, (1, 1), (-1, -1), "pad", (walk[0], walk[1], walk[2], walk[3])),
        Geometry(geometry.stride, geometry.stride, (1, 1), "pad", (lie[0], lie[1], lie[2], lie[3])),
    )


def map_taps_to_pixels(geometry: Geometry, size: Pair) -> NDArray[np.int32]:
    """Return the index of the pixel under each tap of each window, (windows, taps); H * W outside the image."""
    along = []
    for axis in (0, 1):
        count, before = geometry.windows(axis, size[axis])
        first = np.arange(count)[:, None] * geometry.stride[axis] - before
        along.append(first + np.arange(geometry.kernel[axis]) * geometry.dilation[axis])
    rows, columns = along[0][:, None, :, None], along[1][None, :, None, :]
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    pixels = np.where(inside, rows * size[1] + columns, size[0] * size[1])
    return pixels.reshape(-1, geometry.kernel[0] * geometry.kernel[1]).astype(np.int32)


def map_pixels_to_taps(geometry: Geometry, size: Pair) -> NDArray[np.int32]:
    """Return the taps over each pixel, (maximum taps per pixel, H * W), padded with the number of taps."""
    return find_places(map_taps_to_pixels(geometry, size).reshape(-1), size[0] * size[1])


def find_places(numbers: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Return the places of 0, 1, ..., count - 1 in an array, (maximum places, count), padded with its length."""
    order = np.argsort(numbers, kind="stable").astype(np.int32)
    order = order[numbers[order] < count]
    counts = np.bincount(numbers[order], minlength=count)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.full((counts.max(initial=1), count), len(numbers), np.int32)
    places[rank, numbers[order]] = order
    return places


@ops.constexpr  # type: ignore[untyped-decorator]
def compute_size(
    layer: str, geometry: tuple[Any, ...], channels: Pair, weight: tuple[int, ...], images: tuple[int, ...]
) -> Pair:
    """Return the output size (H', W') of a convolution.

    Shapes are checked here, because reshaping would accept some wrong shapes or produce empty tensors.

    Args:
        layer: "Conv2d" or "Conv2dTranspose".
        geometry: the geometry of the layer.
        channels: (in, out).
        weight: shape of the weight.
        images: shape of the images.

    Raises:
        ValueError: the images are not (N, in, H, W), the output is empty, or the weight has a wrong shape.
    """
    walk, transposed = Geometry(*geometry), layer == "Conv2dTranspose"
    expected = (*(channels if transposed else channels[::-1]), *walk.kernel)
    if weight != expected:
        raise ValueError(f"the weight of {layer} must have the shape {expected}, not {weight}")
    if len(images) != 4 or images[1] != channels[0]:
        raise ValueError(f"{layer} takes images of shape (N, {channels[0]}, H, W), not {images}")
    if transposed:
        size = (walk.size(0, images[2]), walk.size(1, images[3]))
    else:
        size = (walk.windows(0, images[2])[0], walk.windows(1, images[3])[0])
    if min(size) < 1:
        problem = "returns an empty output for" if transposed else "has a kernel larger than its images,"
        raise ValueError(f"{layer}({walk}) {problem} {images[2]} x {images[3]} pixels")
    return size


@ops.constexpr  # type: ignore[untyped-decorator]
def count_windows(geometry: tuple, size: Pair) -> Pair:  # type: ignore[type-arg]
    """Return the number of windows of an image, (vertical, horizontal)."""
    return tuple(Geometry(*geometry).windows(axis, size[axis])[0] for axis in (0, 1))  # type: ignore[return-value]


def get_geometry(layer: nn.Cell) -> Geometry:
    """Return the geometry of a MindSpore convolution."""
    padding = layer.padding if isinstance(layer.padding, tuple) else (layer.padding,) * 4
    return Geometry(layer.kernel_size, layer.stride, layer.dilation, layer.pad_mode, padding)


@ops.constexpr  # type: ignore[untyped-decorator]
def is_even(geometry: tuple, size: Pair) -> bool:  # type: ignore[type-arg]
    """Return whether a transposed convolution of an image's windows has the size of the image."""
    walk = Geometry(*geometry)
    return all(walk.size(axis, walk.windows(axis, size[axis])[0]) == size[axis] for axis in (0, 1))
