"""Averaged networks make images with the batch statistics of their own features."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_weights, tiny_players, tiny_runner, weights_of
from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks import ArraySource, Game, Normal, Player, Recipe, Runner
from ms_gan_callbacks.data.rng import noise
from ms_gan_callbacks.models.two_players import TwoPlayers

NOISE, FEATURES, EPSILON = 3, 6, 1e-5
Array = NDArray[np.float64]


class Normalised(nn.Cell):
    """Noise (N, 3) to images (N, 1, 4, 4); with labels (N,), too, if there are classes."""

    def __init__(self, momentum: float = 0.9, classes: int = 0) -> None:
        super().__init__()
        self.first, self.norm = nn.Dense(NOISE, FEATURES), nn.BatchNorm1d(FEATURES, momentum=momentum)
        self.second, self.tanh = nn.Dense(FEATURES, 16), nn.Tanh()
        self.classes = nn.Embedding(classes, FEATURES) if classes else None

    def construct(self, noise: Tensor, *labels: Tensor) -> Tensor:
        features = self.first(noise)
        if self.classes is not None:
            features = features + 3 * self.classes(labels[0])
        return self.tanh(self.second(self.norm(features))).reshape(-1, 1, 4, 4)


class WithLabels(Normalised):
    """The same; a generator's inputs are read from its signature."""

    def construct(self, noise: Tensor, labels: Tensor) -> Tensor:
        return super().construct(noise, labels)


def build(generator: Any, **settings: Any) -> TwoPlayers:
    """Return players with an average, all of whose weights are drawn anew, and statistics that do not fit them."""
    players = tiny_players(generator, ema=0.999, **settings)
    draw = np.random.default_rng(5)
    values = players.weights()
    for name, value in values.items():
        if name.startswith("ema."):
            values[name] = draw.uniform(0.2, 1, value.shape).astype(np.float32)
            values[name] += 30 * name.endswith("moving_variance")
    players.load_weights(values)
    return players


def compute_features(weights: dict[str, Array], rows: Array, labels: NDArray[Any] | None = None) -> Array:
    features = rows @ weights["ema.first.weight"].T + weights["ema.first.bias"]
    return features if labels is None else features + 3 * weights["ema.classes.embedding_table"][labels]


def compute_images(
    weights: dict[str, Array], features: Array, batches: list[Array], momentum: float = 0.9
) -> Array:
    """Return images of features that are normalised by the layer's moving average over batches."""
    share = [(1 - momentum) * momentum**age for age in reversed(range(len(batches)))]
    mean = sum(one * batch.mean(0) for one, batch in zip(share, batches, strict=True)) / sum(share)
    variance = sum(one * batch.var(0, ddof=1) for one, batch in zip(share, batches, strict=True)) / sum(share)
    normal = (features - mean) / np.sqrt(variance + EPSILON)
    scaled = normal * weights["ema.norm.gamma"] + weights["ema.norm.beta"]
    return np.tanh(scaled @ weights["ema.second.weight"].T + weights["ema.second.bias"]).reshape(-1, 1, 4, 4)


def doubles(players: TwoPlayers) -> dict[str, Array]:
    return {name: value.astype(np.float64) for name, value in players.weights().items()}


@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("accelerate", [True, False])
def test_statistics_are_those_of_the_averaged_weights(momentum: float, accelerate: bool) -> None:
    players = build(partial(Normalised, momentum), accelerate=accelerate)
    weights, rows = doubles(players), noise(7, "rows", 0, 5, NOISE)
    batches = [compute_features(weights, noise(0, "statistics", one, 64, NOISE)) for one in range(16)]
    expected = compute_images(weights, compute_features(weights, rows), batches, momentum)
    np.testing.assert_allclose(players.generate(rows), expected, atol=2e-4)


def test_statistics_of_a_conditional_generator_are_those_of_all_classes() -> None:
    players = build(partial(WithLabels, classes=3), classes=3)
    weights, rows, labels = doubles(players), noise(7, "rows", 0, 5, NOISE), np.array([2, 2, 2, 2, 0])
    turns = np.arange(64) % 3
    batches = [compute_features(weights, noise(0, "statistics", one, 64, NOISE), turns) for one in range(16)]
    expected = compute_images(weights, compute_features(weights, rows, labels), batches)
    np.testing.assert_allclose(players.generate(rows, labels), expected, atol=2e-4)


def test_making_images_changes_no_parameter_and_new_weights_are_measured() -> None:
    players, rows = build(Normalised), noise(7, "rows", 0, 5, NOISE)
    before = players.weights()
    images = players.generate(rows)
    assert_same_weights(before, players.weights())
    with players.use_averages():
        inside = players.weights()
        assert not np.array_equal(inside["ema.norm.moving_variance"], before["ema.norm.moving_variance"])
        np.testing.assert_array_equal(players.generate(rows), images)
    assert_same_weights(before, players.weights())
    # The features are multiplied, and so are their statistics: without new ones, the images would change.
    scaled = {name: 3 * value if name.startswith("ema.first") else value for name, value in before.items()}
    players.load_weights(scaled)
    np.testing.assert_allclose(players.generate(rows), images, atol=1e-4)


def test_layers_that_cannot_or_need_not_be_measured_keep_their_statistics() -> None:
    class Fixed(Normalised):
        def __init__(self) -> None:
            super().__init__(momentum=1.0)  # never updated, as in a fine-tuned network

    class Batch(Normalised):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(FEATURES, use_batch_statistics=False)

    for kind in (Fixed, Batch):
        players, rows = build(kind), noise(7, "rows", 0, 5, NOISE)
        weights = doubles(players)
        features = compute_features(weights, rows) - weights["ema.norm.moving_mean"]
        normal = features / np.sqrt(weights["ema.norm.moving_variance"] + EPSILON)
        scaled = normal * weights["ema.norm.gamma"] + weights["ema.norm.beta"]
        expected = np.tanh(scaled @ weights["ema.second.weight"].T + weights["ema.second.bias"])
        np.testing.assert_allclose(players.generate(rows), expected.reshape(-1, 1, 4, 4), atol=2e-4)


class Translator(nn.Cell):
    """Images (N, 1, 4, 4) to images."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.norm = nn.Dense(16, 16), nn.BatchNorm1d(16)

    def construct(self, images: Tensor) -> Tensor:
        return ops.tanh(self.norm(self.dense(images.reshape(-1, 16)))).reshape(-1, 1, 4, 4)


class Translation(Game):
    """Images of the data to others; also a second network, which no image depends on."""

    def make(self, real: Tensor) -> Tensor:
        return self.generator(real)

    def generator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        return ops.square(made - real).mean() + ops.square(self.other(real)).mean()


class Drawn(Translation):
    """Images of noise."""

    chance = {"noise": Normal(1, 4, 4)}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)


def make_game(kind: type[Game], out: Path) -> Runner:
    """Return a runner that has trained two averaged networks for two epochs."""
    images = np.random.default_rng(3).integers(0, 256, (16, 1, 4, 4), np.uint8)
    runner = Runner.from_recipe(
        Recipe(
            game=kind,
            networks={"generator": Translator, "other": Translator},
            players={"generator": Player(("generator", "other"), partial(nn.Adam, learning_rate=0.01), ema=0.9)},
            data=lambda: ArraySource(images, batch_size=4),
            epochs=2,
        ),
        out,
    )
    runner.train(quiet=True)
    return runner


def test_a_game_of_noise_is_measured_and_networks_that_make_no_image_are_not(tmp_path: Path) -> None:
    players = make_game(Drawn, tmp_path / "run")._players
    before = weights_of_averages(players.weights())
    with players.use_averages():
        inside = weights_of_averages(players.weights())
    changed = {name for name, value in before.items() if not np.array_equal(value, inside[name])}
    assert changed == {"ema.generator.norm.moving_mean", "ema.generator.norm.moving_variance"}


def test_a_game_that_makes_images_from_the_data_keeps_the_averaged_statistics(tmp_path: Path) -> None:
    players = make_game(Translation, tmp_path / "run")._players
    before = players.weights()
    with players.use_averages():
        assert_same_weights(before, players.weights())


def weights_of_averages(weights: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in weights.items() if name.startswith("ema.")}


@pytest.mark.slow
def test_measuring_in_between_does_not_change_a_run(tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 256, (16, 1, 4, 4), np.uint8)
    quiet, drawing = (
        tiny_runner(tmp_path / name, generator=Normalised, ema=0.9, fresh=True) for name in ("quiet", "drawing")
    )
    rows = noise(1, "rows", 0, 8, NOISE)
    for runner in (quiet, drawing):
        runner.train(1, ArraySource(images, batch_size=4), [], quiet=True)
        if runner is drawing:
            runner._players.generate(rows)
        runner.train(1, ArraySource(images, batch_size=4), [], quiet=True)
    assert_same_weights(weights_of(quiet), weights_of(drawing))
    np.testing.assert_array_equal(quiet._players.generate(rows), drawing._players.generate(rows))
