"""What is asked before the first step: lost state, short schedules, networks that see nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from conftest import (
    TinyDiscriminator,
    TinyGenerator,
    adam,
    assert_same_weights,
    tiny_players,
    tiny_runner,
    weights_of,
)
from mindspore import nn, ops
from models.test_players import BatchNormalised

from ms_gan_callbacks import (
    AuxiliaryClassifier,
    Checkpoint,
    DataError,
    GanWarning,
    GradientPenalty,
    NonSaturating,
    RecipeError,
    Runner,
)
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.models.optimizers import check_rates


class Controlled(NonSaturating):
    """Moves a Parameter of its own with every loss, as BEGAN does its k."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "inner", {"k": ms.Parameter(ms.Tensor(np.zeros(1, np.float32)), name="k")})

    def generator_loss(self, fake_scores: ms.Tensor) -> ms.Tensor:
        k = self.inner["k"]
        return ops.depend(super().generator_loss(fake_scores) + 0 * k.sum(), ops.assign(k, k + 1))


@pytest.mark.slow
def test_a_parameter_of_the_objective_is_in_checkpoints_and_only_training_moves_it(images: np.ndarray) -> None:
    objective = Controlled()

    def runner(out_dir: str, **more: object) -> Runner:
        return tiny_runner(out_dir, objective=objective, **more)

    first = runner("run")
    first.train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    [name] = [name for name in weights_of(first) if name.startswith("objective.")]
    assert weights_of(first)[name] == [5]
    first.eval(images)
    assert weights_of(first)[name] == [5]
    resumed = runner("run", resume=True)
    assert weights_of(resumed)[name] == [0]
    resumed.train(2, images, [Checkpoint()], batch_size=4, quiet=True)
    assert weights_of(resumed)[name] == [10]
    assert weights_of(runner("another"))[name] == [0], "a run begins with it as it was made"


LOOSE = ms.Parameter(ms.Tensor(np.zeros(1, np.float32)), name="loose")


class Leans(TinyDiscriminator):
    def construct(self, images: ms.Tensor) -> ms.Tensor:
        return ops.depend(super().construct(images), ops.assign(LOOSE, LOOSE + 1))


@pytest.mark.slow
@pytest.mark.parametrize("generator_every", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_parameter_that_no_checkpoint_would_hold_is_refused_before_the_first_step(
    images: np.ndarray, generator_every: int
) -> None:
    runner = tiny_runner(discriminator=Leans, generator_every=generator_every)
    before = weights_of(runner)
    with pytest.raises(RecipeError, match="uses a Parameter 'loose' that does not belong to a network") as caught:
        runner.train(1, images, batch_size=4, quiet=True)
    assert "\n" not in str(caught.value)
    assert_same_weights(before, weights_of(runner))
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "generator_every", "message"),
    [
        (
            partial(nn.Adam, learning_rate=[1e-3] * 9),
            1,
            "discriminator's optimizer has 9 .*10 times",
        ),
        (partial(nn.SGD, learning_rate=ms.Tensor([1e-3] * 3)), 1, "has 3 learning rates"),
        (partial(nn.Adam, learning_rate=[1e-3] * 10), 1, None),
        pytest.param(
            partial(nn.Adam, learning_rate=nn.CosineDecayLR(0.0, 1e-3, 3)), 1, None, marks=pytest.mark.slow
        ),
    ],
)
def test_a_list_of_learning_rates_that_is_too_short_is_found_before_the_first_step(
    optimizer: object, generator_every: int, message: str | None, images: np.ndarray
) -> None:
    runner = tiny_runner(optimizer=optimizer, generator_every=generator_every)
    if message is None:
        assert runner.train(2, images, batch_size=4, quiet=True).step == 10
        return
    with pytest.raises(RecipeError, match=message) as caught:
        runner.train(2, images, batch_size=4, quiet=True)
    assert "\n" not in str(caught.value)
    assert not Path("run").exists()


def test_lists_of_groups_count_and_a_generator_that_is_updated_seldom_needs_fewer() -> None:
    network = TinyGenerator()
    groups = [
        {"params": network.trainable_params()[:2], "lr": [1e-3] * 4},
        {"params": network.trainable_params()[2:]},
    ]
    check_rates("generator", nn.Adam(groups, learning_rate=1e-3), 4)
    with pytest.raises(RecipeError, match=r"the generator's optimizer has 4 learning rates.*5 times"):
        check_rates("generator", nn.Adam(groups, learning_rate=1e-3), 5)
    lists = {"optimizer": partial(nn.Adam, learning_rate=[1e-3] * 5), "discriminator_optimizer": adam}
    players = tiny_players(generator_every=2, **lists)
    players.check_rates(Progress(2, 5))
    with pytest.raises(RecipeError, match="the generator's"):
        players.check_rates(Progress(3, 5))


class SeesNothing(TinyDiscriminator):
    def construct(self, images: ms.Tensor) -> ms.Tensor:
        return super().construct(0 * images)


class Squashes(TinyGenerator):
    def construct(self, noise: ms.Tensor) -> ms.Tensor:
        return ops.sigmoid(super().construct(noise))


class OfItsBatch(TinyGenerator):
    def __init__(self) -> None:
        super().__init__()
        self.layers[2] = nn.BatchNorm1d(8, use_batch_statistics=True)


class DropsOut(BatchNormalised):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(p=0.5)

    def construct(self, images: ms.Tensor) -> ms.Tensor:
        return self.drop(super().construct(images))


def doubts(**changes: object) -> list[str]:
    players = tiny_players(**changes)
    draw = np.random.default_rng(0)
    real = draw.uniform(-1, 1, (4, 1, 4, 4)).astype(np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        players.compile_for(real, draw.standard_normal((4, 3)).astype(np.float32))
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"discriminator": SeesNothing}, ["returns the same score for all images"]),
        ({"generator": Squashes}, ["add nn.Tanh as its last layer"]),
        ({"generator": OfItsBatch}, ["an image then depends on the other images of its batch"]),
        (
            {"discriminator": DropsOut, "penalty": GradientPenalty(), "accelerate": False},
            ["draws random numbers", "depends on the other images"],
        ),
        (
            {"discriminator": DropsOut, "penalty": GradientPenalty()},
            ["depends on the other images"],
        ),
        ({"generator": Squashes, "discriminator": SeesNothing}, ["nn.Tanh", "the same score"]),
    ],
)
def test_what_will_train_otherwise_than_meant_is_told_one_line_each(changes: dict, expected: list[str]) -> None:
    found = doubts(**changes)
    assert len(found) == len(expected), found
    for line, part in zip(found, expected, strict=True):
        assert part in line
        assert "\n" not in line


class Classifies(nn.Cell):
    def __init__(self, last: nn.Cell) -> None:
        super().__init__()
        self.scores, self.classes, self.last = nn.Dense(16, 1), nn.Dense(16, 3), last

    def construct(self, images: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
        flat = images.reshape(-1, 16)
        return self.scores(flat), self.last(self.classes(flat))


class Draws(TinyGenerator):
    def construct(self, noise: ms.Tensor, labels: ms.Tensor) -> ms.Tensor:
        return super().construct(noise)


@pytest.mark.parametrize(
    ("last", "told"), [(nn.Identity, 0), (nn.Softmax, 1), (nn.Sigmoid, 1), (nn.LogSoftmax, 0)]
)
def test_a_class_head_that_gives_probabilities_already_is_told(last: type[nn.Cell], told: int) -> None:
    changes = {"objective": AuxiliaryClassifier(NonSaturating()), "classes": 3, "generator": Draws}
    found = doubts(discriminator=lambda: Classifies(last()), **changes)
    assert len(found) == told
    assert all("remove the softmax or sigmoid" in line for line in found)


class IsBroken(TinyGenerator):
    def construct(self, noise: ms.Tensor) -> ms.Tensor:
        return super().construct(noise) / 0


def test_numbers_that_are_broken_before_the_first_step_are_refused() -> None:
    with pytest.raises(RecipeError, match="the generator's images contain NaN or infinity before the first step"):
        doubts(generator=IsBroken)
    with pytest.raises(RecipeError, match="the generator must return images, one output, not 2"):
        doubts(generator=TwoOutputs)


class TwoOutputs(TinyGenerator):
    def construct(self, noise: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
        images = super().construct(noise)
        return images, images


class Half(TinyGenerator):
    def construct(self, noise: ms.Tensor) -> ms.Tensor:
        return super().construct(noise).astype(ms.float16)


def test_a_generator_of_half_precision_is_refused_with_the_cure() -> None:
    with pytest.raises(RecipeError, match=r"returns images of Float16: return images.astype\(mindspore.float32\)"):
        doubts(generator=Half)


class Mine:
    """A source of somebody's own, that scales to [0, 1]."""

    name, batch_size, count, image_shape, steps_per_epoch = "mine", 4, 8, (1, 4, 4), 2

    def sha256(self) -> None:
        return None

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[np.ndarray]:
        for step in range(start, 2):
            yield np.random.default_rng(step).random((4, 1, 4, 4), np.float32)


class Empty(Mine):
    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[np.ndarray]:
        return iter(())


def test_a_source_of_ones_own_is_asked_for_its_range_too() -> None:
    with pytest.warns(GanWarning, match="mine: .*0, 1"):
        tiny_runner().train(1, Mine(), quiet=True)
    with pytest.raises(DataError, match="mine: a batch has type NoneType"):
        tiny_runner("empty").train(1, Empty(), quiet=True)


def test_an_optimizer_that_was_made_already_is_refused_with_the_cure() -> None:
    made = nn.Adam(TinyGenerator().trainable_params())
    with pytest.raises(RecipeError, match=r"not an instance: pass functools.partial\(nn.Adam"):
        tiny_players(optimizer=made)
