"""A small GAN on MNIST that logs the brightness of its images; trains in seconds.

Run it:      ms-gan run ink_mlp
"""

from functools import partial

from mindspore import Tensor, nn

from ms_gan_callbacks import Checkpoint, ImageGrid, NonSaturating, Recipe, mnist

# Absolute imports: the run directory contains a copy of this file only.
from ms_gan_ink.callbacks import InkLog
from ms_gan_ink.metrics import ink_gap


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, noise_dim: int, width: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(noise_dim, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dense(width, 28 * 28), nn.Tanh()
        )

    def construct(self, noise: Tensor) -> Tensor:
        """Generate images."""
        return self.layers(noise).reshape(-1, 1, 28, 28)


class Discriminator(nn.Cell):
    """Images (N, 1, 28, 28) to logits (N, 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(28 * 28, width), nn.LeakyReLU(0.2), nn.Dense(width, 1))

    def construct(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.layers(images.reshape(-1, 28 * 28))


def recipe(
    data_dir: str | None = None,
    width: int = 256,
    batch_size: int = 50,
    learning_rate: float = 1e-3,
    epochs: int = 3,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be changed with ``--set``."""
    return Recipe(
        generator=partial(Generator, 64, width),
        discriminator=partial(Discriminator, width),
        objective=NonSaturating(),
        optimizer=partial(nn.Adam, learning_rate=learning_rate, beta1=0.5),
        data=partial(mnist, data_dir, batch_size=batch_size),
        noise_dim=64,
        epochs=epochs,
        seed=seed,
        metrics={"ink_gap": ink_gap},
        callbacks=[InkLog(), ImageGrid(), Checkpoint()],
    )
