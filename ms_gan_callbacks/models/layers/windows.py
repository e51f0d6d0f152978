"""Images to the windows that a kernel sees, and back: the half of a convolution that is not a matrix product.

::

    pixels (N, H, W, C)  ── Unfold ──>  windows (N, windows + 1, taps * C)
    pixels (N, H, W, C)  <── Fold ────  windows          each pixel the sum of what its windows hold for it

The last window is empty: all zeros. That is where a gather looks for what lies outside, and the matrix products
before and after keep it so; appending it to the windows themselves would copy the largest array there is. Each is
the other's gradient. Both are gathers of whole pixels (C numbers that lie together), which a CPU does at the
speed of its memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.models.layers.primitives import add_n, each, gather, slice_of

Pair: TypeAlias = tuple[int, int]


class Geometry(NamedTuple):
    """How a kernel walks over an image; everything a static pair is (vertical, horizontal).

    Attributes:
        kernel: taps.
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
        """Write the arguments as a stock layer takes them."""
        padding = f", padding={self.padding}" if self.mode == "pad" else ""
        dilation = f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        return f"kernel_size={self.kernel}, stride={self.stride}, pad_mode='{self.mode}'{padding}{dilation}"

    def reach(self, axis: int) -> int:
        """Return the pixels from a kernel's first tap to its last, both counted."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def windows(self, axis: int, size: int) -> tuple[int, int]:
        """Return how many windows an image of a size has, and the zeros before its first pixel."""
        stride, reach = self.stride[axis], self.reach(axis)
        if self.mode == "same":
            count = -(-size // stride)
            return count, max((count - 1) * stride + reach - size, 0) // 2
        before, after = self.cut(axis)
        return (size + before + after - reach) // stride + 1, before

    def size(self, axis: int, count: int) -> int:
        """Return the size of the image that a transposed convolution makes of so many windows."""
        spare = self.reach(axis) - self.stride[axis]
        if self.mode == "valid":
            spare = max(spare, 0)
        return count * self.stride[axis] + spare - sum(self.cut(axis))

    def cut(self, axis: int) -> tuple[int, int]:
        """Return the pixels that a transposed convolution cuts off at either end, those that padding adds."""
        if self.mode == "same":
            spare = self.reach(axis) - self.stride[axis]
            return spare // 2, spare - spare // 2
        first, last = self.padding[2 * axis : 2 * axis + 2] if self.mode == "pad" else (0, 0)
        return first, last


def cut_tiles(geometry: Geometry) -> tuple[Geometry, Geometry] | None:
    """Take a transposed convolution as windows of pixels that each make one tile of stride x stride.

    Where the kernel is a multiple of the stride, all pixels of a tile are made of the same pixels of the image,
    kernel / stride along each axis, as in the sub-pixel convolution of Shi et al. (2016), arXiv:1609.05158.

    Returns:
        How the windows walk, each of them backwards, as the taps come; and how the tiles lie, a transposed
        convolution whose windows do not overlap. None where the kernel is no multiple.
    """
    if any(k % s or d > 1 for k, s, d in zip(geometry.kernel, geometry.stride, geometry.dilation, strict=True)):
        return None
    walk, lie = [], []
    for axis in (0, 1):
        kernel, stride, (first, last) = geometry.kernel[axis], geometry.stride[axis], geometry.cut(axis)
        skipped = first // stride  # tiles that are cut off whole
        more = (kernel - 1 - last) // stride - skipped  # tiles, beside one for each pixel
        walk += [-skipped, more + skipped + 1 - kernel // stride]
        lie += [first % stride, stride * (more + 1 + skipped) + last - kernel]
    per_tile = (geometry.kernel[0] // geometry.stride[0], geometry.kernel[1] // geometry.stride[1])
    return (
        Geometry(per_tile, (1, 1), (-1, -1), "pad", (walk[0], walk[1], walk[2], walk[3])),
        Geometry(geometry.stride, geometry.stride, (1, 1), "pad", (lie[0], lie[1], lie[2], lie[3])),
    )


def pixels_of_taps(geometry: Geometry, size: Pair) -> NDArray[np.int32]:
    """Return the pixel under every tap of every window, (windows, taps); H * W where there is none."""
    along = []
    for axis in (0, 1):
        count, before = geometry.windows(axis, size[axis])
        first = np.arange(count)[:, None] * geometry.stride[axis] - before
        along.append(first + np.arange(geometry.kernel[axis]) * geometry.dilation[axis])
    rows, columns = along[0][:, None, :, None], along[1][None, :, None, :]
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    pixels = np.where(inside, rows * size[1] + columns, size[0] * size[1])
    return pixels.reshape(-1, geometry.kernel[0] * geometry.kernel[1]).astype(np.int32)


def taps_of_pixels(geometry: Geometry, size: Pair) -> NDArray[np.int32]:
    """Return the taps over every pixel, (most taps over one pixel, H * W), filled up with the number of taps."""
    pixels = pixels_of_taps(geometry, size).reshape(-1)
    order = np.argsort(pixels, kind="stable").astype(np.int32)
    order = order[pixels[order] < size[0] * size[1]]
    counts = np.bincount(pixels[order], minlength=size[0] * size[1])
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    taps = np.full((counts.max(initial=1), size[0] * size[1]), len(pixels), np.int32)
    taps[rank, pixels[order]] = order
    return taps


# Worked out once, while the graph is compiled. What follows holds no branch and no loop: MindSpore's compiler
# fails with "the func graph is empty" on either inside a gradient written by hand.
@ops.constexpr  # type: ignore[untyped-decorator]
def _gather_by_windows(geometry: tuple, size: Pair) -> Tensor:  # type: ignore[type-arg]
    pixels = pixels_of_taps(Geometry(*geometry), size)
    empty = np.full((1, pixels.shape[1]), size[0] * size[1], np.int32)
    return Tensor(np.concatenate((pixels, empty)).reshape(-1))


@ops.constexpr  # type: ignore[untyped-decorator]
def _gather_by_pixels(geometry: tuple, size: Pair) -> tuple[Tensor, ...]:  # type: ignore[type-arg]
    return tuple(Tensor(taps) for taps in taps_of_pixels(Geometry(*geometry), size))


@ops.constexpr  # type: ignore[untyped-decorator]
def size_after(
    layer: str, geometry: tuple[Any, ...], channels: Pair, weight: tuple[int, ...], images: tuple[int, ...]
) -> Pair:
    """Return (H', W') of what a convolution makes of images that its stock layer takes, too.

    Looked at here, where shapes are known: what reshapes and multiplies them takes some that do not fit for
    something else, or makes an empty tensor of them.

    Args:
        layer: "Conv2d" or "Conv2dTranspose".
        geometry: how its kernel walks.
        channels: (in, out).
        weight: the shape of its weight.
        images: the shape of the images.

    Raises:
        ValueError: they are not (N, in, H, W), nothing is left of them, or the weight is another layer's.
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
        what = "leaves nothing of" if transposed else "has a kernel larger than its images,"
        raise ValueError(f"{layer}({walk}) {what} {images[2]} x {images[3]} pixels")
    return size


@ops.constexpr  # type: ignore[untyped-decorator]
def window_grid(geometry: tuple, size: Pair) -> Pair:  # type: ignore[type-arg]
    """Return how many windows an image of a size has: (vertical, horizontal)."""
    return tuple(Geometry(*geometry).windows(axis, size[axis])[0] for axis in (0, 1))  # type: ignore[return-value]


def channels_last(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) as (N, H, W, C)."""
    batch, channels, height, width = images.shape
    if channels > 1:
        images = ops.transpose(images.reshape(batch, channels, height * width), (0, 2, 1))
    return images.reshape(batch, height, width, channels)


def channels_first(pixels: Tensor) -> Tensor:
    """Return pixels (N, H, W, C) as images (N, C, H, W)."""
    batch, height, width, channels = pixels.shape
    if channels > 1:
        pixels = ops.transpose(pixels.reshape(batch, height * width, channels), (0, 2, 1))
    return pixels.reshape(batch, channels, height, width)


def with_zeros(rows: Tensor) -> Tensor:
    """Return rows (N, R, C) with one of zeros behind the last: what a gather finds where there is nothing."""
    return ops.concat((rows, ops.zeros((rows.shape[0], 1, rows.shape[2]), rows.dtype)), 1)


class WithoutLast(nn.Cell):  # type: ignore[misc]
    """Rows (N, R + 1, C) without the last of each: the gradient of what it drops is zero."""

    def construct(self, rows: Tensor) -> Tensor:
        """Return (N, R, C)."""
        return slice_of(rows, (0, 0, 0), (rows.shape[0], rows.shape[1] - 1, rows.shape[2]))

    def bprop(self, rows: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        """Return the gradient with respect to the rows."""
        return (with_zeros(grad),)


def _pick(rows: Tensor, indices: Tensor) -> Tensor:
    return gather(rows, indices, 1)


def unfold(pixels: Tensor, geometry: tuple) -> Tensor:  # type: ignore[type-arg]
    """Return the windows (N, windows + 1, taps * C) of pixels (N, H, W, C), the last of them empty."""
    batch, height, width, channels = pixels.shape
    rows = with_zeros(pixels.reshape(batch, height * width, channels))
    taps = gather(rows, _gather_by_windows(geometry, (height, width)), 1)
    return taps.reshape(batch, -1, geometry[0][0] * geometry[0][1] * channels)


def fold(windows: Tensor, size: Pair, geometry: tuple) -> Tensor:  # type: ignore[type-arg]
    """Return pixels (N, H, W, C) for windows (N, windows + 1, taps * C), each the sum of its taps in all windows.

    The last window must be empty.
    """
    batch, channels = windows.shape[0], windows.shape[2] // (geometry[0][0] * geometry[0][1])
    rows = windows.reshape(batch, -1, channels)
    taps = _gather_by_pixels(geometry, size)
    return add_n(each(ops.partial(_pick, rows), taps)).reshape(batch, size[0], size[1], channels)


class Unfold(nn.Cell):  # type: ignore[misc]
    """Pixels (N, H, W, C) to their windows (N, windows + 1, taps * C), folded back for a gradient."""

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
    """Windows (N, windows + 1, taps * C) to the pixels (N, H, W, C) that they make, of a size (H, W), and back."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = tuple(geometry)

    def construct(self, windows: Tensor, size: Pair) -> Tensor:
        """Return the pixels."""
        return fold(windows, size, self.geometry)

    def bprop(self, windows: Tensor, size: Pair, out: Tensor, grad: Tensor) -> tuple[Tensor, Pair]:
        """Return the gradient with respect to the windows."""
        return unfold(grad, self.geometry), size
