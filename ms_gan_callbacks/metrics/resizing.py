"""Resizing of images: by linear interpolation to a larger size, by averages to a smaller one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def resize(images: NDArray[np.uint8], size: int) -> Floats:
    """Return images (N, C, H, W) as floats (N, C, size, size) from 0 to 255."""
    rows, columns = (_build_resizing(length, size) for length in images.shape[2:])
    resized: Floats = rows @ images.astype(np.float32) @ columns.T
    return resized


@lru_cache(maxsize=8)
def _build_resizing(length: int, size: int) -> Floats:
    """Return the matrix (size, length) that resizes a row of pixels."""
    if length >= size:
        return build_averages(length, size)
    centres = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    weights: Floats = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - np.arange(length))).astype(np.float32)
    return weights


def build_averages(length: int, size: int) -> NDArray[np.float32]:
    """Return the matrix (size, length) that averages a row of pixels over ``size`` equal intervals."""
    edges, pixels = np.linspace(0, length, size + 1)[:, np.newaxis], np.arange(length)
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    means: NDArray[np.float32] = (np.clip(covered, 0, None) * (size / length)).astype(np.float32)
    return means
