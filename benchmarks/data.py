"""MNIST as every contestant reads it: one uint8 array, gathered, scaled and joined by noise batch by batch."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks import mnist
from ms_gan_callbacks.data.mnist import PACKAGED

WHOLE = 60_000
CONVOLUTIONS = 8  # a step of the layers' contest


def digits(count: int = WHOLE) -> NDArray[np.uint8]:
    """Return that many digits, (count, 1, 28, 28), from the first on and over again if there are fewer."""
    images: NDArray[np.uint8] = mnist().images
    return images[:count] if count <= len(images) else np.resize(images, (count, *images.shape[1:]))


def feed(images: NDArray[np.uint8], batch: int, noise_dim: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (real, noise) without end, shuffled anew each epoch: float32 in [-1, 1], and N(0, 1)."""
    draw = np.random.default_rng(0)
    while True:
        order = draw.permutation(len(images))
        for end in range(batch, len(images) + 1, batch):
            real = np.divide(images.take(order[end - batch : end], axis=0), np.float32(127.5), dtype=np.float32)
            real -= np.float32(1)
            yield real, draw.standard_normal((batch, noise_dim), dtype=np.float32)


def convolution_data(shape: tuple[int, ...], seed: int) -> list[NDArray[np.float32]]:
    """Return ``CONVOLUTIONS`` different arrays of a shape: of equal ones a compiler needs to work on one only."""
    draw = np.random.default_rng(seed)
    return [draw.standard_normal(shape, dtype=np.float32) for _ in range(CONVOLUTIONS)]


def network_data(model: str, batch: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return inputs of ``unet`` (images) or ``residual`` (noise), and a gradient of their outputs."""
    draw = np.random.default_rng(0)
    inputs = (batch, 3, 64, 64) if model == "unet" else (batch, 128)
    return tuple(draw.standard_normal(shape, dtype=np.float32) for shape in (inputs, (batch, 3, 64, 64)))  # type: ignore[return-value]


def unpack(into: Path) -> None:
    """Put MNIST's files, unpacked, where MnistDataset can read them."""
    into.mkdir(parents=True, exist_ok=True)
    for path in PACKAGED.glob("*-ubyte.gz"):
        (into / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
