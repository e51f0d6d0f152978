"""A conditional GAN (Mirza and Osindero, 2014, arXiv:1411.1784) on MNIST.

Run it:      ms-gan run recipes/mnist_cgan.py
Change it:   ms-gan run recipes/mnist_cgan.py --set channels=64 --set epochs=10
See it:      ms-gan show recipes/mnist_cgan.py
Time:        about seven minutes on two cores; see docs/gallery.md for results
Draw it:     ms-gan sample runs/<run> --class 7

Both players receive the label: the generator concatenated with its noise, the discriminator through a projection
(Miyato and Koyama, 2018, arXiv:1802.05637) that is added to its logit. Image grids show one class per column.
"""

from functools import partial
from math import sqrt

from mindspore import Tensor, nn, ops
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

CLASSES = 10
up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)


def gain(inputs: int) -> Normal:
    """Return initial weights that keep the variance through a LeakyReLU (He et al., 2015, arXiv:1502.01852)."""
    return Normal(sqrt(2 / inputs))


def one_hot(labels: Tensor) -> Tensor:
    """Return labels (N,) as one-hot vectors (N, 10)."""
    return ops.one_hot(labels, CLASSES, Tensor(1.0), Tensor(0.0))


class Generator(nn.Cell):
    """Noise (N, noise_dim) and labels (N,) to images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, noise_dim: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(noise_dim + CLASSES, hidden, weight_init=gain(noise_dim + CLASSES)),
            nn.LeakyReLU(0.2),
            nn.Dense(hidden, 2 * channels * 7 * 7, weight_init=gain(hidden)),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            nn.LeakyReLU(0.2),
            up(2 * channels, channels, weight_init=gain(2 * channels * 4)),  # 4 of the 16 taps meet each pixel
            nn.LeakyReLU(0.2),
            up(channels, 1, weight_init=gain(channels * 4)),
            nn.Tanh(),
        )

    def construct(self, noise: Tensor, labels: Tensor) -> Tensor:
        inputs = ops.concat((noise, one_hot(labels)), 1)
        return self.layers(inputs)


class Discriminator(nn.Cell):
    """Images (N, 1, 28, 28) and labels (N,) to logits (N, 1) that they are real images of these labels."""

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
        )
        self.real = nn.Dense(hidden, 1, weight_init=gain(hidden))
        self.of_class = nn.Dense(CLASSES, hidden, weight_init=Normal(0.02), has_bias=False)

    def construct(self, images: Tensor, labels: Tensor) -> Tensor:
        seen = self.layers(images)
        return self.real(seen) + (seen * self.of_class(one_hot(labels))).sum(1, keepdims=True)


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
        classes=CLASSES,
        penalty=R1(gamma, every=4),
        # Adam without momentum: MindSpore does not accept a beta1 of 0.
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
            ImageGrid(Every.epochs(1), rows=8),
            CollapseGuard(),
            Checkpoint(Every.epochs(1), keep=3, best="fld"),
        ],
    )
