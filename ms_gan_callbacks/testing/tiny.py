"""A tiny GAN for tests with real training."""

from __future__ import annotations

import tempfile
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.training.runner import Runner


class TinyGenerator(nn.Cell):  # type: ignore[misc]
    """Noise (N, noise_dim) to images (N, 1, 4, 4), with batch normalisation."""

    def __init__(self, noise_dim: int = 3) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(noise_dim, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Dense(8, 16), nn.Tanh()
        )

    def construct(self, noise: Tensor) -> Tensor:
        """Generate images."""
        return self.layers(noise).reshape(-1, 1, 4, 4)


class TinyDiscriminator(nn.Cell):  # type: ignore[misc]
    """Images (N, 1, 4, 4) to logits (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(16, 8), nn.LeakyReLU(0.2), nn.Dense(8, 1))

    def construct(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.layers(images.reshape(-1, 16))


def make_tiny_images() -> NDArray[np.uint8]:
    """Return 20 images of shape (1, 4, 4): five batches of 4."""
    return stream(0, "tiny images", 0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)


class Snapshots(Callback):
    """Records the sha256 of every parameter after every step."""

    order = 1000  # after all other callbacks

    def __init__(self) -> None:
        self.taken: dict[int, dict[str, str]] = {}

    @classmethod
    def record(cls, *callbacks: Callback, epochs: int) -> dict[int, dict[str, str]]:
        """Train the tiny GAN with callbacks; return the snapshots by step."""
        snapshots = cls()
        with tempfile.TemporaryDirectory(prefix="run-") as folder:
            runner = Runner(
                TinyGenerator,
                TinyDiscriminator,
                optimizer=partial(nn.Adam, learning_rate=1e-2),
                noise_dim=3,
                out_dir=Path(folder) / "run",
            )
            runner.train(epochs, make_tiny_images(), [*callbacks, snapshots], batch_size=4, quiet=True)
        return snapshots.taken

    def on_train_step_end(self, run: Run) -> None:
        """Record the parameters."""
        network: Any = run.train_network
        self.taken[run.step] = {
            parameter.name: sha256(parameter.asnumpy().tobytes()).hexdigest()
            for parameter in network.get_parameters()
        }

    # Again, after the other callbacks have handled the event:
    on_train_epoch_end = on_train_end = on_train_step_end


@lru_cache
def record_baseline(epochs: int) -> dict[int, dict[str, str]]:
    """Return the snapshots of a run without callbacks."""
    return Snapshots.record(epochs=epochs)
