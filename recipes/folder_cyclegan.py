"""CycleGAN (Zhu et al., 2017, arXiv:1703.10593) on two folders of images that are not pairs.

Run it:      ms-gan run recipes/folder_cyclegan.py --set path=horse2zebra
Two folders: ms-gan run recipes/folder_cyclegan.py --set path=summer --set other=winter --set size=64
See it:      ms-gan show recipes/folder_cyclegan.py --set path=horse2zebra
Time:        about eight minutes on two cores for 605 icons (docs/gallery.md)

``path`` has the folders trainA and trainB, as in the data of the paper; or ``path`` and ``other`` are folders.
Each generator translates one set into the other, and an image that is translated and translated back must be the
original. Image grids show images of the first set, their translations, and these translated back; then images of
the second set and their translations. They are made by a moving average of the generators.
"""

from functools import partial
from typing import Literal

import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import (
    Checkpoint,
    Every,
    Game,
    ImageGrid,
    PictureNet,
    Player,
    Recipe,
    ReplayPool,
    Source,
    TensorBoard,
    unpaired,
)

down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)
up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, has_bias=True)
same = partial(nn.Conv2d, kernel_size=3, pad_mode="pad", padding=1, has_bias=True)


class Residual(nn.Cell):
    """Features plus a correction of them, which two layers compute."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            same(channels, channels),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            same(channels, channels),
            nn.InstanceNorm2d(channels),
        )

    def construct(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


class Generator(nn.Cell):
    """Images (N, 3, size, size) to images of this shape in [-1, 1]; most layers work at 16 x 16."""

    def __init__(self, channels: int, blocks: int, size: int) -> None:
        super().__init__()
        widths = [channels] if size == 32 else [channels, 2 * channels]
        layers: list[nn.Cell] = []
        for before, after in zip([3, *widths], widths, strict=False):
            layers += [down(before, after), nn.InstanceNorm2d(after), nn.ReLU()]
        layers += [Residual(widths[-1]) for _ in range(blocks)]
        if size == 64:
            layers += [up(2 * channels, channels), nn.InstanceNorm2d(channels), nn.ReLU()]
        self.layers = nn.SequentialCell(*layers, up(channels, 3), nn.Tanh())

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class PatchDiscriminator(nn.Cell):
    """Images (N, 3, size, size) to one score per patch of 18 x 18 pixels, at size 64 of 38 x 38."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Cell] = [down(3, channels), nn.LeakyReLU(0.2)]
        width = channels
        for _ in range({32: 1, 64: 2}[size]):
            layers += [down(width, 2 * width), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)]
            width *= 2
        self.layers = nn.SequentialCell(*layers, same(width, 1))

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def towards(scores: Tensor, label: float) -> Tensor:
    """Return the least squares loss."""
    return ops.square(scores - label).mean()


class CycleGAN(Game):
    """Two generators, and a discriminator for either set, to which earlier images are shown again."""

    compared = "b"

    def __init__(self, cycle_weight: float, identity_weight: float, pool: int, size: int) -> None:
        super().__init__()
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.pool_a, self.pool_b = ReplayPool(pool, (3, size, size)), ReplayPool(pool, (3, size, size))
        self.chance = {"draws_a": self.pool_a.draws, "draws_b": self.pool_b.draws}

    def make(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.a_to_b(a), self.b_to_a(b)

    def d_a_loss(self, made: tuple[Tensor, Tensor], a: Tensor, draws_a: Tensor) -> Tensor:
        return (towards(self.d_a(a), 1.0) + towards(self.d_a(self.pool_a(made[1], draws_a)), 0.0)) / 2

    def d_b_loss(self, made: tuple[Tensor, Tensor], b: Tensor, draws_b: Tensor) -> Tensor:
        return (towards(self.d_b(b), 1.0) + towards(self.d_b(self.pool_b(made[0], draws_b)), 0.0)) / 2

    def generators_loss(
        self, made: tuple[Tensor, Tensor], a: Tensor, b: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        fake_b, fake_a = made
        adversarial = towards(self.d_b(fake_b), 1.0) + towards(self.d_a(fake_a), 1.0)
        cycle = ops.abs(self.b_to_a(fake_b) - a).mean() + ops.abs(self.a_to_b(fake_a) - b).mean()
        identity = ops.abs(self.b_to_a(a) - a).mean() + ops.abs(self.a_to_b(b) - b).mean()
        loss = adversarial + self.cycle_weight * cycle + self.identity_weight * identity
        return loss, {"cycle": cycle, "identity": identity}

    def picture(self, made: tuple[Tensor, Tensor], a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        fake_b, fake_a = made
        return a, fake_b, self.b_to_a(fake_b), b, fake_a


def both_sets(path: str, other: str | None, size: int, batch_size: int) -> Source:
    """Return the images of both sets, with their mirror images."""
    source = unpaired(path, size=size) if other is None else unpaired(a=path, b=other, size=size)
    mirrored = {name: np.concatenate((rows, rows[..., ::-1])) for name, rows in source.arrays.items()}
    return unpaired(**mirrored, batch_size=batch_size, name=f"{source.name}, {size} x {size}")


def recipe(
    path: str,
    other: str | None = None,
    size: Literal[32, 64] = 32,
    channels: int = 32,
    blocks: int = 3,
    cycle_weight: float = 10.0,
    identity_weight: float = 2.0,
    pool: int = 50,
    batch_size: int = 8,
    learning_rate: float = 2e-4,
    ema: float = 0.998,
    epochs: int = 30,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    adam = partial(nn.Adam, learning_rate=learning_rate, beta1=0.5)
    generator = partial(Generator, channels, blocks, size)
    discriminator = partial(PatchDiscriminator, channels, size)
    return Recipe(
        game=partial(CycleGAN, cycle_weight, identity_weight, pool, size),
        networks={"a_to_b": generator, "b_to_a": generator, "d_a": discriminator, "d_b": discriminator},
        players={
            "d_a": Player("d_a", adam),
            "d_b": Player("d_b", adam),
            "generators": Player(("a_to_b", "b_to_a"), adam, ema=ema),
        },
        data=partial(both_sets, path, other, size, batch_size),
        epochs=epochs,
        seed=seed,
        features=PictureNet(),
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=2, columns=10),
            Checkpoint(Every.epochs(5), keep=3),
        ],
    )
