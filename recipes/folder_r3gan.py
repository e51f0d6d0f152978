"""R3GAN (Huang et al., 2024, arXiv:2501.05441) on a folder of few images, with adaptive augmentation.

Run it:      ms-gan run recipes/folder_r3gan.py --set path=photos
Change it:   ms-gan run recipes/folder_r3gan.py --set path=photos --set size=32 --set grey=true
See it:      ms-gan show recipes/folder_r3gan.py --set path=photos
Time:        at most 35 minutes on two cores for 50 epochs of 3,334 icons (docs/gallery.md)

A few hundred images of one kind of object are enough: a discriminator that begins to learn them by heart sees them
augmented more often (Karras et al., 2020, arXiv:2006.06676). ``mirror`` adds the mirror images to the data. The
networks are small ones, not those of the paper, but have no normalization layers either.
"""

from functools import partial
from math import sqrt
from typing import Literal

import numpy as np
from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ms_gan_callbacks import (
    R1,
    R2,
    AdaptiveAugment,
    ArraySource,
    Checkpoint,
    CollapseGuard,
    Every,
    ImageGrid,
    PictureNet,
    Recipe,
    RelativisticPairing,
    TensorBoard,
    folder_images,
)

up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)


def gain(inputs: int) -> Normal:
    """Return initial weights that keep the variance through a LeakyReLU (He et al., 2015, arXiv:1502.01852)."""
    return Normal(sqrt(2 / inputs))


def widths_for(size: int, channels: int) -> list[int]:
    """Return the channels of each stride-2 layer down to 4 x 4: three layers for 32 pixels, four for 64."""
    return [channels * 2**level for level in range({32: 3, 64: 4}[size])]


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, colours, size, size) in [-1, 1]."""

    def __init__(self, noise_dim: int, hidden: int, channels: int, size: int, colours: int) -> None:
        super().__init__()
        widths = widths_for(size, channels)[::-1]
        layers: list[nn.Cell] = [
            nn.Dense(noise_dim, hidden, weight_init=gain(noise_dim)),
            nn.LeakyReLU(0.2),
            nn.Dense(hidden, widths[0] * 4 * 4, weight_init=gain(hidden)),
            nn.Unflatten(1, (widths[0], 4, 4)),
        ]
        for width, after in zip(widths, [*widths[1:], colours], strict=True):
            # 4 of the 16 taps meet each pixel
            layers += [nn.LeakyReLU(0.2), up(width, after, weight_init=gain(width * 4))]
        self.layers = nn.SequentialCell(*layers, nn.Tanh())

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(noise)


class Discriminator(nn.Cell):
    """Images (N, colours, size, size) to scores (N, 1)."""

    def __init__(self, hidden: int, channels: int, size: int, colours: int) -> None:
        super().__init__()
        layers: list[nn.Cell] = []
        width = colours
        for after in widths_for(size, channels):
            layers += [down(width, after, weight_init=gain(16 * width)), nn.LeakyReLU(0.2)]
            width = after
        self.layers = nn.SequentialCell(
            *layers,
            nn.Flatten(),
            nn.Dense(width * 4 * 4, hidden, weight_init=gain(width * 4 * 4)),
            nn.LeakyReLU(0.2),
            nn.Dense(hidden, 1, weight_init=gain(hidden)),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def read(path: str, size: int, grey: bool, mirror: bool, batch_size: int) -> ArraySource:
    """Return the images of a folder, with their mirror images if ``mirror``."""
    source = folder_images(path, size=size, grey=grey, batch_size=batch_size, in_memory=True)
    images = np.concatenate((source.images, source.images[..., ::-1])) if mirror else source.images
    return ArraySource(images, batch_size, name=source.name)


def recipe(
    path: str,
    size: Literal[32, 64] = 64,
    grey: bool = False,
    mirror: bool = False,
    noise_dim: int = 64,
    hidden: int = 512,
    channels: int = 24,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    gamma: float = 1.0,
    ema: float = 0.998,
    epochs: int = 100,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    colours = 1 if grey else 3
    return Recipe(
        generator=partial(Generator, noise_dim, hidden, channels, size, colours),
        discriminator=partial(Discriminator, hidden, channels, size, colours),
        objective=RelativisticPairing(),
        penalty=[R1(gamma, every=4), R2(gamma, every=4)],
        augment=AdaptiveAugment(images=100_000),  # the probability may reach 1 within so many images
        # The paper sets beta1 to 0, which MindSpore does not accept.
        optimizer=partial(nn.Adam, learning_rate=learning_rate, beta1=0.01, beta2=0.99),
        data=partial(read, path, size, grey, mirror, batch_size),
        noise_dim=noise_dim,
        ema=ema,
        epochs=epochs,
        seed=seed,
        features=PictureNet(),
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=6, columns=10),
            CollapseGuard(features=PictureNet(), samples=batch_size),  # works for small folders
            Checkpoint(Every.epochs(5), keep=3),
        ],
    )
