"""Downscaled images as features, for images of any size and kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError, is_whole
from ms_gan_callbacks.metrics.resizing import build_averages

_CHUNK = 500  # images converted to floats at a time


def thumbnails(images: NDArray[np.uint8], size: int = 8) -> NDArray[np.float32]:
    """Return images downscaled to ``size`` x ``size`` by averaging, (N, C * size * size).

    Features for images without a suitable classifier: they represent colours and coarse shapes only. Results for
    different values of ``size`` cannot be compared.

    Args:
        images: uint8 (N, C, H, W), of any size.
        size: height and width in pixels, at least 1; change it with ``partial(thumbnails, size=16)``.

    Returns:
        float32, from 0 to 1.

    Raises:
        UsageError: ``size`` is not a whole number of at least 1.
    """
    if not is_whole(size, 1):
        raise UsageError(f"thumbnails(size=...) takes a whole number of at least 1, got {size!r}")
    count, channels, height, width = images.shape
    rows, columns = build_averages(height, size), build_averages(width, size).T
    features = np.empty((count, channels, size, size), np.float32)
    for start in range(0, count, _CHUNK):
        features[start : start + _CHUNK] = rows @ images[start : start + _CHUNK].astype(np.float32) @ columns
    features /= np.float32(255)
    flat: NDArray[np.float32] = features.reshape(count, -1)
    return flat
