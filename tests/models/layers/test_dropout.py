"""Dropout that is replayed: its masks, how good they are, and that a resumed run draws the same ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from conftest import (
    TinyDiscriminator,
    TinyGenerator,
    assert_same_weights,
    tiny_players,
    tiny_runner,
    train_step,
    weights_of,
)
from mindspore import Tensor, nn, ops

from models.layers.test_equality import BatchLast, draw
from ms_gan_callbacks import Checkpoint, Every
from ms_gan_callbacks.models import layers
from ms_gan_callbacks.models.networks import graph_mode
from ms_gan_callbacks.models.probe import probe_networks

SHAPE = (9, 3, 4, 5)
both_kinds = pytest.mark.parametrize("kind", [layers.Dropout, layers.Dropout2d])


def make(kind: Callable[..., nn.Cell] = layers.Dropout, p: float = 0.4, seed: int = 0) -> nn.Cell:
    """Return a dropout in training, of a seed."""
    layer = kind(p=p)
    drawn = np.random.default_rng(seed).integers(-(2**31), 2**31, 2)
    layer.seed.set_data(Tensor(drawn.astype(np.int32)))
    return layer.set_train(True)


def rewind(layer: nn.Cell, calls: int = 0) -> None:
    layer.calls.set_data(Tensor(np.array([calls], np.int32)))


def draw_masks(layer: nn.Cell, count: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return the next masks, (count, *shape)."""
    ones = Tensor(np.ones(shape, np.float32))
    return np.array([layer(ones).asnumpy().copy() for _ in range(count)])


@both_kinds
def test_masks_are_the_same_in_graphs_and_eager_and_in_both_layouts(kind: type[nn.Cell]) -> None:
    layer = make(kind)
    masks = draw_masks(layer, 3)
    assert set(np.unique(masks)) == {np.float32(0), np.float32(1 / 0.6)}
    assert layer.calls.asnumpy() == 3
    assert len({mask.tobytes() for mask in masks}) == 3
    rewind(layer)
    np.testing.assert_array_equal(draw_masks(BatchLast(layer), 3), masks)
    with graph_mode():
        for each in (layer, BatchLast(layer)):
            rewind(layer)
            np.testing.assert_array_equal(draw_masks(each, 3), masks)
            assert layer.calls.asnumpy() == 3


def test_dropout_2d_drops_whole_channels() -> None:
    masks = draw_masks(make(layers.Dropout2d), 4)
    np.testing.assert_array_equal(masks, np.broadcast_to(masks[..., :1, :1], masks.shape))
    assert 0 < (masks[..., 0, 0] == 0).sum() < masks[..., 0, 0].size


@both_kinds
def test_in_evaluation_it_is_the_identity_and_does_not_count(kind: type[nn.Cell]) -> None:
    layer, x = make(kind).set_train(False), draw(SHAPE, 1)
    for each in (layer, BatchLast(layer)):
        np.testing.assert_array_equal(each(x).asnumpy(), x.asnumpy())
    assert layer.calls.asnumpy() == 0


@pytest.mark.parametrize("p", [0.0, 0, 0.25])
def test_arguments_are_the_stock_ones(p: float) -> None:
    assert layers.Dropout(p=p).keep == 1 - p
    assert layers.Dropout(0.3).keep == 0.3
    if p == 0:
        same_as_input = make(layers.Dropout, p)
        np.testing.assert_array_equal(draw_masks(same_as_input, 1), 1)
    with pytest.raises(ValueError, match="'p' must be a number"):
        layers.Dropout(p=1.5)
    with pytest.raises((TypeError, ValueError)):
        make()(Tensor(np.ones(3, np.int32))).asnumpy()


class Slopes(nn.Cell):  # type: ignore[misc]
    """A value (x mask)^3 summed, its gradient, and that of the squared gradient, each with masks of its own."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer, self.slope = layer, ops.GradOperation()
        self.first = ms.value_and_grad(self.cube, 0, None, has_aux=True)
        self.second = ms.value_and_grad(self.penalty, 0, None)

    def cube(self, x: Tensor) -> tuple[Tensor, Tensor]:
        dropped = self.layer(x)
        return (dropped**3).sum(), dropped

    def score(self, x: Tensor) -> Tensor:
        return self.layer(x) ** 3

    def penalty(self, x: Tensor) -> Tensor:
        return ops.square(self.slope(self.score)(x)).sum()

    def construct(self, x: Tensor) -> Any:
        (value, dropped), gradient = self.first(x)
        penalty, curvature = self.second(x)
        return value, dropped, gradient, penalty, curvature, self.layer(x)


@both_kinds
@pytest.mark.parametrize("wrapped", [False, True], ids=["batch first", "batch last"])
def test_forward_and_gradients_of_one_call_have_one_mask_and_each_call_its_own(
    kind: type[nn.Cell], wrapped: bool
) -> None:
    layer = make(kind)
    first, second, third = draw_masks(layer, 3)
    rewind(layer)
    x = draw(SHAPE, 1)
    with graph_mode():
        found = Slopes(BatchLast(layer) if wrapped else layer)(x)
    value, dropped, gradient, penalty, curvature, last = (one.asnumpy() for one in found)
    assert layer.calls.asnumpy() == 3
    x = x.asnumpy()
    np.testing.assert_array_equal(dropped, x * first)
    np.testing.assert_allclose(value, ((x * first) ** 3).sum(), rtol=1e-4)
    np.testing.assert_allclose(gradient, 3 * x**2 * first**3, rtol=1e-4)
    np.testing.assert_allclose(penalty, (9 * x**4 * second**6).sum(), rtol=1e-4)
    np.testing.assert_allclose(curvature, 36 * x**3 * second**6, rtol=1e-4)
    np.testing.assert_array_equal(last, x * third)


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_masks_look_random(p: float) -> None:
    steps, shape = 120, (16, 8, 8, 8)
    with graph_mode():
        one, other = (draw_masks(make(p=p, seed=seed), steps, shape) for seed in (1, 2))
        channels = draw_masks(make(layers.Dropout2d, p), 400, (32, 8, 1, 1))
    scaled = [(masks * (1 - p) - (1 - p)) / np.sqrt(p * (1 - p)) for masks in (one, other, channels)]
    pairs = {
        "the rate": (scaled[0], 1),
        "the rate of another seed": (scaled[1], 1),
        "the rate of channels": (scaled[2], 1),
        "columns": (scaled[0][..., 1:], scaled[0][..., :-1]),
        "rows": (scaled[0][..., 1:, :], scaled[0][..., :-1, :]),
        "channels": (scaled[0][:, :, 1:], scaled[0][:, :, :-1]),
        "images": (scaled[0][:, 1:], scaled[0][:, :-1]),
        "steps": (scaled[0][1:], scaled[0][:-1]),
        "steps of a second": (scaled[0][2:], scaled[0][:-2]),
        "layers": (scaled[0], scaled[1]),
        "layers a step apart": (scaled[0][1:], scaled[1][:-1]),
        "whole channels": (scaled[2][:, :, 1:], scaled[2][:, :, :-1]),
        "whole channels of steps": (scaled[2][1:], scaled[2][:-1]),
    }
    for what, (left, right) in pairs.items():
        products = np.asarray(left * right, np.float64)
        # Three standard deviations for a rate. Of thirty correlations of true random numbers, one exceeds three in
        # one of twelve such tests, and four in one of five hundred.
        assert abs(products.mean()) * np.sqrt(products.size) < (3 if "rate" in what else 4), what
    per_element, per_step = scaled[0].mean(0) * np.sqrt(steps), scaled[0].reshape(steps, -1).mean(1) * 2**6.5
    for deviations in (per_element, per_step):
        assert 0.8 < deviations.std() < 1.2
        assert abs(deviations).max() < 6  # the largest of 8192, of binomial numbers with a long tail


def test_the_counter_wraps_around() -> None:
    layer = make()
    rewind(layer, 2**31 - 1)
    first, second = draw_masks(layer, 2)
    assert layer.calls.asnumpy() == 1 - 2**31
    assert not np.array_equal(first, second)


def test_accelerate_names_the_parameters_like_those_of_the_network() -> None:
    inner = nn.SequentialCell(nn.Dropout(p=0.5), nn.Dense(3, 3))
    network = nn.SequentialCell(nn.Dense(3, 3), inner, nn.Dropout2d(p=0.5), nn.Dropout(p=0.0))
    np.random.seed(0)
    assert layers.accelerate(network) == {"Dense": 2, "Dropout": 2, "Dropout2d": 1, "SequentialCell": 1}
    names = [parameter.name for parameter in network.get_parameters() if not parameter.requires_grad]
    assert names == [f"{layer}.{name}" for layer in ("1.0", "2", "3") for name in ("seed", "calls")]
    seeds = [cell.seed.asnumpy() for _, cell in network.cells_and_names() if hasattr(cell, "seed")]
    assert len({seed.tobytes() for seed in seeds}) == 3
    assert layers.accelerate(network) == {"Dense": 2, "Dropout": 2, "Dropout2d": 1, "SequentialCell": 1}
    assert [cell.seed.asnumpy().tobytes() for _, cell in network.cells_and_names() if hasattr(cell, "seed")] == [
        seed.tobytes() for seed in seeds
    ]
    alone = nn.Dropout(p=0.5)
    layers.accelerate(alone)
    assert [parameter.name for parameter in alone.get_parameters()] == ["seed", "calls"]


def test_a_chain_passes_through_in_batch_last_layout() -> None:
    chains = []
    for fast in (True, False):
        np.random.seed(0)
        chain = nn.SequentialCell(
            nn.Conv2d(2, 3, 3),
            layers.Dropout(p=0.3),
            nn.BatchNorm2d(3),
            layers.Dropout2d(p=0.3),
            nn.Conv2dTranspose(3, 2, 4, 2, "pad", 1),
        )
        if fast:
            layers.accelerate(chain)
            assert all(chain.batch_last)
        chains.append(chain)
    fast, stock = chains
    assert all(type(fast[number]) is type(stock[number]) for number in (1, 3))
    compare(fast, stock, (9, 2, 6, 6))


def compare(fast: nn.Cell, stock: nn.Cell, shape: tuple[int, ...]) -> None:
    """Check outputs and gradients of networks with the same weights, seeds and counts."""
    for ours, theirs in zip(fast.get_parameters(), stock.get_parameters(), strict=True):
        ours.set_data(Tensor(theirs.asnumpy()))
    x, found = draw(shape, 1), []
    for network in (fast, stock):
        network.set_train(True)
        value, gradients = ms.value_and_grad(network, 0, network.trainable_params())(x)
        found.append([value.asnumpy(), gradients[0].asnumpy(), *(one.asnumpy() for one in gradients[1])])
        assert network[1].calls.asnumpy() == network[3].calls.asnumpy() == 1
    largest = max(abs(one).max() for one in found[1])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * largest)


class Drops(TinyDiscriminator):
    """A discriminator with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(16, 8), nn.Dropout(p=0.5), nn.Dense(8, 1))


class DropsImages(TinyGenerator):
    """A generator with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(p=0.5)

    def construct(self, noise: Tensor) -> Tensor:
        return super().construct(self.drop(noise))


BATCH = (draw((4, 1, 4, 4), 1).asnumpy().clip(-1, 1), draw((4, 3), 2).asnumpy())


def test_the_probe_takes_it_for_random_but_does_not_warn_of_it() -> None:
    players = tiny_players(DropsImages, Drops)
    before = players.weights()
    players.compile_for(*BATCH)  # a warning would fail this
    assert_same_weights(before, players.weights())
    found = probe_networks(players.generator, players.discriminator, *BATCH)
    assert (found.joined, found.random_layers, found.coupled) == (False, (), False)
    stock = tiny_players(DropsImages, Drops, accelerate=False)
    found = probe_networks(stock.generator, stock.discriminator, *BATCH)
    assert (found.joined, len(found.random_layers), found.coupled) == (False, 2, False)


def test_seeds_follow_from_the_seed_of_the_run() -> None:
    np.random.seed(3)
    state = np.random.get_state()[1].copy()
    seeds = [
        [value.tobytes() for name, value in players.weights().items() if name.endswith(".seed")]
        for players in (tiny_players(DropsImages, Drops, seed=seed, ema=0.9) for seed in (0, 0, 1))
    ]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 2  # the EMA has the generator's
    assert not set(seeds[0]) & set(seeds[2])
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.slow
def test_a_step_counts_the_calls_of_each_network_and_the_ema_copies_the_count() -> None:
    players = tiny_players(DropsImages, Drops, ema=0.9)
    players.compile_for(*BATCH)
    for step in (1, 2):
        train_step(players, *BATCH)
        counts = {name: int(value[0]) for name, value in players.weights().items() if name.endswith(".calls")}
        assert counts == {
            "generator.drop.calls": step,
            "discriminator.layers.1.calls": 3 * step,  # real, fake, and fake for the generator
            "ema.drop.calls": step,
        }
    before = players.weights()
    players.generate(BATCH[1])
    players.score(BATCH[0])
    assert_same_weights(before, players.weights())


@pytest.mark.slow
def test_a_run_resumed_in_mid_epoch_ends_in_the_same_bytes(images: np.ndarray) -> None:
    networks: dict[str, Any] = {"generator": DropsImages, "discriminator": Drops, "ema": 0.9}
    whole = tiny_runner("whole", **networks)
    whole.train(2, images, [Checkpoint(Every.steps(3), keep=None)], batch_size=4, quiet=True)
    shutil.copytree("whole", "parts")
    parts = tiny_runner("parts", **networks, resume=3, fresh=True)
    parts.train(2, images, [Checkpoint(Every.steps(3), keep=None)], batch_size=4, quiet=True)
    assert_same_weights(weights_of(whole), weights_of(parts))
    kept = [
        (Path(folder) / "checkpoints/step-00000009/weights.safetensors").read_bytes()
        for folder in ("whole", "parts")
    ]
    assert kept[0] == kept[1]
