"""Features of images of any size and kind: what is left of them when they are shrunk to a few pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError, is_whole

_CHUNK = 500  # images at a time, which are floats meanwhile


def thumbnails(images: NDArray[np.uint8], size: int = 8) -> NDArray[np.float32]:
    """Return images shrunk to ``size`` x ``size``, each pixel the mean of those it covers: (N, C * size * size).

    Features for images that no classifier is at hand for: they tell colours and coarse shapes apart, nothing
    finer. Numbers of another ``size`` do not compare.

    Args:
        images: uint8 (N, C, H, W), of any size.
        size: pixels of a side, at least 1; ``partial(thumbnails, size=16)`` are other features.

    Returns:
        float32, from 0 to 1.

    Raises:
        UsageError: ``size`` is no whole number of at least 1.
    """
    if not is_whole(size, 1):
        raise UsageError(f"thumbnails(size=...) takes a whole number of at least 1, got {size!r}")
    count, channels, height, width = images.shape
    rows, columns = _means(height, size), _means(width, size).T
    features = np.empty((count, channels, size, size), np.float32)
    for start in range(0, count, _CHUNK):
        features[start : start + _CHUNK] = rows @ images[start : start + _CHUNK].astype(np.float32) @ columns
    features /= np.float32(255)
    flat: NDArray[np.float32] = features.reshape(count, -1)
    return flat


def _means(length: int, size: int) -> NDArray[np.float32]:
    """Return the matrix (size, length) that turns a row of pixels into the means of ``size`` equal stretches."""
    edges, pixels = np.linspace(0, length, size + 1)[:, np.newaxis], np.arange(length)
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    means: NDArray[np.float32] = (np.clip(covered, 0, None) * (size / length)).astype(np.float32)
    return means
