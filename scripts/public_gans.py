"""Public GANs, with networks written here: those of MindSpore-GAN, and the example of PyTorch.

The GAN and the DCGAN of github.com/mindspore-courses/MindSpore-GAN are trained by this package's runner; the DCGAN
of github.com/pytorch/examples needs PyTorch. The settings are those published there: Adam with 2e-4 and 0.5,
batches of 64, noise of 100.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeUniform, Normal
from numpy.typing import NDArray

from ms_gan_callbacks import ArraySource, Callback, Game, Player, Recipe, Run, Runner, mnist
from ms_gan_callbacks import Normal as NormalNoise
from ms_gan_callbacks.data.images import to_uint8
from ms_gan_callbacks.metrics.resizing import resize

Images = NDArray[np.uint8]
Snapshots: TypeAlias = list[tuple[Images, int]]
"""Images, uint8 (N, 1, 28, 28), and the number of steps before, for each of several durations."""
NOISE, BATCH, RATE, BETA = 100, 64, 2e-4, 0.5
SAMPLES = 10_000


class SnapshotAfter(Callback):
    """Generates images whenever one of several durations is over, and ends the run after the last.

    Args:
        seconds: the durations, in ascending order; the time for generating images is not counted.
    """

    def __init__(self, seconds: Sequence[float]) -> None:
        self.seconds = list(seconds)
        self.taken: Snapshots = []

    def on_train_begin(self, run: Run) -> None:
        """Begin to count."""
        self.began = perf_counter()

    def on_train_step_end(self, run: Run) -> None:
        """Generate images if a duration is over."""
        while self.seconds and (now := perf_counter()) - self.began > self.seconds[0]:
            del self.seconds[0]
            self.taken.append((to_pixels(run.sample(SAMPLES)), run.step))
            self.began += perf_counter() - now
        if not self.seconds:
            run.stop("all durations are over")


class DenseGenerator(nn.Cell):
    """The generator of gan.py: noise (N, 100) to images (N, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Cell] = [nn.Dense(NOISE, 128)]
        for width in (128, 256, 512):
            layers += [nn.Dense(width, 2 * width), nn.LeakyReLU(0.2)]
        self.layers = nn.SequentialCell(*layers, nn.Dense(1024, 28 * 28), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))

    def construct(self, noise: Tensor) -> Tensor:
        """Return images."""
        return self.layers(noise)


class DenseDiscriminator(nn.Cell):
    """The discriminator of gan.py: images to probabilities (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        dense = partial(nn.Dense, weight_init=HeUniform(5**0.5))
        self.layers = nn.SequentialCell(
            nn.Flatten(), dense(28 * 28, 512), nn.LeakyReLU(0.2), dense(512, 256), dense(256, 1), nn.Sigmoid()
        )

    def construct(self, images: Tensor) -> Tensor:
        """Return probabilities."""
        return self.layers(images)


def make_norm(channels: int, eps: float = 0.8) -> nn.Cell:
    """Return the normalisation of dcgan.py, which passes 0.8 as ``eps``."""
    return nn.BatchNorm2d(channels, eps, gamma_init=Normal(0.02, 1.0))


class ConvGenerator(nn.Cell):
    """The generator of dcgan.py: noise (N, 100) to images (N, 1, 32, 32)."""

    def __init__(self) -> None:
        super().__init__()
        same = partial(
            nn.Conv2d, kernel_size=3, pad_mode="pad", padding=1, has_bias=True, weight_init=Normal(0.02)
        )
        twice = partial(nn.Upsample, scale_factor=2.0, recompute_scale_factor=True)
        self.layers = nn.SequentialCell(
            *(nn.Dense(NOISE, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)), make_norm(128, 1e-5)),
            *(twice(), same(128, 128), make_norm(128), nn.LeakyReLU(0.2)),
            *(twice(), same(128, 64), make_norm(64), nn.LeakyReLU(0.2)),
            *(same(64, 1), nn.Tanh()),
        )

    def construct(self, noise: Tensor) -> Tensor:
        """Return images."""
        return self.layers(noise)


class ConvDiscriminator(nn.Cell):
    """The discriminator of dcgan.py: images (N, 1, 32, 32) to probabilities (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Cell] = []
        width = 1
        for after in (16, 32, 64, 128):
            layers += [
                nn.Conv2d(width, after, 3, 2, "pad", 1, has_bias=True, weight_init=Normal(0.02)),
                nn.LeakyReLU(0.2),
                nn.Dropout2d(0.25),
                *([make_norm(after)] if width > 1 else []),
            ]
            width = after
        self.layers = nn.SequentialCell(*layers, nn.Flatten(), nn.Dense(128 * 2 * 2, 1), nn.Sigmoid())

    def construct(self, images: Tensor) -> Tensor:
        """Return probabilities."""
        return self.layers(images)


class Alternating(Game):
    """The game of both scripts: binary cross entropy, the generator first; dcgan.py halves the other loss."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.chance = {"noise": NormalNoise(NOISE)}
        self.weight = weight

    def make(self, noise: Tensor) -> Tensor:
        """Return images."""
        return self.generator(noise)

    def generator_loss(self, made: Tensor) -> Tensor:
        """Return the cross entropy of the label 1."""
        return towards(self.discriminator(made), 1)

    def discriminator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        """Return the cross entropies of both labels."""
        return self.weight * (towards(self.discriminator(real), 1) + towards(self.discriminator(made), 0))


def towards(probabilities: Tensor, label: int) -> Tensor:
    """Return the binary cross entropy of a label."""
    labels = ops.ones_like(probabilities) if label else ops.zeros_like(probabilities)
    return ops.binary_cross_entropy(probabilities, labels)


def train_mindspore_gan(
    generator: type[nn.Cell],
    discriminator: type[nn.Cell],
    weight: float,
    side: int,
    seconds: Sequence[float],
    out: Path,
) -> Snapshots:
    """Train networks of MindSpore-GAN; return images after each of several durations."""
    adam = partial(nn.Adam, learning_rate=RATE, beta1=BETA)
    snapshots = SnapshotAfter(seconds)
    recipe = Recipe(
        game=partial(Alternating, weight),
        networks={"generator": generator, "discriminator": discriminator},
        players={name: Player(name, adam) for name in ("generator", "discriminator")},
        data=lambda: ArraySource(enlarge(mnist().images, side), BATCH),
        epochs=1000,
        seed=0,
        callbacks=[snapshots],
    )
    Runner.from_recipe(recipe, out).train()
    return snapshots.taken


def train_pytorch_example(seconds: Sequence[float], out: Path) -> Snapshots:
    """Train the DCGAN of PyTorch's examples, at 64 x 64; return images after each of several durations."""
    import torch
    from torch import nn as torch_nn

    torch.manual_seed(0)
    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    generator, discriminator = build_pytorch_networks()
    loss = torch_nn.BCELoss()
    g_adam, d_adam = (
        torch.optim.Adam(network.parameters(), RATE, (BETA, 0.999)) for network in (generator, discriminator)
    )
    data = torch.from_numpy(enlarge(mnist().images, 64))
    ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)
    shuffled = (rows for _ in count() for rows in torch.randperm(len(data)).split(BATCH)[:-1])
    began, steps = perf_counter(), 0
    taken: Snapshots = []
    for duration in seconds:
        while perf_counter() - began < duration:
            real = data[next(shuffled)].float() / 127.5 - 1
            fake = generator(torch.randn(BATCH, NOISE, 1, 1))
            discriminator.zero_grad()
            loss(discriminator(real).flatten(), ones).backward()
            loss(discriminator(fake.detach()).flatten(), zeros).backward()
            d_adam.step()
            generator.zero_grad()
            loss(discriminator(fake).flatten(), ones).backward()
            g_adam.step()
            steps += 1
        paused = perf_counter()
        with torch.no_grad():  # in training mode, as the example generates its images
            parts = [generator(torch.randn(100, NOISE, 1, 1)).numpy() for _ in range(SAMPLES // 100)]
        taken.append((to_pixels(np.concatenate(parts)), steps))
        began += perf_counter() - paused
    return taken


def build_pytorch_networks() -> tuple[object, object]:
    """Return the generator and the discriminator of the example, with its initial weights."""
    from torch import nn as torch_nn

    up = partial(torch_nn.ConvTranspose2d, kernel_size=4, bias=False)
    down = partial(torch_nn.Conv2d, kernel_size=4, stride=2, padding=1, bias=False)
    drawn: list[torch_nn.Module] = [up(NOISE, 512), torch_nn.BatchNorm2d(512), torch_nn.ReLU()]
    seen: list[torch_nn.Module] = [down(1, 64), torch_nn.LeakyReLU(0.2)]
    for width in (512, 256, 128):
        drawn += [up(width, width // 2, stride=2, padding=1), torch_nn.BatchNorm2d(width // 2), torch_nn.ReLU()]
    for width in (64, 128, 256):
        seen += [down(width, 2 * width), torch_nn.BatchNorm2d(2 * width), torch_nn.LeakyReLU(0.2)]
    drawn += [up(64, 1, stride=2, padding=1), torch_nn.Tanh()]
    seen += [torch_nn.Conv2d(512, 1, 4, bias=False), torch_nn.Sigmoid()]
    for layer in (*drawn, *seen):
        if isinstance(layer, torch_nn.BatchNorm2d):
            torch_nn.init.normal_(layer.weight, 1.0, 0.02)
        elif hasattr(layer, "weight"):
            torch_nn.init.normal_(layer.weight, 0.0, 0.02)
    return torch_nn.Sequential(*drawn), torch_nn.Sequential(*seen)


def enlarge(images: Images, side: int) -> Images:
    """Return images (N, 1, 28, 28) at another size."""
    parts = [np.rint(resize(images[i : i + 1000], side)) for i in range(0, len(images), 1000)]
    return np.concatenate(parts).astype(np.uint8)


def to_pixels(images: NDArray[np.float32]) -> Images:
    """Return images in [-1, 1] as uint8 at 28 x 28."""
    return np.rint(resize(to_uint8(images), 28)).astype(np.uint8)
