"""Stacked MNIST, three digits as colour channels: how many of 1,000 modes a generator reaches.

Run it:      ms-gan run recipes/stacked_mnist.py
Change it:   ms-gan run recipes/stacked_mnist.py --set objective=nonsaturating --set gamma=0 --set pack=2
See it:      ms-gan show recipes/stacked_mnist.py
Time:        at most 25 minutes on two cores; see docs/quality.md for results

The benchmark of mode collapse of Metz et al., 2016 (arXiv:1611.02163), by default with relativistic pairing, R1
and R2 (Huang et al., 2024, arXiv:2501.05441). The settings above are those of PacGAN (Lin et al., 2018,
arXiv:1712.04086), with the same networks.
"""

from functools import partial
from math import sqrt
from typing import Literal

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ms_gan_callbacks import (
    R1,
    R2,
    Checkpoint,
    CollapseGuard,
    Every,
    ImageGrid,
    NonSaturating,
    PackedDiscriminator,
    Recipe,
    RelativisticPairing,
    StackedLeNet,
    TensorBoard,
    kl_to_uniform,
    stacked_mnist,
    stacked_modes,
)

up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)


def gain(inputs: int) -> Normal:
    """Return initial weights that keep the variance through a LeakyReLU (He et al., 2015, arXiv:1502.01852)."""
    return Normal(sqrt(2 / inputs))


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, 3, 28, 28) in [-1, 1]."""

    def __init__(self, noise_dim: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(noise_dim, hidden, weight_init=gain(noise_dim)),
            nn.LeakyReLU(0.2),
            nn.Dense(hidden, 2 * channels * 7 * 7, weight_init=gain(hidden)),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            nn.LeakyReLU(0.2),
            up(2 * channels, channels, weight_init=gain(2 * channels * 4)),  # 4 of the 16 taps meet each pixel
            nn.LeakyReLU(0.2),
            up(channels, 3, weight_init=gain(channels * 4)),
            nn.Tanh(),
        )

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(noise)


class Discriminator(nn.Cell):
    """Packs of images (N, 3 * pack, 28, 28) to scores (N, 1)."""

    def __init__(self, channels: int, hidden: int, pack: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            down(3 * pack, channels, weight_init=gain(3 * pack * 16)),
            nn.LeakyReLU(0.2),
            down(channels, 2 * channels, weight_init=gain(16 * channels)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Dense(2 * channels * 7 * 7, hidden, weight_init=gain(2 * channels * 7 * 7)),
            nn.LeakyReLU(0.2),
            nn.Dense(hidden, 1, weight_init=gain(hidden)),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def recipe(
    data_dir: str | None = None,
    objective: Literal["pairing", "nonsaturating"] = "pairing",
    noise_dim: int = 64,
    hidden: int = 512,
    channels: int = 32,
    pack: int = 1,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    gamma: float = 1.0,
    ema: float = 0.999,
    epochs: int = 8,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    steps = max(1, epochs * (60_000 // max(1, batch_size)))  # the data source reports an invalid size
    discriminator = partial(Discriminator, channels, hidden, pack)
    penalties = [R1(gamma, every=4), R2(gamma, every=4)] if objective == "pairing" else [R1(gamma, every=4)]
    return Recipe(
        generator=partial(Generator, noise_dim, hidden, channels),
        discriminator=discriminator if pack == 1 else lambda: PackedDiscriminator(discriminator(), pack),
        objective=RelativisticPairing() if objective == "pairing" else NonSaturating(),
        penalty=penalties if gamma else None,
        # The paper sets beta1 to 0, which MindSpore does not accept.
        optimizer=lambda weights: nn.Adam(weights, nn.CosineDecayLR(0.0, learning_rate, steps), 0.01, 0.99),
        data=partial(stacked_mnist, data_dir, batch_size=batch_size),
        noise_dim=noise_dim,
        ema=ema,
        epochs=epochs,
        seed=seed,
        features=StackedLeNet(),
        metrics={"modes": stacked_modes, "kl": kl_to_uniform},
        evaluate_samples=26_000,
        test_data=partial(stacked_mnist, data_dir, split="test", batch_size=100),
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=8, columns=12),
            CollapseGuard(features=StackedLeNet()),
            Checkpoint(Every.epochs(1), keep=3, best="kl"),
        ],
    )
