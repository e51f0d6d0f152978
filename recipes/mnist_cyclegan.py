"""CycleGAN (Zhu et al., 2017, arXiv:1703.10593) on MNIST: white digits become coloured, and back.

Run it:      ms-gan run recipes/mnist_cyclegan.py
Change it:   ms-gan run recipes/mnist_cyclegan.py --set identity_weight=0 --set epochs=6
See it:      ms-gan show recipes/mnist_cyclegan.py
Time:        about ten minutes on two cores; see docs/gallery.md for results

White digits on black and coloured digits on white are two sets without pairs. Each generator translates one set
into the other, and a digit that is translated and translated back must be the original. Image grids show white
digits, their translations, and these translated back; then coloured digits and their translations.
"""

from functools import partial

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
    mnist,
    stream,
    unpaired,
)

SHAPE = (3, 28, 28)

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
    """Images (N, 3, 28, 28) to images of this shape in [-1, 1]; most layers work at 14 x 14."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            down(3, channels),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            *[Residual(channels) for _ in range(blocks)],
            up(channels, 3),
            nn.Tanh(),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class PatchDiscriminator(nn.Cell):
    """Images (N, 3, 28, 28) to one score per patch (N, 1, 7, 7)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            down(3, channels),
            nn.LeakyReLU(0.2),
            down(channels, 2 * channels),
            nn.BatchNorm2d(2 * channels),
            nn.LeakyReLU(0.2),
            same(2 * channels, 1),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def towards(scores: Tensor, label: float) -> Tensor:
    """Return the least squares loss."""
    return ops.square(scores - label).mean()


class CycleGAN(Game):
    """Two generators, and a discriminator for either set, to which earlier images are shown again."""

    compared = "b"

    def __init__(self, cycle_weight: float, identity_weight: float, pool: int) -> None:
        super().__init__()
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.pool_a, self.pool_b = ReplayPool(pool, SHAPE), ReplayPool(pool, SHAPE)
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


def hues(count: int) -> np.ndarray:
    """Return colours of random hues, (count, 3) in [0, 1], from a fixed seed."""
    turn = stream(0, "hues", 0).uniform(0, 6, (count, 1))
    return 0.85 * np.clip(2 - np.abs((turn - np.array([0.0, 2.0, 4.0]) + 3) % 6 - 3), 0, 1)


def white_and_coloured(data_dir: str | None, split: str, count: int | None, batch_size: int) -> Source:
    """Return the first half of the digits, white on black, and the second half, in colours on white."""
    digits = mnist(data_dir, split=split, count=count, batch_size=1).images  # (N, 1, 28, 28), uint8
    a, ink = digits[: len(digits) // 2], digits[len(digits) // 2 :]
    colours = hues(len(ink))[:, :, None, None].astype(np.float32)
    b = (255 - ink * (1 - colours)).round().astype(np.uint8)
    return unpaired(a=a.repeat(3, axis=1), b=b, batch_size=batch_size, name=f"mnist {split}, white and coloured")


def recipe(
    data_dir: str | None = None,
    channels: int = 32,
    blocks: int = 2,
    cycle_weight: float = 10.0,
    identity_weight: float = 2.0,
    pool: int = 50,
    count: int | None = 20_000,
    batch_size: int = 16,
    learning_rate: float = 2e-4,
    epochs: int = 3,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    adam = partial(nn.Adam, learning_rate=learning_rate, beta1=0.5)
    generator = partial(Generator, channels, blocks)
    discriminator = partial(PatchDiscriminator, channels)
    return Recipe(
        game=partial(CycleGAN, cycle_weight, identity_weight, pool),
        networks={"a_to_b": generator, "b_to_a": generator, "d_a": discriminator, "d_b": discriminator},
        players={
            "d_a": Player("d_a", adam),
            "d_b": Player("d_b", adam),
            "generators": Player(("a_to_b", "b_to_a"), adam),
        },
        data=partial(white_and_coloured, data_dir, "train", count, batch_size),
        epochs=epochs,
        seed=seed,
        test_data=partial(white_and_coloured, data_dir, "test", None, 100),
        features=PictureNet(),
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=2, columns=10),
            Checkpoint(Every.epochs(1), keep=3),
        ],
    )
