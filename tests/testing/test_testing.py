"""The test kit: its script is the real loop's, and its checks find what they are there to find."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from conftest import tiny_runner
from hypothesis import given
from hypothesis import strategies as st

from ms_gan_callbacks import Callback, Evaluation, Event, Every, ImageGrid, Periodic, Run
from ms_gan_callbacks.testing import (
    EQUILIBRIUM,
    Script,
    assert_leaves_training_alone,
    assert_state_round_trips,
    drive,
    make_run,
)


class TakesDown(Callback):
    """Writes down everything that it is told, and where the run stands then."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.told: list[tuple[object, ...]] = []
        self.stop_at = stop_at

    def _take(self, hook: str, run: Run) -> None:
        means = len(run.epoch_means._sums) and run.epoch_means._count + len(run.epoch_means._pending)
        counters = (run.step, run.epoch, run.epochs, run.steps, run.d_updates, run.g_updates)
        self.told.append((hook, *counters, sorted(run.scalars), sorted(run.metrics), means))

    def on_train_step_end(self, run: Run) -> None:
        self._take("on_train_step_end", run)
        run.log(mine=run.step)
        if run.step in (2, self.stop_at):
            run.request_checkpoint()
        if run.step == self.stop_at:
            run.stop("enough")


def _taking(hook: str) -> object:
    return lambda self, run: self._take(hook, run)


for _event in Event:
    if _event is not Event.TRAIN_STEP_END:
        setattr(TakesDown, _event.value, _taking(_event.value))


def flat(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(len(pixels), -1).astype(np.float32)


def brightness(real: object, fake: object) -> float:
    return 1.0


@pytest.mark.parametrize("stop_at", [None, 7, 5])
def test_a_script_is_told_as_a_real_run_is(images: np.ndarray, stop_at: int | None) -> None:
    real, scripted = TakesDown(stop_at), TakesDown(stop_at)
    evaluation = Evaluation({"m": brightness}, Every.steps(4), 8, flat)
    tiny_runner().train(2, images, [real], evaluation=evaluation, batch_size=4, quiet=True)
    trace = drive(scripted, epochs=2, metrics={"m": 1.0}, evaluate=Every.steps(4))
    assert scripted.told == real.told
    assert trace.events == [(hook, step) for hook, step, *_ in real.told]
    assert (trace.stopped, trace.stop_reason) == ((stop_at, "enough") if stop_at else (None, None))


def test_a_script_that_begins_later_tells_what_the_rest_of_a_whole_one_does() -> None:
    whole, rest = TakesDown(), TakesDown()
    script = Script(3, 4, metrics={"m": [1, 2, 3]})
    script.play(whole)
    script.play(rest, start=6)
    begin, first, *others = rest.told
    assert (begin[:2], first[:2], first[7]) == (("on_train_begin", 6), ("on_train_step_begin", 7), [])
    assert others == [told for told in whole.told if told[1] > 6][1:]


@given(values=st.lists(st.floats(-5, 5), min_size=1, max_size=12), step=st.integers(1, 12))
def test_values_are_a_constant_a_list_or_a_function(values: list[float], step: int) -> None:
    def seen(given_as: object) -> list[float]:
        found = []

        class Reads(Callback):
            def on_train_step_end(self, run: Run) -> None:
                found.append(run.scalars["x"])

        drive(Reads(), epochs=3, steps_per_epoch=4, scalars={"x": given_as})
        return found

    padded = (values + [values[-1]] * 12)[:12]
    assert seen(values) == padded
    assert seen(lambda step: padded[step - 1]) == padded
    assert seen(values[0]) == [values[0]] * 12


def test_a_trace_has_what_was_logged_asked_for_and_warned_of() -> None:
    class Busy(Periodic):
        def act(self, run: Run) -> None:
            run.log(x=run.step, picture=np.zeros((2, 2), np.uint8))
            run.request_checkpoint(keep=2, owner="busy")

    trace = drive(Busy(Every.steps(20)), epochs=2, steps_per_epoch=3)
    assert trace.logged == [(6, "x", 6.0)]
    assert trace.images == [(6, "picture")]
    assert trace.checkpoints == [(6, "busy", 2)]
    assert trace.warnings == [
        "Busy: Every.steps(20) is longer than this run of 6 steps; it acts only once, after the last step"
    ]
    assert trace.events[-1] == ("on_checkpoint", 6)


def test_images_come_from_a_formula(tmp_path: object) -> None:
    trace = drive(ImageGrid(rows=2, columns=2), epochs=1)
    assert [path.name for path in (trace.run.out_dir / "samples").iterdir()] == ["epoch-0001.png"]
    folder = trace.run.out_dir
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        del trace
    assert not folder.exists()
    assert not warned
    run = make_run()
    assert np.array_equal(run.sample(3), run.sample(3))
    assert run.sample(3).shape == run.real(3).shape == (3, 1, 4, 4)
    assert run.scalars.of_step() == EQUILIBRIUM


class Counts(Callback):
    persistent: tuple[str, ...] = ("count",)

    def __init__(self) -> None:
        self.count = self.forgotten = 0

    def on_train_step_end(self, run: Run) -> None:
        self.count += 1
        run.log(count=self.count)


class Forgets(Counts):
    persistent = ()


class StopsLate(Counts):
    def on_train_step_end(self, run: Run) -> None:
        self.forgotten += 1
        if self.forgotten == 7:
            run.stop(f"after {self.forgotten}")


class CannotLoad(Counts):
    def load_state(self, state: object) -> None:
        raise KeyError("count")


def test_a_state_that_round_trips_passes_and_one_that_does_not_is_named() -> None:
    assert_state_round_trips(Counts())
    with pytest.raises(
        AssertionError, match=r"Forgets, resumed after step 1, .*: logged numbers: \[\[2, .count., 1.0\]"
    ):
        assert_state_round_trips(Forgets())
    with pytest.raises(AssertionError, match=r"stop: \[8, .after 7.\], not \[7, .after 7.\]"):
        assert_state_round_trips(StopsLate())
    with pytest.raises(AssertionError, match=r"CannotLoad cannot be resumed after step 1: KeyError"):
        assert_state_round_trips(CannotLoad())


class Locked(Counts):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_what_cannot_be_copied_is_made_by_a_function() -> None:
    assert_state_round_trips(Locked)
    with pytest.raises(TypeError, match=r"Locked cannot be copied, .*; pass a function that returns one"):
        assert_state_round_trips(Locked())


class Meddles(Callback):
    def on_train_epoch_end(self, run: Run) -> None:
        if run.epoch == 2:
            weight = run.generator.trainable_params()[0]  # type: ignore[union-attr]
            weight[0] = 0.0


class Stops(Callback):
    def on_train_step_end(self, run: Run) -> None:
        if run.step == 3:
            run.stop("enough")


def test_who_meddles_with_training_is_found_and_where() -> None:
    with pytest.raises(
        AssertionError, match=r"Meddles changes training: generator.layers.0.weight differs at step 10"
    ):
        assert_leaves_training_alone(Meddles())


def test_who_leaves_training_alone_is_not_accused() -> None:
    assert_leaves_training_alone(ImageGrid(rows=1, columns=2))


def test_who_ends_a_run_early_cannot_be_compared() -> None:
    with pytest.raises(AssertionError, match="Stops ends the run before step 4"):
        assert_leaves_training_alone(Stops())


def test_the_kit_needs_no_mindspore() -> None:
    code = (
        "import sys; from ms_gan_callbacks import EarlyStopping; from ms_gan_callbacks.testing import *;"
        "stopping = EarlyStopping('fld', mode='min', patience=2);"
        "print(drive(stopping, epochs=9, metrics={'fld': [30, 20, 25, 24, 23]}).stopped);"
        "assert_state_round_trips(stopping, epochs=9, metrics={'fld': [30, 20, 25, 24, 23]});"
        "print('mindspore' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "20\nFalse\n"
