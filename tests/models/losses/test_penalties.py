"""Penalties, against NumPy in double precision: their value, and what the discriminator learns from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, StopsAt, TinyDiscriminator, TinyGenerator, tiny_players, tiny_runner, train_step
from mindspore import Tensor, nn, ops

from models.losses.plain import PLAIN, Convolutional, Perceptron, batch, doubles, draw, gradient, players, slope
from ms_gan_callbacks import (
    DRAGAN,
    R1,
    R2,
    Checkpoint,
    Every,
    GanWarning,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Penalty,
    RecipeError,
    Runner,
    Wasserstein,
    stream,
)


def expected(penalty: object, score, real: np.ndarray, fake: np.ndarray, drawn: np.ndarray) -> float:
    """Return what the papers say."""
    if isinstance(penalty, (R1, R2)):
        return penalty.gamma / 2 * (slope(score, real if isinstance(penalty, R1) else fake) ** 2).mean()
    if isinstance(penalty, DRAGAN):
        excess = slope(score, real + 0.5 * real.std() * drawn) - 1
    else:
        excess = slope(score, drawn * real + (1 - drawn) * fake) - 1
        if penalty.one_sided:
            excess = np.maximum(excess, 0)
    return penalty.weight * (excess**2).mean()


@pytest.mark.parametrize(
    ("network", "penalty"),
    [
        pytest.param(Perceptron, GradientPenalty(10.0), marks=pytest.mark.slow),
        pytest.param(Perceptron, GradientPenalty(3.0, one_sided=True), marks=pytest.mark.slow),
        pytest.param(Perceptron, DRAGAN(5.0), marks=pytest.mark.slow),
        pytest.param(Perceptron, R1(2.0), marks=pytest.mark.slow),
        pytest.param(Perceptron, R2(2.0), marks=pytest.mark.slow),
        pytest.param(Convolutional, GradientPenalty(10.0), marks=pytest.mark.slow),
        pytest.param(Convolutional, R1(10.0), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_discriminators_gradient_is_that_of_the_papers_loss(network: type[nn.Cell], penalty: Penalty) -> None:
    made, (real, noise) = players(network, objective=Wasserstein(), penalty=penalty), batch()
    drawn = penalty.draw(stream(0, "penalty", 1), real.shape)
    before, plain = doubles(made), PLAIN[network]

    def loss(w) -> float:
        fake = draw(w, noise)
        gap = plain(w, fake).mean() - plain(w, real).mean()
        return gap + expected(penalty, lambda images: plain(w, images), real.astype(float), fake, drawn)

    scalars = train_step(made, real, noise, drawn=drawn, both=False).asnumpy()
    assert scalars[0] == pytest.approx(loss(before), rel=1e-4)
    after = doubles(made)
    for name, value in gradient(loss, before, "discriminator").items():
        np.testing.assert_allclose(before[name] - after[name], value, rtol=2e-3, atol=2e-4, err_msg=name)
    # What is left of the gap alone: the penalty has a say in the gradient.
    assert np.abs(before["discriminator.last.bias"] - after["discriminator.last.bias"]).max() < 1e-5


@pytest.mark.slow
def test_several_penalties_add_up_and_lazy_ones_are_multiplied() -> None:
    penalties = [R1(2.0), GradientPenalty(3.0, every=4), R2(0.5)]
    made, (real, noise) = players(Perceptron, objective=Wasserstein(), penalty=penalties), batch()
    before, drawn = doubles(made), penalties[1].draw(stream(0, "penalty", 1), real.shape)
    nothing = np.zeros(1, np.float32)
    inputs = {"real": real, "noise": noise, "penalty": nothing, "penalty_2": drawn, "penalty_3": nothing}

    def loss(w, lazy: float) -> float:
        fake, images = draw(w, noise), real.astype(float)

        def term(penalty: Penalty) -> float:
            return expected(penalty, lambda shown: PLAIN[Perceptron](w, shown), images, fake, drawn)

        gap = PLAIN[Perceptron](w, fake).mean() - PLAIN[Perceptron](w, images).mean()
        return gap + term(penalties[0]) + lazy * term(penalties[1]) + term(penalties[2])

    for due, lazy in ((("d",), 0), (("d", "penalty_2"), 4)):
        made.load_weights({**made.weights(), **{name: one.astype(np.float32) for name, one in before.items()}})
        d_loss = made.train_step(inputs, due).asnumpy()[0]
        assert d_loss == pytest.approx(loss(before, lazy), rel=1e-4)
        after = doubles(made)
        for name, value in gradient(lambda w, lazy=lazy: loss(w, lazy), before, "discriminator").items():
            np.testing.assert_allclose(before[name] - after[name], value, rtol=2e-3, atol=3e-4, err_msg=name)


def test_lazy_penalties_are_due_in_every_nth_step() -> None:
    made = players(Perceptron, penalty=[R1(1.0, every=3), R2(1.0)], generator_every=2)
    assert [made.steps.list_due(step) for step in (1, 2, 3, 6)] == [
        ("d",),
        ("d", "g"),
        ("d", "penalty"),
        ("d", "g", "penalty"),
    ]


@pytest.mark.slow
def test_a_run_with_lazy_penalties_resumes_exactly(images: np.ndarray, tmp_path: Path) -> None:
    penalties = [R1(every=3), GradientPenalty(every=2)]
    whole = tiny_runner(objective=Wasserstein(), penalty=penalties, out_dir=tmp_path / "whole")
    whole.train(2, images, batch_size=4, quiet=True)
    halves = tiny_runner(objective=Wasserstein(), penalty=penalties, out_dir=tmp_path / "halves")
    halves.train(2, images, [StopsAt(7), Checkpoint(Every.steps(7))], batch_size=4, quiet=True)
    resumed = tiny_runner(objective=Wasserstein(), penalty=penalties, out_dir=tmp_path / "halves", resume=True)
    assert resumed.train(2, images, [Checkpoint(Every.steps(7))], batch_size=4, quiet=True).step == 10
    for name, value in whole._players.weights().items():
        assert np.array_equal(value, resumed._players.weights()[name]), name


def test_what_is_recorded_of_penalties_has_not_changed() -> None:
    assert repr(R1()) == "R1(gamma=10.0)"
    assert repr(GradientPenalty(every=4)) == "GradientPenalty(weight=10.0, one_sided=False, every=4)"
    assert tiny_players(penalty=(R1(1.0), R2(1.0))).method.facts()["penalty"] == "(R1(gamma=1.0), R2(gamma=1.0))"


@pytest.mark.parametrize("penalty", [GradientPenalty(), DRAGAN(), R1()])
def test_what_a_penalty_draws_follows_from_the_stream(penalty: Penalty) -> None:
    drawn = [penalty.draw(stream(0, "penalty", step), (6, 1, 4, 4)) for step in (1, 1, 2)]
    assert drawn[0].dtype == np.float32
    assert np.array_equal(drawn[0], drawn[1])
    assert isinstance(penalty, R1) or not np.array_equal(drawn[0], drawn[2])
    assert drawn[0].min() >= 0
    assert drawn[0].max() <= 1


def test_an_image_is_mixed_with_its_fake_by_one_number() -> None:
    assert GradientPenalty().draw(stream(0, "penalty", 1), (6, 3, 4, 4)).shape == (6, 1, 1, 1)


@dataclass(frozen=True)
class MeanSquare:
    """A penalty of a user's own: no gradient of a gradient, no chance."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(1, 0.25, np.float32)

    def loss(self, critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        return drawn[0] * (ops.square(critic(real)).mean() + ops.square(critic(fake)).mean())


@pytest.mark.slow
def test_a_penalty_of_a_users_own_is_one_class() -> None:
    made, (real, noise) = players(Perceptron, objective=LeastSquares(), penalty=MeanSquare()), batch()
    before = doubles(made)
    scores = [PLAIN[Perceptron](before, images) for images in (real, draw(before, noise))]
    d_loss = train_step(made, real, noise, drawn=MeanSquare().draw(stream(0, "x", 0), real.shape), both=False)
    squares = [(score**2).mean() for score in scores]
    wanted = (((scores[0] - 1) ** 2).mean() + squares[1]) / 2 + 0.25 * sum(squares)
    assert d_loss.asnumpy()[0] == pytest.approx(wanted, rel=1e-5)


class Spread(Penalty):
    """A penalty of a user's own that inherits its draw."""

    def loss(self, critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        return ops.square(critic(real).mean() - critic(fake).mean()) + drawn[0]


@pytest.mark.slow
def test_a_subclass_of_penalty_needs_no_draw() -> None:
    made, (real, noise) = players(Perceptron, objective=LeastSquares(), penalty=Spread()), batch()
    before = doubles(made)
    of_real, of_fake = (PLAIN[Perceptron](before, images) for images in (real, draw(before, noise)))
    drawn = Spread().draw(stream(0, "x", 0), real.shape)
    assert (drawn.dtype, drawn.tolist()) == (np.float32, [0])
    d_loss = train_step(made, real, noise, drawn=drawn, both=False).asnumpy()[0]
    wanted = (((of_real - 1) ** 2).mean() + (of_fake**2).mean()) / 2 + (of_real.mean() - of_fake.mean()) ** 2
    assert d_loss == pytest.approx(wanted, rel=1e-5)


def test_a_subclass_of_penalty_must_have_a_loss() -> None:
    class Empty(Penalty):
        pass

    with pytest.raises(TypeError, match="loss"):
        Empty()


class Pools(nn.Cell):
    """A discriminator with a layer of the test's choice."""

    def __init__(self, layer: nn.Cell, width: int) -> None:
        super().__init__()
        self.convolution, self.layer, self.dense = nn.Conv2d(1, 4, 3), layer, nn.Dense(width, 1)

    def construct(self, images: Tensor) -> Tensor:
        return self.dense(self.layer(self.convolution(images)).reshape(images.shape[0], -1))


def penalised(layer: Callable[[], nn.Cell], width: int = 64) -> Runner:
    return tiny_runner(discriminator=lambda: Pools(layer(), width), objective=Wasserstein(), penalty=R1())


LACKING: dict[str, tuple[Callable[[], nn.Cell], int, str]] = {
    "ELU": (nn.ELU, 64, "Elu"),
    "average": (lambda: nn.AvgPool2d(2, 2), 16, "AvgPool"),
    "SELU": (nn.SeLU, 64, "Elu"),
    "GELU in its `tanh` form": (nn.GELU, 64, "GeLU"),
    "ReLU6": (nn.ReLU6, 64, "ReLU6"),
    "PReLU": (nn.PReLU, 64, "PReLU"),
    "HSwish": (nn.HSwish, 64, "HSwish"),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), 64, "GroupNorm"),
    "maximum": (lambda: nn.MaxPool2d(2, 2), 16, "MaxPool"),
    "adaptive pooling": (lambda: nn.AdaptiveAvgPool2d(2), 16, "AdaptiveAvgPool2D"),
}
"""What docs/recipes.md says has no second derivative, and the operation that is named."""
HAVING: dict[str, Callable[[], nn.Cell]] = {
    "Dense": lambda: nn.Dense(4, 4),
    "convolution": lambda: nn.Conv2d(4, 4, 3),
    "LeakyReLU": nn.LeakyReLU,
    "ReLU": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "SiLU": nn.SiLU,
    "Mish": nn.Mish,
    "softmax": lambda: nn.Softmax(-1),
    "LayerNorm": lambda: nn.LayerNorm((4,)),
}


def some(names: Iterable[str], quick: Collection[str]) -> list[object]:
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", some(LACKING, ()))
def test_layers_without_a_second_derivative_are_refused_in_one_line(name: str, images: np.ndarray) -> None:
    layer, width, named = LACKING[name]
    runner = penalised(layer, width)
    with pytest.raises(
        RecipeError, match=f"R1 requires the second derivative of {named}, which MindSpore does not"
    ):
        runner.train(1, images, batch_size=4, quiet=True)
    assert not runner.out_dir.exists()


@pytest.mark.parametrize("name", some(HAVING, ()))
def test_layers_that_are_named_instead_have_one(name: str, images: np.ndarray) -> None:
    assert penalised(HAVING[name]).train(1, images, batch_size=4, quiet=True).step == 5


def test_the_layers_that_the_documentation_names_are_those_that_were_tried() -> None:
    text = " ".join((ROOT / "docs" / "recipes.md").read_text(encoding="utf-8").split())
    lacking = re.search(r"MindSpore has none for (.*?)\. With these", text)
    having = re.search(r"behind\. (Dense, .*?) are supported\.", text)
    assert lacking is not None and having is not None
    assert re.split(r", and |, | and ", lacking[1]) == sorted(LACKING, key=lacking[1].index)
    assert re.split(", | and ", having[1]) == list(HAVING)


class BatchNormalised(TinyDiscriminator):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(16, 8), nn.BatchNorm1d(8), nn.Dense(8, 1))


def test_a_penalty_on_batch_statistics_is_warned_of() -> None:
    made = tiny_players(TinyGenerator, BatchNormalised, objective=Hinge(), penalty=GradientPenalty())
    with pytest.warns(GanWarning, match="GradientPenalty requires independent scores.*LayerNorm"):
        made.compile_for(np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GradientPenalty(-1), "GradientPenalty: the weight must be 0 or more, got -1"),
        (lambda: R1(float("nan")), "R1: the weight must be 0 or more, got nan"),
        (lambda: DRAGAN(True), "DRAGAN: the weight must be 0 or more, got True"),
        (lambda: R1(every=0), "R1: every must be a whole number of at least 1, got 0"),
        (lambda: R2(every=True), "R2: every must be a whole number of at least 1, got True"),
        (lambda: tiny_players(penalty=[R1(), 3]), "penalty must be an object with a method draw, not 3"),
        (lambda: tiny_players(penalty=GradientPenalty), "penalty must be an object with a method draw"),
        (lambda: tiny_players(penalty=10.0), "penalty must be an object with a method draw, not 10.0"),
    ],
)
def test_what_is_no_penalty_says_so(make, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make()
