"""Weights and layers of the networks that are included in the package, in NumPy."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import load

from ms_gan_callbacks.errors import GanError

Floats = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "weights"
_EPSILON = np.float32(1e-6)


def load_weights(path: Path, sha256: str) -> dict[str, Floats]:
    """Return the weights in a file by name; raise GanError if it cannot be read, or its sha256 is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GanError(f"{path} cannot be read ({error.strerror}); reinstall ms-gan-callbacks") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise GanError(f"{path} is damaged: its sha256 is not {sha256[:8]}...; reinstall ms-gan-callbacks")
    weights: dict[str, Floats] = load(content)
    return weights


def convolve(maps: Floats, kernels: Floats, stride: int = 1) -> Floats:
    """Return maps (N, H, W, C) convolved with kernels (D, C, K, K), without padding and bias: (N, H', W', D)."""
    size = kernels.shape[-1]
    windows = sliding_window_view(maps, (size, size), axis=(1, 2))  # type: ignore[call-overload]  # (N, H', W', C, K, K)
    patches = windows[:, ::stride, ::stride]
    # Channels last, because they are contiguous in the maps: copying patches dominates the time.
    flat = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernels[0].size)
    products: Floats = flat @ kernels.transpose(2, 3, 1, 0).reshape(-1, len(kernels))
    return products.reshape(*patches.shape[:3], -1)


def scale_rows(values: Floats) -> Floats:
    """Return rows (N, D) scaled to a mean square of 1."""
    scaled: Floats = values / np.sqrt(np.square(values).mean(axis=1, keepdims=True) + _EPSILON)
    return scaled
