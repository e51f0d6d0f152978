"""Image grids, and arrays as PNG and npz files."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from PIL import Image

from ms_gan_callbacks.storage.files import replace_file

READABLE = 84
"""Minimum length in pixels of the longer side of an enlarged image."""
MOST_PIXELS = 89_000_000
"""Maximum size of a grid: Pillow rejects larger images as decompression bombs."""


def to_uint8(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert images to 0..255: floats in [-1, 1] are scaled and clipped, uint8 is returned unchanged."""
    if images.dtype == np.uint8:
        return images
    scaled = (np.nan_to_num(images.astype(np.float32), nan=-1.0) + 1.0) * 127.5
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def image_grid(images: NDArray[Any], columns: int, padding: int = 2, scale: int | None = 1) -> NDArray[np.uint8]:
    """Arrange images in rows on a black background.

    Args:
        images: shape (N, 1, H, W) for grey or (N, 3, H, W) for colour; floats in [-1, 1] or uint8.
        columns: images per row; the last row may be shorter.
        padding: black pixels around every image, not enlarged.
        scale: factor by which images are enlarged (nearest neighbour). None chooses it by the size of the images:
            3 for 28 x 28, 1 from 84 pixels on, and smaller if the grid would exceed Pillow's size limit.

    Returns:
        uint8 of shape (height, width) for grey, (height, width, 3) for colour.

    Raises:
        ValueError: the shape is invalid, or ``columns`` or ``scale`` is below 1.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.size == 0:
        raise ValueError(f"image_grid takes (N, 1, H, W) or (N, 3, H, W) images, not shape {images.shape}")
    count, channels, height, width = images.shape
    if scale is None:
        scale = _fit_scale(count, columns, height, width, padding)
    for name, value in (("columns", columns), ("scale", scale)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    shape = compute_grid_shape(count, columns, height, width, padding, scale)
    grid = np.zeros((*shape, channels), np.uint8)
    height, width = scale * height, scale * width
    for index, image in enumerate(to_uint8(images)):
        top = index // columns * (height + padding) + padding
        left = index % columns * (width + padding) + padding
        enlarged = image.repeat(scale, axis=1).repeat(scale, axis=2)
        grid[top : top + height, left : left + width] = enlarged.transpose(1, 2, 0)
    return grid[:, :, 0] if channels == 1 else grid


def interleave(groups: Sequence[NDArray[Any]], columns: int) -> NDArray[Any]:
    """Return groups of images, each (N, C, H, W), as one: ``columns`` images of each group in turn.

    Smaller images are enlarged by a whole factor and centred on black, and grey images get three channels, so that
    all have the same shape.
    """
    if len(groups) == 1:
        return groups[0]
    channels, height, width = (max(group.shape[axis] for group in groups) for axis in (1, 2, 3))
    fitted = [_fit(group, channels, height, width) for group in groups]
    starts = range(0, len(fitted[0]), columns)
    return np.concatenate([group[start : start + columns] for start in starts for group in fitted])


def _fit(images: NDArray[Any], channels: int, height: int, width: int) -> NDArray[np.uint8]:
    factor = max(1, min(height // images.shape[2], width // images.shape[3]))
    enlarged = to_uint8(images).repeat(factor, axis=2).repeat(factor, axis=3)
    fitted = np.zeros((len(images), channels, height, width), np.uint8)
    top, left = (height - enlarged.shape[2]) // 2, (width - enlarged.shape[3]) // 2
    fitted[:, :, top : top + enlarged.shape[2], left : left + enlarged.shape[3]] = enlarged
    return fitted


def compute_grid_shape(
    count: int, columns: int, height: int, width: int, padding: int = 2, scale: int = 1
) -> tuple[int, int]:
    """Return the height and width of an :func:`image_grid` in pixels."""
    rows = -(-count // columns)
    return rows * (scale * height + padding) + padding, columns * (scale * width + padding) + padding


def _fit_scale(count: int, columns: int, height: int, width: int, padding: int) -> int:
    scale = max(1, -(-READABLE // max(height, width)))
    while scale > 1 and math.prod(compute_grid_shape(count, columns, height, width, padding, scale)) > MOST_PIXELS:
        scale -= 1
    return scale


def write_npz(file: IO[bytes], name: str, shape: tuple[int, ...], parts: Iterable[NDArray[Any]]) -> None:
    """Write an array as a compressed .npz, part by part, so that it does not need to fit into memory.

    The parts are consecutive blocks of the rows of an array of this shape, all of one type.
    """
    with ZipFile(file, "w", ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        for number, part in enumerate(parts):
            if number == 0:
                header = {"descr": part.dtype.str, "fortran_order": False, "shape": shape}
                write_array_header_1_0(entry, header)  # type: ignore[no-untyped-call]
            entry.write(np.ascontiguousarray(part).data)


def to_png(image: NDArray[np.uint8]) -> bytes:
    """Return a (H, W) or (H, W, 3) uint8 image as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def save_png(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write a (H, W) or (H, W, 3) uint8 image as PNG, atomically; an existing file is replaced."""
    replace_file(Path(path), to_png(image))
