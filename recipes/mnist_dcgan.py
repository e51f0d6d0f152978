"""A small DCGAN (Radford et al., 2015, arXiv:1511.06434) on MNIST.

Run it:      ms-gan run recipes/mnist_dcgan.py
Change it:   ms-gan run recipes/mnist_dcgan.py --set channels=64 --set epochs=10
See it:      ms-gan show recipes/mnist_dcgan.py
Time:        at most eight minutes on two cores; see docs/gallery.md for results

Beyond the paper: the penalty R1 (Mescheder et al., 2018, arXiv:1801.04406) in every fourth step, a learning rate
that decays to 0, a moving average of the generator, which makes the images, and the settings of Adam of Karras et
al., 2019 (arXiv:1812.04948; MindSpore does not accept a beta1 of 0).
"""

from functools import partial

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ms_gan_callbacks import (
    R1,
    Checkpoint,
    CollapseGuard,
    Every,
    ImageGrid,
    NonSaturating,
    Recipe,
    TensorBoard,
    fld,
    mnist,
)

up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, noise_dim: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(noise_dim, 2 * channels * 7 * 7, weight_init=Normal(0.02), has_bias=False),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            up(2 * channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            up(channels, 1),
            nn.Tanh(),
        )

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(noise)


class Discriminator(nn.Cell):
    """Images (N, 1, 28, 28) to logits (N, 1); without BatchNorm, so that real and fake images share one pass."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            down(1, channels),
            nn.LeakyReLU(0.2),
            down(channels, 2 * channels),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Dense(2 * channels * 7 * 7, hidden, weight_init=Normal(0.02)),
            nn.LeakyReLU(0.2),
            nn.Dense(hidden, 1, weight_init=Normal(0.02)),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def recipe(
    data_dir: str | None = None,
    noise_dim: int = 64,
    channels: int = 32,
    hidden: int = 512,
    batch_size: int = 64,
    learning_rate: float = 4e-4,
    gamma: float = 1.0,
    ema: float = 0.999,
    epochs: int = 8,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    steps = max(1, epochs * (60_000 // max(1, batch_size)))  # the data source reports an invalid size
    return Recipe(
        generator=partial(Generator, noise_dim, channels),
        discriminator=partial(Discriminator, channels, hidden),
        objective=NonSaturating(),
        penalty=R1(gamma, every=4),
        optimizer=lambda weights: nn.Adam(weights, nn.CosineDecayLR(0.0, learning_rate, steps), 0.01, 0.99),
        data=partial(mnist, data_dir, batch_size=batch_size),
        noise_dim=noise_dim,
        ema=ema,
        epochs=epochs,
        seed=seed,
        metrics={"fld": fld},
        test_data=partial(mnist, data_dir, split="test", batch_size=100),  # a divisor of 10,000
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=8, columns=12),
            CollapseGuard(),
            Checkpoint(Every.epochs(1), keep=3, best="fld"),
        ],
    )
