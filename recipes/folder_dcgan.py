"""A DCGAN with spectral normalization on a folder of images, grey or in colour.

Run it:      ms-gan run recipes/folder_dcgan.py --set path=photos
Change it:   ms-gan run recipes/folder_dcgan.py --set path=photos --set size=64 --set grey=true
See it:      ms-gan show recipes/folder_dcgan.py --set path=photos
Time:        about four minutes on two cores for 100 epochs of 1,667 icons (docs/gallery.md)

Radford et al., 2015, arXiv:1511.06434; Miyato et al., 2018, arXiv:1802.05957. Images are made by a moving average
of the generator. A few thousand images of one kind of object are a good start; for fewer, see folder_r3gan.py.
"""

from functools import partial
from typing import Literal

from mindspore import Tensor, nn
from mindspore.common.initializer import Normal

from ms_gan_callbacks import (
    Checkpoint,
    CollapseGuard,
    Every,
    Hinge,
    ImageGrid,
    PictureNet,
    Recipe,
    SpectralNorm,
    TensorBoard,
    folder_images,
)

# A step runs the generator once for both players: running averages are updated once by 0.81, not twice by 0.9.
MOMENTUM = 0.9**2

up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)


def widths_for(size: int, channels: int) -> list[int]:
    """Return the channels of each stride-2 layer down to 4 x 4: three layers for 32 pixels, four for 64."""
    return [channels * 2**level for level in range({32: 3, 64: 4}[size])]


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, colours, size, size) in [-1, 1]."""

    def __init__(self, noise_dim: int, channels: int, size: int, colours: int) -> None:
        super().__init__()
        widths = widths_for(size, channels)[::-1]
        layers: list[nn.Cell] = [
            nn.Dense(noise_dim, widths[0] * 4 * 4, weight_init=Normal(0.02), has_bias=False),
            nn.Unflatten(1, (widths[0], 4, 4)),
        ]
        for width, after in zip(widths, [*widths[1:], colours], strict=True):
            layers += [nn.BatchNorm2d(width, momentum=MOMENTUM), nn.ReLU(), up(width, after)]
        self.layers = nn.SequentialCell(*layers, nn.Tanh())

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(noise)


class Discriminator(nn.Cell):
    """Images (N, colours, size, size) to scores (N, 1)."""

    def __init__(self, channels: int, size: int, colours: int) -> None:
        super().__init__()
        layers: list[nn.Cell] = []
        width = colours
        for after in widths_for(size, channels):
            layers += [SpectralNorm(down(width, after)), nn.LeakyReLU(0.2)]
            width = after
        self.layers = nn.SequentialCell(*layers, nn.Flatten(), SpectralNorm(nn.Dense(width * 4 * 4, 1)))

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def recipe(
    path: str,
    size: Literal[32, 64] = 32,
    grey: bool = False,
    noise_dim: int = 64,
    channels: int = 32,
    batch_size: int = 64,
    learning_rate: float = 2e-4,
    ema: float = 0.998,
    epochs: int = 100,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    colours = 1 if grey else 3
    # Karras et al., 2019 (arXiv:1812.04948) set beta1 to 0, which MindSpore does not accept.
    adam = partial(nn.Adam, beta1=0.01, beta2=0.99)
    return Recipe(
        generator=partial(Generator, noise_dim, channels, size, colours),
        discriminator=partial(Discriminator, channels, size, colours),
        objective=Hinge(),
        optimizer=partial(adam, learning_rate=learning_rate),
        discriminator_optimizer=partial(adam, learning_rate=2 * learning_rate),
        data=partial(folder_images, path, size=size, grey=grey, batch_size=batch_size),
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
