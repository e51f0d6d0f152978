"""Guards in real training: what they fire at, what they leave alone, what is saved, and that they end."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from conftest import RECIPE, TinyGenerator, assert_same_weights, tiny_runner, weights_of
from mindspore import Parameter, Tensor, nn, ops
from safetensors.numpy import load_file

from ms_gan_callbacks import (
    Callback,
    CallbackError,
    Checkpoint,
    CollapseGuard,
    DivergenceGuard,
    Every,
    GanWarning,
    Progress,
    Run,
    Runner,
    UsageError,
    load_recipe,
    mnist,
)
from ms_gan_callbacks.callbacks.collapse_guard import _examine_scores, pixels
from ms_gan_callbacks.errors import DivergenceError, Interrupted
from ms_gan_callbacks.testing import drive
from ms_gan_callbacks.training.loop import NoInterruption
from ms_gan_callbacks.training.result import RunResult

pytestmark = pytest.mark.filterwarnings("ignore:.*rollback [0-9]+ to step:ms_gan_callbacks.GanWarning")


class Poisons(Callback):
    """Puts NaN into a parameter of the generator at a step, until the run was rolled back some times."""

    def __init__(self, step: int, times: int = 1, parameter: str = "layers.3.weight") -> None:
        self.step, self.times, self.parameter = step, times, parameter

    def on_train_step_begin(self, run: Run) -> None:
        if run.step == self.step and len(run.rollbacks) < self.times:
            assert run.generator is not None
            [poisoned] = [p for p in run.generator.get_parameters() if p.name.endswith(self.parameter)]
            ops.assign(poisoned, Tensor(np.full(poisoned.shape, np.nan, np.float32)))


def train(
    *callbacks: Callback, images: np.ndarray, out: Path | str = "run", epochs: int = 3, **settings: Any
) -> tuple[RunResult, Runner]:
    runner = tiny_runner(out, **settings)
    return runner.train(epochs, images, callbacks, batch_size=4, quiet=True), runner


def saved(out: Path | str = "run") -> dict[str, bool]:
    """Return for every checkpoint whether all of it is finite."""
    files = sorted(Path(out).glob("checkpoints/step-*/weights.safetensors"))
    return {
        file.parent.name: all(np.isfinite(array).all() for array in load_file(file).values()) for file in files
    }


def steps_logged(out: Path | str = "run") -> list[int]:
    lines = map(json.loads, (Path(out) / "metrics.jsonl").read_text().splitlines())
    return [line["step"] for line in lines if "d_loss" in line]


back = partial(DivergenceGuard, Every.steps(1), action="roll back")


# Divergence.


def test_every_run_ends_when_a_loss_is_nan_and_keeps_what_was_good(images: np.ndarray) -> None:
    # Nobody attached a guard; the one that every run has looks at the end of an epoch of 5 steps.
    told = "DivergenceGuard: d_loss is nan at step 10; the newest checkpoint is step-00000005; a lower"
    with pytest.raises(DivergenceError, match=told) as caught:
        train(Poisons(9), Checkpoint(), images=images)
    assert caught.value.exit_code == 1
    assert saved() == {"step-00000005": True}


def test_a_weight_that_no_loss_shows_is_not_saved(images: np.ndarray) -> None:
    # The ReLU behind this layer makes 0 of NaN.
    told = r"generator.layers.0.weight contains NaN or infinity at step 8; the newest checkpoint is step-00000006"
    with pytest.raises(DivergenceError, match=told):
        train(Poisons(7, parameter="layers.0.weight"), Checkpoint(Every.steps(2), keep=None), images=images)
    assert saved() == dict.fromkeys(["step-00000002", "step-00000004", "step-00000006"], True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the first update of the player 'g'")  # the discriminator is saturated
def test_a_learning_rate_that_is_too_high_is_noticed(images: np.ndarray) -> None:
    with pytest.raises(DivergenceError, match=r"(d_loss|g_loss|weight|bias|moving\w+|gamma|beta).* at step \d+"):
        train(images=images, optimizer=partial(nn.SGD, learning_rate=1e30))


def test_a_loss_that_explodes_is_noticed(images: np.ndarray) -> None:
    with pytest.raises(DivergenceError, match=r"d_loss is [\d.]+, beyond 0.001 at step 2;"):
        train(DivergenceGuard(Every.steps(2), limit=1e-3), images=images)


def test_a_weight_that_no_loss_shows_is_noticed(images: np.ndarray) -> None:
    # In training, batch statistics are used: the moving ones show only in pictures.
    with pytest.raises(
        DivergenceError, match=r"moving_mean contains NaN or infinity at step 5; no checkpoint was saved"
    ):
        train(Poisons(3, parameter="moving_mean"), images=images)


def test_a_run_goes_back_to_the_newest_good_checkpoint_with_other_noise(images: np.ndarray) -> None:
    result, runner = train(Poisons(9), back(), Checkpoint(Every.steps(2), keep=None), images=images)
    assert result.step == 15
    [entry] = result.rollbacks
    assert (entry["step"], entry["to_step"], entry["learning_rate"]) == (9, 8, 1.0)
    assert "is nan at step 9" in entry["reason"]
    assert f"rolled back      to step 8: {entry['reason']}" in result.summary()
    assert all(saved().values())
    assert all(np.isfinite(array).all() for array in weights_of(runner).values())
    [told] = json.loads(Path("run/run.json").read_text())["history"]
    assert (told["step"], told["to_step"], told["reason"]) == (9, 8, entry["reason"])

    # What follows is a run of its own: the same as before up to step 8, other numbers after it.
    train(Checkpoint(Every.steps(2), keep=None), images=images, out="healthy")
    for step, same in ((8, True), (10, False)):
        files = (f"{out}/checkpoints/step-{step:08d}/weights.safetensors" for out in ("run", "healthy"))
        one, other = map(load_file, files)
        assert np.array_equal(one["discriminator.layers.0.weight"], other["discriminator.layers.0.weight"]) is same


def test_the_log_tells_every_step_once(images: np.ndarray) -> None:
    from ms_gan_callbacks import MetricsLog

    train(Poisons(9), back(), MetricsLog(Every.steps(1)), Checkpoint(Every.steps(2)), images=images)
    assert steps_logged() == list(range(1, 16))


def test_without_a_checkpoint_it_goes_back_to_the_beginning(images: np.ndarray) -> None:
    result, _ = train(Poisons(4), back(), images=images)
    assert [one["to_step"] for one in result.rollbacks] == [0]
    assert result.step == 15


def test_a_rollback_lowers_both_learning_rates_each_time(images: np.ndarray) -> None:
    result, runner = train(
        Poisons(9, times=2), back(learning_rate=0.5), Checkpoint(Every.steps(2), keep=None), images=images
    )
    assert len(result.rollbacks) == 2
    assert runner._players.learning_rates() == pytest.approx({"discriminator": 0.0025, "generator": 0.0025})


def test_a_lowered_rate_counts_also_where_the_next_rollback_goes_back_further(images: np.ndarray) -> None:
    class Doubts(Callback):
        """Finds out late that everything after step 2 was bad."""

        def on_train_step_end(self, run: Run) -> None:
            if run.step == 12 and len(run.rollbacks) == 1:
                run.roll_back("doubts", healthy=2, learning_rate=0.1)

    result, runner = train(
        Poisons(9), back(learning_rate=0.5), Doubts(), Checkpoint(Every.steps(2), keep=None), images=images
    )
    assert [one["to_step"] for one in result.rollbacks] == [8, 2]
    assert runner._players.learning_rates()["generator"] == pytest.approx(1e-2 * 0.5 * 0.1)


@pytest.mark.parametrize("table", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_rates_that_follow_a_table_are_scaled_and_those_of_a_formula_refused(
    table: bool, images: np.ndarray
) -> None:
    schedule = [0.01] * 16 if table else nn.ExponentialDecayLR(0.01, 0.9, 4)
    setting = partial(nn.Adam, learning_rate=schedule)
    if table:
        _, runner = train(Poisons(9), back(learning_rate=0.5), Checkpoint(), images=images, optimizer=setting)
        assert runner._players.learning_rates()["generator"] == pytest.approx(0.005)
    else:
        with pytest.raises(UsageError, match="a learning rate computed by ExponentialDecayLR cannot be scaled"):
            train(back(learning_rate=0.5), images=images, optimizer=setting)
        assert not Path("run").exists()


def test_it_never_goes_on_for_ever(images: np.ndarray) -> None:
    with pytest.raises(DivergenceError, match=r"at step 9; the run was already rolled back 2 times; .*00000008"):
        train(Poisons(9, times=99), back(tries=2), Checkpoint(Every.steps(2)), images=images)
    history = json.loads(Path("run/run.json").read_text())["history"]
    assert [one["to_step"] for one in history] == [8, 8]


def test_what_was_never_good_is_not_gone_back_to(images: np.ndarray) -> None:
    class PoisonsTheBeginning(Poisons):
        order = -1

        def __enter__(self) -> Callback:
            ops.assign(runner.generator.trainable_params()[0], Tensor(np.full((8, 3), np.nan, np.float32)))
            return self

    runner = tiny_runner()
    with pytest.raises(DivergenceError, match="there is no good checkpoint to roll back to"):
        runner.train(1, images, [PoisonsTheBeginning(99), back()], batch_size=4, quiet=True)


class Damages(Callback):
    """Damages every checkpoint of a step or later, just before a step."""

    order = -200

    def __init__(self, step: int, since: int) -> None:
        self.step, self.since = step, since

    def on_train_step_begin(self, run: Run) -> None:
        if run.step == self.step and not run.rollbacks:
            for state in run.out_dir.glob("checkpoints/step-*/state.json"):
                if int(state.parent.name[5:]) >= self.since:
                    state.write_bytes(b"{}")


def test_a_damaged_checkpoint_is_gone_back_behind(images: np.ndarray) -> None:
    told = r"step-00000008 is damaged: state.json has 2 bytes instead of \d+; using step-00000006 instead"
    with pytest.warns(GanWarning, match=told):
        result, _ = train(Poisons(9), back(), Damages(9, 8), Checkpoint(Every.steps(2), keep=None), images=images)
    assert [one["to_step"] for one in result.rollbacks] == [6]


def test_where_every_checkpoint_is_damaged_the_loss_is_named_and_what_is_wrong_with_them(
    images: np.ndarray,
) -> None:
    told = r"is nan at step 9; no usable checkpoint: \S+step-00000008 is damaged: state.json has 2 bytes"
    with pytest.raises(DivergenceError, match=told) as caught:
        train(Poisons(9), back(), Damages(9, 0), Checkpoint(Every.steps(2), keep=None), images=images)
    assert "\n" not in str(caught.value)


class Leaves(Callback):
    """Interrupts a run at a step once it was rolled back, as a signal does."""

    order = -100

    def __init__(self, step: int) -> None:
        self.step, self.interruption = step, NoInterruption()

    def on_train_step_begin(self, run: Run) -> None:
        if run.step == self.step and run.rollbacks:
            self.interruption.received = 2


@pytest.mark.slow
@pytest.mark.parametrize("step", [pytest.param(9, marks=pytest.mark.slow), 13])
def test_a_run_that_was_rolled_back_resumes_in_the_same_bytes(step: int, images: np.ndarray) -> None:
    def callbacks() -> list[Callback]:
        return [Poisons(9), back(learning_rate=0.5), Checkpoint(Every.steps(2), keep=None)]

    _, whole = train(*callbacks(), images=images, out="whole")
    leaves = Leaves(step)
    with pytest.raises(Interrupted):
        train(*callbacks(), leaves, images=images, out="cut", interruption=leaves.interruption)
    result, cut = train(*callbacks(), images=images, out="cut", resume=True)
    assert len(result.rollbacks) == 1
    assert_same_weights(weights_of(whole), weights_of(cut))
    assert Path("cut/metrics.jsonl").read_bytes() == Path("whole/metrics.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DivergenceGuard(action="warn"), "has no action 'warn'"),  # type: ignore[arg-type]
        (lambda: CollapseGuard(action="rollback"), "did you mean 'roll back'"),  # type: ignore[arg-type]
        (lambda: DivergenceGuard(limit=0), "limit must be greater than 0, got 0"),
        (lambda: DivergenceGuard(limit=float("nan")), "limit must be greater than 0, got nan"),
        (lambda: DivergenceGuard(50), "a schedule such as"),  # type: ignore[arg-type]
        (lambda: DivergenceGuard(tries=0), "tries must be an integer of at least 1, got 0"),
        (lambda: DivergenceGuard(learning_rate=2), "greater than 0 and at most 1, got 2"),
        (lambda: CollapseGuard(learning_rate=0), "greater than 0 and at most 1, got 0"),
        (lambda: CollapseGuard(patience=0), "patience must be an integer of at least 1, got 0"),
        (lambda: CollapseGuard(warm_up=-1), "warm_up must be an integer of at least 0 steps, got -1"),
        (lambda: CollapseGuard(samples=1), "samples must be an integer of at least 2, got 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        make()


# Collapse.


class Judge(nn.Cell):
    """Images (N, C, H, W) to logits (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Flatten(), nn.Dense(784, 32), nn.LeakyReLU(0.2), nn.Dense(32, 1))

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Constant(nn.Cell):
    """Any noise to one image, which is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.image = Parameter(Tensor(np.zeros((1, 1, 28, 28)), ms.float32))

    def construct(self, noise: Tensor) -> Tensor:
        return ops.tanh(self.image + 0 * noise[:, :1].reshape(-1, 1, 1, 1))


class Picks(nn.Cell):
    """Noise to one of 128 given images, brightened by what is trained."""

    def __init__(self, images: np.ndarray) -> None:
        super().__init__()
        self.images = Tensor(images.reshape(128, 784) / np.float32(127.5) - 1, ms.float32)
        self.gain = Parameter(Tensor([1.0], ms.float32))

    def construct(self, noise: Tensor) -> Tensor:
        choice = ops.one_hot(noise.argmax(1), 128, Tensor(1.0), Tensor(0.0))
        return (ops.matmul(choice, self.images) * self.gain).clip(-1, 1).reshape(-1, 1, 28, 28)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return digits and their labels."""
    source = mnist(count=5000)
    return source.images, source.labels


def collapse_of(
    generator: Any, images: np.ndarray, *callbacks: Callback, learning_rate: float = 1e-4, epochs: int = 2
) -> RunResult:
    runner = tiny_runner(
        generator=generator,
        discriminator=Judge,
        noise_dim=128,
        optimizer=partial(nn.Adam, learning_rate=learning_rate),
    )
    return runner.train(epochs, images[::20], callbacks, batch_size=25, quiet=True)


@pytest.mark.slow
def test_a_generator_made_constant_is_noticed(digits: tuple) -> None:
    result = collapse_of(Constant, digits[0], CollapseGuard(action="stop", warm_up=0, patience=1))
    assert result.epoch == 1
    assert result.stop_reason is not None
    assert "mode collapse: diversity is 0.00 of that of real images at step 10" in result.stop_reason


@pytest.mark.slow
def test_a_generator_of_one_digit_is_noticed(digits: tuple) -> None:
    images, labels = digits
    threes = images[labels == 3][:128]
    result = collapse_of(partial(Picks, threes), images, CollapseGuard(Every.steps(5), action="stop", warm_up=0))
    assert result.stop_reason is not None
    # Not at once: the second look in a row that finds it.
    assert "generated images cover 1 of 10 classes at step 10" in result.stop_reason


@pytest.mark.slow
@pytest.mark.parametrize(("count", "noticed"), [(4, True), (6, False)])
def test_a_generator_of_less_than_half_of_the_digits_is_noticed(count: int, noticed: bool, digits: tuple) -> None:
    images, labels = digits
    some = np.concatenate([images[labels == digit][: 128 // count + 1] for digit in range(count)])[:128]
    guard = CollapseGuard(action="stop", warm_up=0, patience=1)
    result = collapse_of(partial(Picks, some), images, guard, epochs=1)
    assert ("classes" in (result.stop_reason or "")) == noticed


class Fades(nn.Cell):
    """Noise to patterns of grey that fade into one another as training goes on."""

    def __init__(self) -> None:
        super().__init__()
        patterns = np.random.default_rng(0).choice([-0.9, 0.9], (128, 784))
        self.patterns = Tensor(patterns, ms.float32)
        self.gain = Parameter(Tensor([1.0], ms.float32))
        self.age = Parameter(Tensor([1.0], ms.float32), requires_grad=False)

    def construct(self, noise: Tensor) -> Tensor:
        images = ops.tanh(ops.matmul(noise, self.patterns) * self.gain)
        if self.training:
            images = ops.depend(images, ops.assign(self.age, self.age * 0.9))
        return (images * self.age).reshape(-1, 1, 28, 28)


@pytest.mark.slow
def test_a_generator_that_loses_variety_is_noticed(digits: tuple) -> None:
    guard = CollapseGuard(Every.steps(2), action="stop", warm_up=0, patience=1, features=pixels)
    result = collapse_of(Fades, digits[0], guard)
    # 0.9 ** 8 is the first power of an even number that is less than 0.6 times 0.9 ** 2.
    assert result.step == 8
    assert result.stop_reason is not None
    before, after = map(float, re.findall(r"[0-9.]+(?= to | of that)", result.stop_reason))
    assert after / before == pytest.approx(0.9**6, abs=0.02)


@pytest.mark.slow
def test_a_discriminator_that_has_won_is_noticed(digits: tuple) -> None:
    images, _ = digits
    result = collapse_of(
        partial(Picks, np.roll(images[:: len(images) // 128][:128], 14, 2)),
        images,
        CollapseGuard(Every.steps(10), action="stop", warm_up=0),
        learning_rate=1e-2,
        epochs=20,
    )
    assert result.stop_reason is not None
    assert re.search(r"the discriminator is saturated: D\(x\) = (0\.99|1\.000)", result.stop_reason)


def test_a_critic_whose_scores_lie_apart_has_not_won_anything() -> None:
    run = Run(Progress(1, 9, step=5), Path("nowhere"))
    run.scalars.add({"d_real": 7.0, "d_fake": -7.0})
    assert "the discriminator is saturated" in str(_examine_scores(run))
    assert _examine_scores(replace(run, critic=True)) is None


def test_a_warning_comes_once_and_what_it_saw_is_logged(digits: tuple) -> None:
    with pytest.warns(GanWarning, match="mode collapse") as caught:
        result = collapse_of(Constant, digits[0], CollapseGuard(Every.steps(4), warm_up=0), epochs=2)
    assert len([one for one in caught if "mode collapse" in str(one.message)]) == 1
    assert result.stop_reason is None
    assert result.step == 20
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    seen = [(line["step"], line["classes"], line["diversity"]) for line in lines if "diversity" in line]
    assert seen == [(step, 1.0, pytest.approx(0, abs=1e-6)) for step in (4, 8, 10, 12, 16, 20)]


def test_a_collapse_that_will_not_mend_is_rolled_back_a_few_times_and_then_stopped(digits: tuple) -> None:
    guard = CollapseGuard(Every.steps(5), action="roll back", warm_up=0, patience=1, tries=2)
    result = collapse_of(Constant, digits[0], guard)
    assert [(one["step"], one["to_step"]) for one in result.rollbacks] == [(5, 0), (5, 0)]
    assert result.stop_reason is not None
    assert result.stop_reason.endswith("at step 5; the run was already rolled back 2 times")


@pytest.mark.slow
def test_real_images_of_any_shape_will_do(images: np.ndarray) -> None:
    class Same(TinyGenerator):
        def construct(self, noise: Tensor) -> Tensor:
            return super().construct(noise * 0)

    guard = CollapseGuard(action="stop", warm_up=0, patience=1, samples=10)
    result, _ = train(guard, images=images, generator=Same)
    assert result.stop_reason is not None
    assert "mode collapse" in result.stop_reason
    with pytest.raises(Exception, match="cannot take 21 images"):
        train(CollapseGuard(samples=21), images=images, out="other")


@pytest.mark.slow
def test_healthy_training_is_left_alone() -> None:
    # scripts/quality_study.py trains ten epochs of five seeds.
    guards = [
        CollapseGuard(Every.steps(250), action="stop", patience=1),
        DivergenceGuard(Every.steps(1), action="stop"),
    ]
    recipe = load_recipe(RECIPE, epochs=2)
    runner = Runner.from_recipe(recipe, "run")
    result = runner.train(callbacks=guards, quiet=True)
    assert result.stop_reason is None
    assert result.step == 3750


@pytest.mark.parametrize("every", [Every.steps(3), Every.steps(5), Every.epochs(1), Every.epochs(2)])
@pytest.mark.parametrize("warm_up", [0, 4, 5, 12])
def test_a_patience_that_cannot_run_out_is_told_and_no_other(every: Every, warm_up: int) -> None:
    def told(patience: int) -> tuple[bool, bool]:
        """Return whether it was warned of, and whether it has run out where all looks find trouble."""
        guard = CollapseGuard(every, patience=patience, warm_up=warm_up, samples=4, action="stop")
        trace = drive(guard, epochs=4, steps_per_epoch=5, generate=alike)
        return any("it will never act" in text for text in trace.warnings), trace.stopped is not None

    for patience in range(2, 12):
        warned, ran_out = told(patience)
        assert warned != ran_out


def alike(noise: np.ndarray) -> np.ndarray:
    """Return one image, again and again."""
    return np.zeros((len(noise), 1, 4, 4), np.float32)


def test_what_nobody_chose_is_not_warned_of() -> None:
    assert drive(CollapseGuard(samples=4), DivergenceGuard()).warnings == []


def test_the_limit_itself_is_within_it() -> None:
    for sign in (1, -1):
        drive(DivergenceGuard(Every.steps(1), limit=2.0), scalars={"d_loss": 2.0 * sign})
        with pytest.raises(DivergenceError, match=r"d_loss is -?2, beyond 2 at step 1"):
            drive(DivergenceGuard(Every.steps(1), limit=2.0), scalars={"d_loss": np.nextafter(2.0, 3.0) * sign})


class Asks(Callback):
    """Asks for a checkpoint in one hook, in the middle of an epoch."""

    def __init__(self, hook: str) -> None:
        self.hook = hook

    def on_train_step_end(self, run: Run) -> None:
        if run.step == 3:
            run.stop("enough")

    def on_eval_end(self, run: Run) -> None:
        if self.hook == "on_eval_end":
            run.request_checkpoint()

    def on_train_end(self, run: Run) -> None:
        if self.hook == "on_train_end":
            run.request_checkpoint()


@pytest.mark.parametrize("hook", ["on_eval_end", "on_train_end"])
def test_what_has_diverged_is_not_saved_whenever_that_is_asked_for(hook: str) -> None:
    diverged = {"scalars": {"d_loss": math.nan}, "metrics": {"fld": 1.0}, "evaluate": Every.steps(3)}
    with pytest.raises(DivergenceError, match="d_loss is nan"):
        drive(Asks(hook), DivergenceGuard(Every.steps(1000)), epochs=2, steps_per_epoch=5, **diverged)
    trace = drive(Asks(""), DivergenceGuard(Every.steps(1000)), epochs=2, steps_per_epoch=5, **diverged)
    assert trace.checkpoints == []


def test_asking_whether_learning_rates_can_be_scaled_leaves_them_as_they_are() -> None:
    factors: list[float] = []
    guard = DivergenceGuard(action="roll back", learning_rate=0.5)
    drive(guard, epochs=1, scale_learning_rates=factors.append)
    assert factors == [1.0]
