"""How the players are trained: schedule, optimizers, clipping, the average, and exact resumes of all."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import (
    TinyDiscriminator,
    TinyGenerator,
    assert_same_weights,
    compiled_players,
    tiny_players,
    tiny_runner,
    train_step,
    weights_of,
)
from mindspore import Parameter, Tensor, nn, ops

from models.losses.plain import Draws, Perceptron, batch, doubles, draw, perceptron, players
from ms_gan_callbacks import (
    Callback,
    Checkpoint,
    Every,
    GanWarning,
    GradientPenalty,
    Hinge,
    NonSaturating,
    RecipeError,
    Run,
    RunDirError,
    Wasserstein,
)
from ms_gan_callbacks.models.networks import OptimizerFactory


class Watches(Callback):
    """Remembers what changed in every step, the updates so far, and the generator's loss."""

    def __init__(self) -> None:
        self.before: dict[str, np.ndarray] = {}
        self.changed: list[set[str]] = []
        self.updates: list[tuple[int, int]] = []

    def on_train_step_end(self, run: Run) -> None:
        now = {
            p.name: p.asnumpy().copy() for net in (run.generator, run.discriminator) for p in net.get_parameters()
        }
        if self.before:
            different = (name for name in now if not np.array_equal(now[name], self.before[name]))
            self.changed.append({name.split(".")[0] for name in different if "moving" not in name})
        self.before = now
        self.updates.append((run.d_updates, run.g_updates))


@pytest.mark.slow
def test_the_generator_is_updated_in_every_third_step(images: np.ndarray) -> None:
    watches = Watches()
    tiny_runner(generator_every=3).train(2, images, [watches], batch_size=4, quiet=True)
    assert watches.updates == [(step, step // 3) for step in range(1, 11)]
    both = {"generator", "discriminator"}
    assert watches.changed == [both if step % 3 == 0 else {"discriminator"} for step in range(2, 11)]


@pytest.mark.slow
def test_without_its_update_the_generators_loss_is_that_of_the_scores_at_hand() -> None:
    made, (real, noise) = players(Perceptron, objective=Hinge()), batch()
    before = doubles(made)
    real_scores, fake_scores = (perceptron(before, images) for images in (real, draw(before, noise)))
    d_loss = np.maximum(0, 1 - real_scores).mean() + np.maximum(0, 1 + fake_scores).mean()
    means = real_scores.mean(), fake_scores.mean()
    scalars = train_step(made, real, noise, both=False).asnumpy()
    assert scalars == pytest.approx([d_loss, -means[1], *means, means[0] - means[1]], abs=1e-5)


def moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray], player: str) -> np.ndarray:
    """Return what an update with learning rate 1 took from a player's weights: its gradient."""
    return np.concatenate([(before[name] - after[name]).ravel() for name in before if name.startswith(player)])


@pytest.mark.slow
def test_gradients_are_clipped_as_one_vector_for_each_player() -> None:
    clipped, free, (real, noise) = players(Perceptron, clip_norm=0.01), players(Perceptron), batch()
    before = doubles(free)
    train_step(free, real, noise, both=False)
    train_step(clipped, real, noise, both=False)
    whole = moved(before, doubles(free), "discriminator")
    assert np.linalg.norm(whole) > 0.1
    short = moved(before, doubles(clipped), "discriminator")
    np.testing.assert_allclose(short, whole * 0.01 / np.linalg.norm(whole), atol=1e-6)
    roomy = players(Perceptron, clip_norm=1e3)
    train_step(roomy, real, noise, both=False)
    np.testing.assert_allclose(moved(before, doubles(roomy), "discriminator"), whole, atol=1e-6)


@pytest.mark.slow
def test_the_generators_gradient_is_clipped_too() -> None:
    clipped, (real, noise) = players(Perceptron, clip_norm=0.01), batch()
    before = doubles(clipped)
    train_step(clipped, real, noise)
    for player in ("generator", "discriminator"):
        assert np.linalg.norm(moved(before, doubles(clipped), player)) == pytest.approx(0.01, rel=1e-2)


@pytest.mark.slow
def test_the_average_follows_the_generator_and_draws() -> None:
    made, (real, noise) = players(Perceptron, ema=0.6, optimizer=partial(nn.SGD, learning_rate=0.1)), batch()
    average = {f"ema.{name[10:]}": value for name, value in doubles(made).items() if name.startswith("generator.")}
    # As the players were given new weights, the average was, too: what matters is what comes after.
    made.load_weights({**made.weights(), **{name: value.astype(np.float32) for name, value in average.items()}})
    for update in range(1, 12):
        train_step(made, real, noise, both=False)
        train_step(made, real, noise)
        decay = min(0.6, (1 + update) / (10 + update))
        now = doubles(made)
        for name in list(average):
            average[name] = decay * average[name] + (1 - decay) * now["generator." + name[4:]]
            np.testing.assert_allclose(made.weights()[name], average[name], atol=1e-6, err_msg=name)
    assert made.weights()["ema.updates"] == 11
    drawn = draw({"generator." + name[4:]: value for name, value in average.items()}, noise)
    np.testing.assert_allclose(made.generate(noise), drawn, atol=1e-6)
    assert np.abs(drawn - draw(now, noise)).max() > 1e-3


@pytest.mark.slow
def test_moving_statistics_are_averaged_with_the_weights_that_they_belong_to() -> None:
    made, (real, noise) = tiny_players(ema=0.6), (np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32))
    made.compile_for(real, noise)
    names = [name for name in made.weights() if name.startswith("generator.") and "moving" in name]
    assert len(names) == 2
    for update in range(1, 4):
        before = doubles(made)
        train_step(made, real, noise * update)
        after, decay = doubles(made), min(0.6, (1 + update) / (10 + update))
        for name in names:
            average = name.replace("generator.", "ema.", 1)
            expected = decay * before[average] + (1 - decay) * after[name]
            np.testing.assert_allclose(after[average], expected, rtol=1e-5, atol=1e-7, err_msg=name)
            assert np.abs(after[average] - after[name]).max() > 1e-4


@pytest.mark.slow
def test_the_average_is_what_a_run_draws_with(images: np.ndarray) -> None:
    runner = tiny_runner(ema=0.9)
    runner.train(1, images, batch_size=4, quiet=True)
    with runner._players.use_averages():  # with the batch statistics of the averaged weights
        weights = weights_of(runner)
    other = tiny_runner("other", seed=5)
    other._players.load_weights({**weights_of(other), **as_generator(weights)})
    expected = other._players.generate(np.ones((3, 3), np.float32))
    assert np.array_equal(runner._players.generate(np.ones((3, 3), np.float32)), expected)


def as_generator(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    averages = [name for name in weights if name.startswith("ema.") and name != "ema.updates"]
    return {"generator." + name[4:]: weights[name] for name in averages}


def test_each_player_may_have_an_optimizer_of_its_own() -> None:
    made = tiny_players(discriminator_optimizer=partial(nn.SGD, learning_rate=0.5))
    assert made.learning_rates() == pytest.approx({"discriminator": 0.5, "generator": 0.01})
    assert isinstance(made.optimizers["g"], nn.Adam)


def resumed_and_whole(images: np.ndarray, **changes: object) -> tuple[dict, dict]:
    """Return the weights of a run resumed after its fourth step in another folder, and of one that never ended."""
    runner = tiny_runner("whole", **changes)
    runner.train(2, images, [Checkpoint(Every.steps(4))], batch_size=4, quiet=True)
    whole = weights_of(runner)
    shutil.copytree("whole", "copy")
    compiled_players.free_all()  # with the weights of the end: what a checkpoint forgets is still seen
    resumed = tiny_runner("copy", resume=4, **changes)
    resumed.train(2, images, [Checkpoint(Every.steps(4))], batch_size=4, quiet=True)
    return weights_of(resumed), whole


@pytest.mark.slow
def test_a_run_with_everything_resumes_exactly_in_the_middle_of_a_cycle(images: np.ndarray) -> None:
    assert_same_weights(
        *resumed_and_whole(
            images,
            objective=Wasserstein(clip=0.5),
            penalty=GradientPenalty(),
            generator_every=3,
            clip_norm=1.0,
            ema=0.9,
            discriminator_optimizer=partial(nn.RMSProp, learning_rate=1e-3, centered=True),
        )
    )


def decaying(parameters: list[Parameter]) -> nn.Optimizer:
    return nn.Adam(parameters, learning_rate=nn.ExponentialDecayLR(1e-2, 0.5, 3))


OPTIMIZERS: dict[str, OptimizerFactory] = {
    "momentum": partial(nn.Momentum, learning_rate=1e-2, momentum=0.9),
    "sgd": partial(nn.SGD, learning_rate=1e-2, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "rmsprop": partial(nn.RMSProp, learning_rate=1e-3, centered=True),
    "adam weight decay": partial(nn.AdamWeightDecay, learning_rate=1e-2, weight_decay=0.1),
    "adagrad": partial(nn.Adagrad, learning_rate=1e-2),
    "a list of rates": partial(nn.Adam, learning_rate=[1e-2 / step for step in range(1, 11)]),
    "a schedule": decaying,
}


QUICK = ("a list of rates",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in OPTIMIZERS]
)
def test_any_optimizer_resumes_exactly(name: str, images: np.ndarray) -> None:
    resumed, whole = resumed_and_whole(
        images, generator=Draws, discriminator=Perceptron, optimizer=OPTIMIZERS[name]
    )
    assert_same_weights(resumed, whole)
    start = tiny_players(Draws, Perceptron, optimizer=OPTIMIZERS[name]).weights()
    for player in ("generator", "discriminator"):
        assert any(not np.array_equal(start[one], whole[one]) for one in whole if one.startswith(player))


SETTINGS = {
    "objective": Hinge(),
    "penalty": GradientPenalty(),
    "generator_every": 2,
    "clip_norm": 1.0,
    "ema": 0.9,
}


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_settings_unless_allowed(images: np.ndarray) -> None:
    tiny_runner().train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    for name, value in SETTINGS.items():
        other = tiny_runner(resume=True, **{name: value})
        with pytest.raises(RunDirError, match=f"this run has {name} = .*--allow-change {name}"):
            other.train(2, images, batch_size=4, quiet=True)
    tiny_runner(resume=True, clip_norm=1.0, allow_change=["clip_norm"]).train(2, images, batch_size=4, quiet=True)
    assert json.loads(Path("run/run.json").read_text())["history"][-1]["changes"] == {"clip_norm": [None, 1.0]}


def test_a_run_from_before_there_were_settings_goes_on(images: np.ndarray) -> None:
    tiny_runner().train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    facts = json.loads(Path("run/run.json").read_text())
    for name in (*SETTINGS, "classes", "critic"):
        del facts[name]
    Path("run/run.json").write_text(json.dumps(facts))
    assert tiny_runner(resume=True).train(2, images, batch_size=4, quiet=True).step == 10
    facts["data"]["sha256"] = None
    with pytest.raises(RunDirError, match="generator_every = 1, not 2"):
        tiny_runner(resume=True, generator_every=2).train(3, images, batch_size=4, quiet=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator_every": 0}, "generator_every must be a whole number of at least 1, got 0"),
        ({"generator_every": 2.0}, "generator_every must be a whole number of at least 1, got 2.0"),
        ({"sync_batch_norm": 1}, "sync_batch_norm must be True or False, got 1"),
        ({"clip_norm": 0}, "clip_norm must be a number above 0, or None, got 0"),
        ({"clip_norm": True}, "clip_norm must be a number above 0"),
        ({"clip_norm": float("nan")}, "clip_norm must be a number above 0"),
        ({"ema": 1}, "ema must be a number between 0 and 1, or None, got 1"),
        ({"ema": "0.999"}, "ema must be a number between 0 and 1"),
        ({"classes": 1}, "classes must be a whole number of at least 2, got 1"),
        (
            {"discriminator_optimizer": lambda parameters: None},
            "must return a mindspore.nn.Optimizer, not NoneType",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_line(changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        tiny_players(**changes)


def test_an_optimizer_that_does_not_resume_exactly_is_warned_of() -> None:
    made = tiny_players(discriminator_optimizer=partial(nn.RMSProp, learning_rate=1e-3))
    with pytest.warns(GanWarning, match=r"nn.RMSProp rounds differently .*centered=True"):
        made.compile_for(np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32))


class Drops(TinyDiscriminator):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(16, 8), nn.Dropout(p=0.5), nn.Dense(8, 1))


class DropsQuietly(TinyDiscriminator):
    def construct(self, images: Tensor) -> Tensor:
        return super().construct(ops.dropout(images, p=0.5, training=self.training))


@pytest.mark.slow
def test_what_draws_at_random_is_named_before_training_and_trains(images: np.ndarray) -> None:
    runner = tiny_runner(discriminator=Drops, accelerate=False)
    with pytest.warns(
        GanWarning, match=r"Dropout in the discriminator \(layers.1\) draws random numbers.*not exact"
    ):
        assert runner.train(1, images, batch_size=4, quiet=True).step == 5
    with pytest.warns(GanWarning, match="something in the discriminator draws random numbers"):
        tiny_players(TinyGenerator, DropsQuietly).compile_for(
            images[:4] / np.float32(255), np.ones((4, 3), np.float32)
        )


class Counts(TinyDiscriminator):
    """Changes a statistic of its own in every forward, as spectral normalisation does."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Parameter(Tensor(np.ones(1, np.float32)), name="scale", requires_grad=False)

    def construct(self, images: Tensor) -> Tensor:
        ops.assign(self.scale, self.scale * 1.5)
        return super().construct(images) * self.scale


def test_a_statistic_that_moves_is_not_taken_for_chance() -> None:
    made = tiny_players(TinyGenerator, Counts, objective=NonSaturating())
    made.compile_for(np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32))  # a warning would fail this
    assert made.weights()["discriminator.scale"] == 1
