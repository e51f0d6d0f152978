"""pix2pix (Isola et al., 2017, arXiv:1611.07004) on MNIST: digits from thumbnails of 7 x 7 pixels.

Run it:      ms-gan run recipes/mnist_pix2pix.py
Change it:   ms-gan run recipes/mnist_pix2pix.py --set l1_weight=10 --set channels=16
See it:      ms-gan show recipes/mnist_pix2pix.py
Time:        about five minutes on two cores; see docs/gallery.md for results

The generator is a U-Net that receives the thumbnail, enlarged to 28 x 28. The discriminator receives the thumbnail
with the digit, and scores overlapping patches of 18 x 18 pixels instead of the whole image. Image grids show the
thumbnails, the generated digits, and the digits that the thumbnails were made from.
"""

from functools import partial

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Normal

from ms_gan_callbacks import (
    Checkpoint,
    Every,
    Game,
    ImageGrid,
    Player,
    Recipe,
    Source,
    TensorBoard,
    fld,
    l1,
    mnist,
    pairs,
    psnr,
)

down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))
up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))
same = partial(nn.Conv2d, kernel_size=3, pad_mode="pad", padding=1, weight_init=Normal(0.02))


class UNet(nn.Cell):
    """Images (N, 1, 28, 28) to images of this shape in [-1, 1]; features of 14 x 14 and 7 x 7 skip the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_14 = nn.SequentialCell(down(1, channels), nn.LeakyReLU(0.2))
        self.to_7 = nn.SequentialCell(
            down(channels, 2 * channels), nn.BatchNorm2d(2 * channels), nn.LeakyReLU(0.2)
        )
        self.middle = nn.SequentialCell(
            down(2 * channels, 4 * channels, kernel_size=3),  # to 4 x 4
            nn.BatchNorm2d(4 * channels),
            nn.ReLU(),
            up(4 * channels, 2 * channels, kernel_size=3),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
        )
        self.from_7 = nn.SequentialCell(up(4 * channels, channels), nn.BatchNorm2d(channels), nn.ReLU())
        self.from_14 = nn.SequentialCell(up(2 * channels, 1), nn.Tanh())

    def construct(self, images: Tensor) -> Tensor:
        at_14 = self.to_14(images)
        at_7 = self.to_7(at_14)
        inside = ops.concat((self.middle(at_7), at_7), 1)
        return self.from_14(ops.concat((self.from_7(inside), at_14), 1))


class PatchDiscriminator(nn.Cell):
    """Thumbnails and digits (N, 2, 28, 28) to one logit per patch, (N, 1, 7, 7)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            down(2, channels),
            nn.LeakyReLU(0.2),
            down(channels, 2 * channels),
            nn.BatchNorm2d(2 * channels),
            nn.LeakyReLU(0.2),
            same(2 * channels, 1),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Pix2Pix(Game):
    """The generator approximates the target, and the discriminator compares both, given the source."""

    def __init__(self, l1_weight: float) -> None:
        super().__init__()
        self.l1_weight = l1_weight

    def make(self, source: Tensor) -> Tensor:
        return self.generator(source)

    def discriminator_loss(self, made: Tensor, source: Tensor, target: Tensor) -> Tensor:
        real = self.discriminator(ops.concat((source, target), 1))
        fake = self.discriminator(ops.concat((source, made), 1))
        return (ops.softplus(-real).mean() + ops.softplus(fake).mean()) / 2

    def generator_loss(self, made: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        distance = ops.abs(made - target).mean()
        adversarial = ops.softplus(-self.discriminator(ops.concat((source, made), 1))).mean()
        return adversarial + self.l1_weight * distance, {"g_l1": distance, "g_adversarial": adversarial}

    def picture(self, made: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return source, made, target


def thumbnails_and_digits(data_dir: str | None, split: str, count: int | None, batch_size: int) -> Source:
    """Return digits as targets, and their 7 x 7 thumbnails, enlarged without interpolation, as sources."""
    digits = mnist(data_dir, split=split, count=count, batch_size=1).images  # (N, 1, 28, 28), uint8
    small = digits.reshape(-1, 1, 7, 4, 7, 4).mean((3, 5)).round().astype(np.uint8)
    enlarged = small.repeat(4, axis=2).repeat(4, axis=3)
    return pairs(source=enlarged, target=digits, batch_size=batch_size, name=f"mnist {split}, 7 x 7 to 28 x 28")


def recipe(
    data_dir: str | None = None,
    channels: int = 32,
    l1_weight: float = 100.0,
    count: int | None = None,
    batch_size: int = 64,
    learning_rate: float = 2e-4,
    epochs: int = 3,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    adam = partial(nn.Adam, learning_rate=learning_rate, beta1=0.5)
    return Recipe(
        game=partial(Pix2Pix, l1_weight),
        networks={"generator": partial(UNet, channels), "discriminator": partial(PatchDiscriminator, channels)},
        players={"discriminator": Player("discriminator", adam), "generator": Player("generator", adam)},
        data=partial(thumbnails_and_digits, data_dir, "train", count, batch_size),
        epochs=epochs,
        seed=seed,
        metrics={"l1": l1, "psnr": psnr, "fld": fld},
        test_data=partial(thumbnails_and_digits, data_dir, "test", None, 100),  # a divisor of 10,000
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=2, columns=10),
            Checkpoint(Every.epochs(1), keep=3),
        ],
    )
