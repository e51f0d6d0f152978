"""What the tests of metrics share: digits, features to compare, an extractor that counts its calls."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from ms_gan_callbacks.data.mnist import mnist
from ms_gan_callbacks.metrics.sample import Sample

FEW = 700


class Digits(NamedTuple):
    real: np.ndarray
    other: np.ndarray
    labels: np.ndarray  # of the others


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Return 700 real digits, and 4,300 others with their labels."""
    source = mnist(count=5000)
    return Digits(source.images[:FEW], source.images[FEW:], np.asarray(source.labels)[FEW:])


def vectors(count: int, dim: int = 6, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Return correlated vectors (count, dim), no two alike."""
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(dim).normal(size=(dim, dim))  # of full rank, the same for every seed
    return shift + scale * random.normal(size=(count, dim)) @ mix


def sample_of(features: np.ndarray) -> Sample:
    """Return a sample with these features."""
    return Sample(np.zeros((len(features), 1, 1, 1), np.uint8), lambda _: features)


class Mean:
    """Two features an image, its mean and spread; counts how many images it has seen."""

    name = "mean-1"

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        flat = images.reshape(len(images), -1)
        return np.stack([flat.mean(axis=1), flat.std(axis=1)], axis=1)


def noise_images(count: int, seed: int = 0) -> np.ndarray:
    """Return uint8 images (count, 1, 4, 4)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), np.uint8)
