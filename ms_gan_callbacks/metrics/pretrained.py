"""Weights of the networks that are included in the package."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from ms_gan_callbacks.errors import GanError

WEIGHTS = Path(__file__).parent / "weights"


def load_weights(path: Path, sha256: str) -> dict[str, NDArray[np.float32]]:
    """Return the weights in a file by name; raise GanError if it cannot be read, or its sha256 is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GanError(f"{path} cannot be read ({error.strerror}); reinstall ms-gan-callbacks") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise GanError(f"{path} is damaged: its sha256 is not {sha256[:8]}...; reinstall ms-gan-callbacks")
    weights: dict[str, NDArray[np.float32]] = load(content)
    return weights
