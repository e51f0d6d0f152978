"""accelerate() in whole networks: what it replaces, what it leaves, and that training stays what it was."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from conftest import tiny_players, tiny_runner, train_step
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import Checkpoint, RunDirError, accelerate
from ms_gan_callbacks.models import layers
from ms_gan_callbacks.models.networks import graph_mode


class Generator(nn.Cell):
    """Noise (N, 5) to images (N, 1, 8, 8), by every layer there is a fast one of."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.norm = nn.Dense(5, 12), nn.BatchNorm1d(12)
        self.up = nn.SequentialCell(
            nn.Conv2dTranspose(3, 4, 4, 2, pad_mode="pad", padding=1),
            nn.BatchNorm2d(4),
            nn.LeakyReLU(0.1),
            nn.Conv2dTranspose(4, 1, 4, 2, has_bias=True),
        )

    def construct(self, noise: Tensor) -> Tensor:
        return ops.tanh(self.up(self.norm(self.dense(noise)).reshape(-1, 3, 2, 2)))


class Discriminator(nn.Cell):
    """Images (N, 1, 8, 8) to logits (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.SequentialCell(
            nn.Conv2d(1, 4, 4, 2, pad_mode="pad", padding=1, has_bias=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4, 3, 3),
            nn.LeakyReLU(0.2),
        )
        self.dense = nn.Dense(48, 1)

    def construct(self, images: Tensor) -> Tensor:
        return self.dense(self.down(images).reshape(images.shape[0], -1))


def test_a_layer_stays_the_object_it_was_with_its_parameters() -> None:
    network = Generator()
    objects = [id(cell) for _, cell in network.cells_and_names()]
    parameters = [(id(parameter), parameter.name) for parameter in network.get_parameters()]
    counts = accelerate(network)
    assert counts == {
        "BatchNorm1d": 1,
        "BatchNorm2d": 1,
        "Conv2dTranspose": 2,
        "Dense": 1,
        "LeakyReLU": 1,
        "SequentialCell": 1,
    }
    assert set(objects) <= {id(cell) for _, cell in network.cells_and_names()}
    assert [(id(parameter), parameter.name) for parameter in network.get_parameters()] == parameters
    assert type(network.dense) is layers.Dense
    assert accelerate(network) == counts  # once more changes nothing


class MyDense(nn.Dense):
    """A user's own."""

    def construct(self, x: Tensor) -> Tensor:
        return super().construct(x) * 2


def test_what_would_gain_nothing_or_is_somebodys_own_is_left_alone() -> None:
    network = nn.SequentialCell(
        MyDense(3, 3),
        nn.Conv2d(4, 4, 3, group=2),
        nn.Conv2dTranspose(2, 2, 3, 2, "pad", 1, output_padding=1),
        nn.LeakyReLU(1.5),
        nn.ReLU(),
        nn.BatchNorm2d(3, use_batch_statistics=True),
        nn.SequentialCell(MyDense(3, 3), nn.ReLU(), nn.Softmax()),
    )
    kinds = [type(cell) for _, cell in network.cells_and_names()]
    assert accelerate(network) == {}
    assert [type(cell) for _, cell in network.cells_and_names()] == kinds


def test_a_sequential_cell_becomes_fast_where_two_layers_are_faster_in_batch_last_layout() -> None:
    alone = nn.SequentialCell(nn.Flatten(), nn.Dense(4, 1), nn.Sigmoid())
    assert accelerate(alone) == {"Dense": 1}
    network = nn.SequentialCell(nn.Softmax(), nn.SequentialCell(nn.Dense(4, 6), nn.ReLU(), nn.BatchNorm1d(6)))
    assert accelerate(network) == {"BatchNorm1d": 1, "Dense": 1, "SequentialCell": 2}
    network = nn.SequentialCell(nn.SequentialCell(nn.Conv2d(1, 2, 3), nn.ReLU()), nn.Flatten(), nn.Dense(98, 1))
    assert accelerate(network) == {"Conv2d": 1, "Dense": 1, "SequentialCell": 1}
    assert type(network) is layers.SequentialCell
    assert type(network[0]) is nn.SequentialCell


def trained(fast: bool, steps: int = 4) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    # Not Adam: of a gradient that is nothing but rounding, as of a bias before a BatchNorm, it makes whole steps.
    players = tiny_players(
        Generator, Discriminator, optimizer=partial(nn.SGD, learning_rate=0.1), seed=3, accelerate=fast
    )
    draw = np.random.default_rng(0)
    scalars = []
    for step in range(steps):
        real, noise = (draw.normal(size=s).astype(np.float32) for s in ((9, 1, 8, 8), (9, 5)))
        if step == 0:
            players.compile_for(real, noise)
        scalars.append(train_step(players, real, noise).asnumpy().copy())
    return players.weights(), scalars


@pytest.mark.slow
def test_training_with_fast_layers_is_training_with_stock_layers() -> None:
    (ours, our_scalars), (theirs, their_scalars) = trained(True), trained(False)
    np.testing.assert_allclose(our_scalars, their_scalars, atol=1e-5)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5, err_msg=name)


class Penalty(nn.Cell):
    """The gradient penalty of WGAN-GP (arXiv:1704.00028), which differentiates a gradient."""

    def __init__(self, network: nn.Cell) -> None:
        super().__init__()
        self.network = network
        self.slope = ops.GradOperation()
        self.gradient = ms.value_and_grad(self.penalty, None, network.trainable_params())

    def penalty(self, images: Tensor) -> Tensor:
        slope = self.slope(self.network)(images)
        return ((ops.sqrt((slope * slope).sum((1, 2, 3))) - 1) ** 2).mean()

    def construct(self, images: Tensor) -> Any:
        return self.gradient(images)


class EveryLayer(nn.Cell):
    """Images (N, 1, 8, 8) to scores, through all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.discriminator, self.generator = Discriminator(), Generator()
        self.inner = nn.Dense(64, 5)

    def construct(self, images: Tensor) -> Tensor:
        noise = ops.tanh(self.inner(images.reshape(images.shape[0], -1)))
        return self.discriminator(self.generator(noise))


@pytest.mark.slow
def test_the_gradient_of_a_gradient_is_the_stock_layers() -> None:
    images = Tensor(np.random.default_rng(0).normal(size=(9, 1, 8, 8)).astype(np.float32))
    found = []
    for fast in (False, True):
        ms.set_seed(1)
        network = EveryLayer()
        network.generator.up[1] = nn.Identity()  # the stock BatchNorm2d has no second gradient of its own to trust
        for seed, parameter in enumerate(network.get_parameters()):
            value = np.random.default_rng(seed).normal(size=parameter.shape) * 0.5
            parameter.set_data(Tensor(np.abs(value).astype(np.float32)))
        network.set_train(True)
        if fast:
            accelerate(network)
        with graph_mode():
            value, gradients = Penalty(network)(images)
        found.append([value.asnumpy(), *(gradient.asnumpy() for gradient in gradients)])
    largest = max(np.abs(gradient).max() for gradient in found[0])
    for stock, fast_one in zip(*found, strict=True):
        np.testing.assert_allclose(fast_one, stock, rtol=1e-4, atol=1e-5 * largest)


class Formula(nn.Cell):
    """Rows (N, C) normalised by the formula (arXiv:1502.03167), whose derivatives MindSpore finds by itself."""

    def construct(self, x: Tensor) -> Tensor:
        centred = x - x.mean(0, True)
        return centred / ops.sqrt((centred * centred).mean(0, True) + 1e-5)


class Score(nn.Cell):
    """Images (N, 1, 4, 4) to scores, normalised on the way."""

    def __init__(self, norm: nn.Cell) -> None:
        super().__init__()
        self.rows = nn.SequentialCell(nn.Dense(16, 5), norm, nn.Tanh(), nn.Dense(5, 3))

    def construct(self, images: Tensor) -> Tensor:
        return self.rows(images.reshape(images.shape[0], -1))


def test_the_gradient_of_a_gradient_of_batch_norm_is_that_of_its_formula() -> None:
    images = Tensor(np.random.default_rng(0).normal(size=(6, 1, 4, 4)).astype(np.float32))
    found = []
    for network in (Score(nn.BatchNorm1d(5, affine=False)), Score(Formula())):
        for seed, parameter in enumerate(network.trainable_params()):
            value = np.random.default_rng(seed).normal(size=parameter.shape)
            parameter.set_data(Tensor(value.astype(np.float32)))
        network.set_train(True)
        accelerate(network)
        with graph_mode():
            value, gradients = Penalty(network)(images)
        found.append([value.asnumpy(), *(gradient.asnumpy() for gradient in gradients)])
    for ours, formula in zip(*found, strict=True):
        np.testing.assert_allclose(ours, formula, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_runner_accelerates_says_so_and_can_be_told_not_to(images: np.ndarray) -> None:
    result = tiny_runner("fast").train(1, images, batch_size=4, quiet=True)
    assert result.accelerated["Dense"] >= 1
    [line] = [line for line in result.summary().splitlines() if line.startswith("fast layers")]
    assert all(f"{count} {kind}" in line for kind, count in result.accelerated.items())
    stock = tiny_runner("stock", accelerate=False)
    result = stock.train(1, images, batch_size=4, quiet=True)
    assert result.accelerated == {}
    assert "fast layers" not in result.summary()
    assert not any(
        type(cell).__module__.startswith("ms_gan_callbacks.models.layers")
        for _, cell in stock.generator.cells_and_names()
    )


def test_a_run_does_not_go_on_with_other_layers_unasked(images: np.ndarray) -> None:
    tiny_runner().train(1, images, batch_size=4, quiet=True)
    with pytest.raises(RunDirError, match="--allow-change accelerate"):
        tiny_runner(accelerate=False, resume=True).train(2, images, batch_size=4, quiet=True)


def test_a_run_resumes_with_fast_layers_that_an_earlier_version_did_not_have(images: np.ndarray) -> None:
    tiny_runner().train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    path = Path("run/run.json")
    facts = json.loads(path.read_text())
    facts["accelerated"] = {"Dense": 1}
    path.write_text(json.dumps(facts))
    tiny_runner(resume=True).train(2, images, [Checkpoint()], batch_size=4, quiet=True)
    assert json.loads(path.read_text())["accelerated"] != {"Dense": 1}
