"""A small DCGAN (Radford et al., 2015, arXiv:1511.06434) on Fashion-MNIST, without batch normalization.

Run it:      ms-gan run recipes/fashion_dcgan.py
Change it:   ms-gan run recipes/fashion_dcgan.py --set channels=64 --set epochs=10
See it:      ms-gan show recipes/fashion_dcgan.py
Time:        about seven minutes on two cores; see docs/gallery.md for results

Install the data with ``apt-get install dataset-fashion-mnist``, or pass its directory with ``--set data_dir=``.
"""

from functools import partial
from math import sqrt

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ms_gan_callbacks import (
    R1,
    Checkpoint,
    CollapseGuard,
    Every,
    ImageGrid,
    NonSaturating,
    PictureNet,
    Recipe,
    TensorBoard,
    fashion_mnist,
    fld,
)

up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)


def gain(inputs: int) -> Normal:
    """Return initial weights that keep the variance through a LeakyReLU (He et al., 2015, arXiv:1502.01852)."""
    return Normal(sqrt(2 / inputs))


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, 1, 28, 28) in [-1, 1]."""

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
            up(channels, 1, weight_init=gain(channels * 4)),
            nn.Tanh(),
        )

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(noise)


class Discriminator(nn.Cell):
    """Images (N, 1, 28, 28) to logits (N, 1); without BatchNorm, so that real and fake images share one pass."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            down(1, channels, weight_init=gain(16)),
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
    noise_dim: int = 64,
    channels: int = 32,
    hidden: int = 512,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    gamma: float = 1.0,
    ema: float = 0.999,
    epochs: int = 5,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    steps = max(1, epochs * (60_000 // max(1, batch_size)))  # the data source reports an invalid size
    return Recipe(
        generator=partial(Generator, noise_dim, hidden, channels),
        discriminator=partial(Discriminator, channels, hidden),
        objective=NonSaturating(),
        penalty=R1(gamma, every=4),
        # Adam without momentum: MindSpore does not accept a beta1 of 0.
        optimizer=lambda weights: nn.Adam(weights, nn.CosineDecayLR(0.0, learning_rate, steps), 0.01, 0.99),
        data=partial(fashion_mnist, data_dir, batch_size=batch_size),
        noise_dim=noise_dim,
        ema=ema,
        epochs=epochs,
        seed=seed,
        metrics={"fld": fld},
        features=PictureNet(),
        test_data=partial(fashion_mnist, data_dir, split="test", batch_size=100),  # a divisor of 10,000
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=8, columns=12),
            CollapseGuard(features=PictureNet()),
            Checkpoint(Every.epochs(1), keep=3, best="fld"),
        ],
    )
