"""Pictures out of arrays: one grid from many images, one PNG from a grid."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ms_gan_callbacks.files import replace_file


def to_uint8(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring images to 0..255: floats in [-1, 1] are scaled and clipped, uint8 stays as it is."""
    if images.dtype == np.uint8:
        return images
    scaled = (np.nan_to_num(images.astype(np.float32), nan=-1.0) + 1.0) * 127.5
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def image_grid(images: NDArray[Any], columns: int, padding: int = 2) -> NDArray[np.uint8]:
    """Lay images out row by row, left to right, on a black ground.

    Args:
        images: shape (N, 1, H, W) for grey or (N, 3, H, W) for colour; floats in [-1, 1] or uint8.
        columns: images in a row; the last row may stay shorter.
        padding: black pixels around every image.

    Returns:
        uint8 of shape (height, width) for grey, (height, width, 3) for colour.

    Raises:
        ValueError: the shape is none of the above, or ``columns`` is below 1.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(f"image_grid takes (N, 1, H, W) or (N, 3, H, W) images, not shape {images.shape}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    cell_height, cell_width = height + padding, width + padding
    grid = np.zeros((rows * cell_height + padding, columns * cell_width + padding, channels), np.uint8)
    for index, image in enumerate(to_uint8(images)):
        top = index // columns * cell_height + padding
        left = index % columns * cell_width + padding
        grid[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return grid[:, :, 0] if channels == 1 else grid


def save_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as a compressed .npz, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    replace_file(path, buffer.getvalue())


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a (H, W) or (H, W, 3) uint8 picture as PNG, whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    replace_file(path, buffer.getvalue())
