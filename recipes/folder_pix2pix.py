"""pix2pix (Isola et al., 2017, arXiv:1611.07004) on folders: pairs of images, or colours for grey images.

Run it:      ms-gan run recipes/folder_pix2pix.py --set path=facades/train --set reverse=true
Two folders: ms-gan run recipes/folder_pix2pix.py --set path=edges --set targets=photos --set size=64
Colorize:    ms-gan run recipes/folder_pix2pix.py --set path=photos --set task=colorize
See it:      ms-gan show recipes/folder_pix2pix.py --set path=photos
Time:        about three minutes on two cores for 1,667 icons (docs/gallery.md)

By default an image in ``path`` holds the source in its left half and the target in its right half, as in the
datasets of the paper; ``reverse`` exchanges them. With ``targets``, ``path`` has the sources, and equal names are
pairs. With ``task=colorize`` the images are targets, and their sources are made by removing the colours.

About one image in ten is held out for ``ms-gan evaluate``. Image grids show sources, results and targets.
"""

import zlib
from functools import partial
from typing import Literal

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Normal

from ms_gan_callbacks import (
    Checkpoint,
    Every,
    Game,
    ImageGrid,
    PictureNet,
    Player,
    Recipe,
    Source,
    TensorBoard,
    folder_images,
    l1,
    pairs,
    psnr,
)

down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))
up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))
same = partial(nn.Conv2d, kernel_size=3, pad_mode="pad", padding=1, weight_init=Normal(0.02))


class Level(nn.Cell):
    """Features (N, before, S, S) to (N, after, S, S): half the resolution, the next level, and back.

    Args:
        before: channels of the input.
        after: channels of the output.
        widths: channels of this level and of all inner levels.
    """

    def __init__(self, before: int, after: int, widths: list[int]) -> None:
        super().__init__()
        width, *inner = widths
        self.down = nn.SequentialCell(down(before, width), nn.BatchNorm2d(width), nn.LeakyReLU(0.2))
        self.inside = Level(width, width, inner) if inner else None
        self.up = nn.SequentialCell(up(2 * width if inner else width, after), nn.BatchNorm2d(after), nn.ReLU())

    def construct(self, features: Tensor) -> Tensor:
        halved = self.down(features)
        if self.inside is not None:
            halved = ops.concat((self.inside(halved), halved), 1)
        return self.up(halved)


class UNet(nn.Cell):
    """Images (N, 3, size, size) to images of this shape in [-1, 1], by way of features of 2 x 2."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        halvings = {32: 4, 64: 5}[size]
        widths = [channels * min(2**level, 8) for level in range(halvings)]
        self.first = nn.SequentialCell(down(3, channels), nn.LeakyReLU(0.2))
        self.inside = Level(channels, channels, widths[1:])
        self.last = nn.SequentialCell(up(2 * channels, 3), nn.Tanh())

    def construct(self, images: Tensor) -> Tensor:
        halved = self.first(images)
        return self.last(ops.concat((self.inside(halved), halved), 1))


class PatchDiscriminator(nn.Cell):
    """Sources and results (N, 6, size, size) to one logit per patch of 18 x 18 pixels, at size 64 of 38 x 38."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Cell] = [down(6, channels), nn.LeakyReLU(0.2)]
        for level in range({32: 1, 64: 2}[size]):
            width = channels * 2**level
            layers += [down(width, 2 * width), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)]
        self.layers = nn.SequentialCell(*layers, same(2 * width, 1))

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


def read(path: str, targets: str | None, task: str, reverse: bool, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sources and targets, uint8 (N, 3, size, size)."""
    if task == "colorize":
        target = folder_images(path, size=size, batch_size=1, in_memory=True).images
        grey = np.tensordot(target, (0.299, 0.587, 0.114), (1, 0)).round().astype(np.uint8)
        return grey[:, None].repeat(3, axis=1), target
    if targets is None:
        columns = pairs(path, size=size, batch_size=1).arrays
    else:
        columns = pairs(source=path, target=targets, size=size, batch_size=1).arrays
    source, target = columns["source"], columns["target"]
    return (target, source) if reverse else (source, target)


def examples(
    path: str, targets: str | None, task: str, reverse: bool, size: int, batch_size: int, held_out: bool = False
) -> Source:
    """Return the rows to train on, with their mirror images, or those that are held out."""
    source, target = read(path, targets, task, reverse, size)
    # By content instead of by position: copies of an image stay together.
    chosen = np.array([(zlib.crc32(image.tobytes()) % 10 == 0) == held_out for image in target])
    source, target = source[chosen], target[chosen]
    if not held_out:
        source, target = (np.concatenate((images, images[..., ::-1])) for images in (source, target))
    return pairs(source=source, target=target, batch_size=batch_size, name=f"{task}, {size} x {size}")


def recipe(
    path: str,
    targets: str | None = None,
    task: Literal["translate", "colorize"] = "translate",
    reverse: bool = False,
    size: Literal[32, 64] = 32,
    channels: int = 32,
    l1_weight: float = 100.0,
    batch_size: int = 16,
    learning_rate: float = 2e-4,
    epochs: int = 20,
    evaluate_samples: int = 100,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    adam = partial(nn.Adam, learning_rate=learning_rate, beta1=0.5)
    data = partial(examples, path, targets, task, reverse, size)
    return Recipe(
        game=partial(Pix2Pix, l1_weight),
        networks={
            "generator": partial(UNet, channels, size),
            "discriminator": partial(PatchDiscriminator, channels, size),
        },
        players={"discriminator": Player("discriminator", adam), "generator": Player("generator", adam)},
        data=partial(data, batch_size),
        epochs=epochs,
        seed=seed,
        metrics={"l1": l1, "psnr": psnr},
        evaluate_samples=evaluate_samples,
        test_data=partial(data, 1, held_out=True),
        features=PictureNet(),
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=2, columns=10),
            Checkpoint(Every.epochs(5), keep=3),
        ],
    )
