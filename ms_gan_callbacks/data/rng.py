"""Deterministic randomness: random numbers as a function of (seed, stream name, index), without stored state."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError


def stream(seed: int, name: str, index: int) -> np.random.Generator:
    """Return a separate random generator for item ``index`` of the stream ``name``.

    The same three values give the same numbers on every machine and in every process, regardless of earlier
    draws. Different values give independent numbers.

    Args:
        seed: the run's seed, 0 or more.
        name: purpose of the numbers, e.g. ``"noise"``.
        index: step or epoch, 0 or more.

    Raises:
        RecipeError: the seed or the index is negative.
    """
    if seed < 0 or index < 0:
        raise RecipeError(f"seed and index must be 0 or more, got seed {seed} and index {index} of {name!r}")
    # Not hash(): Python salts string hashes differently in every process.
    key = (zlib.crc32(name.encode()), index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def noise(seed: int, name: str, index: int, count: int, dim: int) -> NDArray[np.float32]:
    """Return ``count`` noise vectors, shape (count, dim), N(0, 1), determined by (seed, name, index)."""
    return stream(seed, name, index).standard_normal((count, dim), dtype=np.float32)
