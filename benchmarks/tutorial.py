"""The tutorial's loop as a reader would type it: eager, two phases a batch, a dataset with Python lambdas.

Run as ``python -m benchmarks.tutorial FOLDER [EPOCHS]``, FOLDER holding MNIST's four IDX files, unpacked.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import Any

import mindspore as ms
import mindspore.dataset as ds
import numpy as np
from mindspore import Tensor, nn, ops

NOISE_DIM, BATCH_SIZE, LEARNING_RATE = 128, 32, 2e-4


def generator() -> nn.Cell:
    """Noise (N, 128) to flat images (N, 784)."""
    layers: list[nn.Cell] = []
    width = NOISE_DIM
    for units in (256, 512, 1024):
        layers += [nn.Dense(width, units), nn.ReLU(), nn.BatchNorm1d(units)]
        width = units
    return nn.SequentialCell(*layers, nn.Dense(width, 784), nn.Tanh())


def discriminator() -> nn.Cell:
    """Flat images (N, 784) to probabilities (N, 1)."""
    return nn.SequentialCell(
        nn.Dense(784, 512),
        nn.LeakyReLU(0.2),
        nn.Dense(512, 256),
        nn.LeakyReLU(0.2),
        nn.Dense(256, 1),
        nn.Sigmoid(),
    )


def dataset(folder: str, batch_size: int = BATCH_SIZE) -> ds.Dataset:
    """Batches of (image, noise), as the tutorial builds them."""
    digits = ds.MnistDataset(folder, usage="train")
    pairs = ds.GeneratorDataset(digits, ["image", "label"], shuffle=True)
    pairs = pairs.map(lambda image: (image.astype("float32") / 127.5 - 1).reshape(784), "image")
    pairs = pairs.map(lambda label: np.random.normal(size=NOISE_DIM).astype("float32"), "label", ["noise"])
    return pairs.batch(batch_size, drop_remainder=True)


def train(epochs: Iterable[Iterable[tuple[Tensor, Tensor]]]) -> None:
    """Train and print both losses once an epoch."""
    g, d, bce = generator(), discriminator(), nn.BCELoss(reduction="mean")
    g.update_parameters_name("generator.")
    d.update_parameters_name("discriminator.")
    g_optimizer = nn.Adam(g.trainable_params(), LEARNING_RATE)
    d_optimizer = nn.Adam(d.trainable_params(), LEARNING_RATE)

    def d_forward(real: Tensor, noise: Tensor) -> Tensor:
        real_scores, fake_scores = d(real), d(g(noise))
        return bce(real_scores, ops.ones_like(real_scores)) + bce(fake_scores, ops.zeros_like(fake_scores))

    def g_forward(noise: Tensor) -> Tensor:
        scores = d(g(noise))
        return bce(scores, ops.ones_like(scores))

    d_gradient = ms.value_and_grad(d_forward, None, d_optimizer.parameters)
    g_gradient = ms.value_and_grad(g_forward, None, g_optimizer.parameters)
    g.set_train()
    d.set_train()
    for epoch, batches in enumerate(epochs, 1):
        for real, noise in batches:
            d_loss, gradients = d_gradient(real, noise)
            d_optimizer(gradients)
            g_loss, gradients = g_gradient(noise)
            g_optimizer(gradients)
        print(f"epoch {epoch}  d_loss {d_loss}  g_loss {g_loss}", flush=True)


def paced(entrant: Any, gate: Any) -> None:
    """Train without end, as a contestant; the arena has unpacked MNIST beside the working directory."""
    gate.settle = lambda: float(Tensor(1.0) + 1.0)  # operations are computed in their order
    data = dataset("../mnist", entrant.batch)
    train(gate.pace(data.create_tuple_iterator()) for _ in itertools.count())


def main() -> None:
    """Train for the epochs asked for."""
    folder, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    data = dataset(folder)
    train(data.create_tuple_iterator() for _ in range(epochs))


if __name__ == "__main__":
    main()
