"""Early stopping against a plain oracle, in real runs, and in the words of its errors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_runner
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan_callbacks import (
    BestCheckpoint,
    Callback,
    CallbackError,
    EarlyStopping,
    Evaluation,
    Every,
    GanWarning,
    Run,
    UsageError,
)
from ms_gan_callbacks.callbacks.metrics_log import MetricsLog
from ms_gan_callbacks.testing import assert_state_round_trips, drive

# Quarters are exact in floating point, so that differences are too.
numbers = st.lists(
    st.one_of(st.integers(-8, 8).map(lambda n: n / 4), st.sampled_from([math.nan, math.inf, -math.inf])),
    min_size=1,
    max_size=30,
)
goals = st.sampled_from([{"mode": "min"}, {"mode": "max"}, {"target": 0.5}])
quarters = st.integers(0, 4).map(lambda n: n / 4)


def feed(stopping: EarlyStopping, values: list[float]) -> int | None:
    """Give a stopper one value of a metric an epoch; return the epoch in which it asks to stop."""
    return drive(stopping, epochs=len(values), steps_per_epoch=1, metrics={"m": values}).stopped


def distance(value: float, goal: dict) -> float:
    if not math.isfinite(value):
        return math.inf
    return {"min": value, "max": -value}[goal["mode"]] if "mode" in goal else abs(value - goal["target"])


def oracle(values: list[float], goal: dict, patience: int, min_delta: float) -> int | None:
    """Return the first epoch that lies ``patience`` epochs behind the newest record, or behind the start."""
    distances = [distance(value, goal) for value in values]
    records = [0]
    for epoch, now in enumerate(distances, start=1):
        best = distances[records[-1] - 1] if len(records) > 1 else math.inf
        if best - now > min_delta:
            records.append(epoch)
        elif epoch - records[-1] == patience:
            return epoch
    return None


@given(values=numbers, goal=goals, patience=st.integers(1, 6), min_delta=quarters)
def test_it_stops_where_the_oracle_says(values: list[float], goal: dict, patience: int, min_delta: float) -> None:
    stopping = EarlyStopping("m", patience=patience, min_delta=min_delta, **goal)
    assert feed(stopping, values) == oracle(values, goal, patience, min_delta)


@given(values=numbers, goal=goals, patience=st.integers(1, 6))
def test_the_best_is_the_first_of_the_best(values: list[float], goal: dict, patience: int) -> None:
    stopping = EarlyStopping("m", patience=patience, **goal)
    seen = values[: feed(stopping, values) or len(values)]
    finite = [distance(value, goal) for value in seen if math.isfinite(value)]
    if finite:
        assert stopping.best is not None
        assert distance(stopping.best, goal) == min(finite)
        assert [distance(value, goal) for value in seen].index(min(finite)) + 1 == stopping.best_epoch
    else:
        assert stopping.best is None


@given(values=numbers, goal=goals, patience=st.integers(1, 6), min_delta=quarters)
@settings(max_examples=30)
def test_interrupted_anywhere_it_goes_on_the_same(
    values: list[float], goal: dict, patience: int, min_delta: float
) -> None:
    stopping = EarlyStopping("m", patience=patience, min_delta=min_delta, **goal)
    assert_state_round_trips(stopping, epochs=len(values), steps_per_epoch=1, metrics={"m": values})


@pytest.mark.parametrize(
    ("goal", "values", "reason"),
    [
        ({"mode": "min"}, [3.0, 2.0, 2.5, 2.0], "m was best at epoch 2: 2; no improvement in 2 checks, now 2"),
        (
            {"target": 0.5},
            [0.9, 0.6, 0.2, 0.3],
            "m was best at epoch 2: 0.6, target 0.5; no improvement in 2 checks, now 0.3",
        ),
        (
            {"mode": "max"},
            [1.0, math.nan, math.nan],
            "m was best at epoch 1: 1; no improvement in 2 checks, now nan",
        ),
        (
            {"mode": "max"},
            [math.nan, math.nan],
            "m was never a finite number; no improvement in 2 checks, now nan",
        ),
    ],
)
def test_the_reason_tells_the_best_the_goal_and_the_wait(goal: dict, values: list[float], reason: str) -> None:
    trace = drive(EarlyStopping("m", patience=2, **goal), epochs=9, steps_per_epoch=1, metrics={"m": values})
    assert (trace.stopped, trace.stop_reason) == (len(values), reason)


class Publishes(Callback):
    """Logs ``mine``: the given values, one an epoch, in the middle of it or at its end; None logs nothing."""

    publishes = ("mine",)

    def __init__(self, values: list[float | None], at_end: bool = False) -> None:
        self.values, self.at_end = values, at_end

    def log(self, run: Run) -> None:
        value = self.values[run.epoch - 1]
        if value is not None:
            run.log(mine=value)

    def on_train_step_end(self, run: Run) -> None:
        if not self.at_end and run.step % run.steps_per_epoch == 2:
            self.log(run)

    def on_train_epoch_end(self, run: Run) -> None:
        if self.at_end:
            self.log(run)


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize(
    ("values", "epochs"),
    [([1.0, 0.5, 0.75, 0.5, 0.0, 0.0], 4), ([None, None, None, 1.0, 0.5, 0.25], 6), ([math.nan] * 6, 2)],
)
def test_it_watches_what_another_callback_logs(values: list[float | None], epochs: int, at_end: bool) -> None:
    stopping = EarlyStopping("mine", mode="min", patience=2)
    assert drive(stopping, Publishes(values, at_end), epochs=6).run.epoch == epochs


def test_it_watches_the_epoch_mean_of_a_scalar(images: np.ndarray) -> None:
    stopping = EarlyStopping("d_fake", target=0.0, patience=1)
    result = tiny_runner(seed=3).train(8, images, [stopping, MetricsLog()], batch_size=4, quiet=True)
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    means = [line["epoch_means"]["d_fake"] for line in lines if "epoch_means" in line]
    rises = [n for n in range(1, len(means)) if abs(means[n]) >= abs(means[n - 1])]
    assert stopping.best == min(means)
    assert result.epoch == (rises[0] + 1 if rises else 8)


def test_a_metric_cannot_be_called_as_a_scalar_is() -> None:
    with pytest.raises(UsageError, match="invalid name of a metric: 'd_real' is a scalar of every step"):
        drive(EarlyStopping("d_real", target=0.5), scalars={"d_real": 0.75}, metrics={"d_real": 0.25})


def test_an_unknown_name_fails_before_the_first_step_and_leaves_no_folder(images: np.ndarray) -> None:
    with pytest.raises(CallbackError) as caught:
        tiny_runner().train(9, images, [EarlyStopping("d_rael", target=0.5)], batch_size=4, quiet=True)
    assert "EarlyStopping: unknown monitor 'd_rael'; did you mean 'd_real'?" in str(caught.value)
    assert "d_fake, d_loss, d_real, g_loss, value" in str(caught.value)
    assert not Path("run").exists()


def test_patience_that_cannot_run_out_is_warned_about() -> None:
    [warning] = drive(EarlyStopping("d_real", target=0.5, patience=2), epochs=2).warnings
    assert "patience=2 cannot run out within this run's 2 epochs; it will never" in warning


def test_what_nobody_logged_is_said_in_the_summary() -> None:
    stopping = EarlyStopping("mine", mode="max", patience=1)
    assert drive(stopping, Publishes([None] * 2)).stop_reason is None
    assert stopping.summary() == "mine was never logged"


@pytest.mark.parametrize("loss", ["d_loss", "g_loss", "value"])
def test_a_raw_loss_takes_an_opt_in(loss: str) -> None:
    with pytest.raises(CallbackError, match=r"GAN losses do not measure quality.* allow_raw_loss=True"):
        EarlyStopping(loss, mode="min")
    assert EarlyStopping(loss, mode="min", allow_raw_loss=True).monitor == loss


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "min", "target": 1.0}, "mode or target, not both"),
        ({"mode": "auto"}, "mode must be 'min' or 'max', not 'auto'"),
        ({"target": math.nan}, "target must be finite"),
        ({"mode": "min", "patience": 0}, "patience must be an integer of at least 1, got 0"),
        ({"mode": "min", "patience": True}, "patience must be an integer of at least 1, got True"),
        ({"mode": "min", "patience": 1.5}, "patience must be an integer of at least 1, got 1.5"),
        ({"mode": "min", "min_delta": -1.0}, "min_delta must be at least 0"),
        ({"mode": "min", "min_delta": math.nan}, "min_delta must be at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        EarlyStopping("fld", **options)


@pytest.mark.parametrize("monitor", ["", None, 3])
def test_the_monitor_is_a_name(monitor: object) -> None:
    with pytest.raises(CallbackError, match="monitor must be the name of a metric or scalar"):
        EarlyStopping(monitor, mode="min")  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_of_them_need_two_names(images: np.ndarray) -> None:
    def both(name: str) -> list[Callback]:
        return [EarlyStopping("d_real", target=0.5), EarlyStopping("d_fake", target=0.5, name=name)]

    with pytest.raises(CallbackError, match="named 'EarlyStopping'"):
        tiny_runner("one").train(6, images, both("EarlyStopping"), batch_size=4, quiet=True)
    result = tiny_runner("two").train(6, images, both("Fakes"), batch_size=4, quiet=True)
    assert {"EarlyStopping", "Fakes"} <= set(result.highlights)


def never(stopping: EarlyStopping, **script: object) -> list[str]:
    return [text for text in drive(stopping, **script).warnings if "it will never stop the run" in text]


@pytest.mark.parametrize(
    "every", [Every.steps(1), Every.steps(2), Every.steps(3), Every.epochs(1), Every.epochs(2)]
)
@pytest.mark.parametrize("warm_up", [0, 1, 3])
def test_it_is_said_to_stop_never_where_it_never_could(every: Every, warm_up: int) -> None:
    for patience in range(1, 22):
        stopping = EarlyStopping("m", mode="min", patience=patience, warm_up=warm_up)
        # The first look sets the best, and none is better: whatever can run out does.
        trace = drive(stopping, epochs=4, steps_per_epoch=5, metrics={"m": 1.0}, evaluate=every)
        warned = any("it will never stop the run" in text for text in trace.warnings)
        assert warned == (trace.stopped is None), (patience, trace.warnings)


@pytest.mark.parametrize("warm_up", [0, 1, 3])
def test_of_a_scalar_epochs_are_counted(warm_up: int) -> None:
    for patience in range(1, 6):
        stopping = EarlyStopping("d_real", target=0.5, patience=patience, warm_up=warm_up)
        trace = drive(stopping, epochs=4, evaluate=Every.steps(1), metrics={"m": 1.0})
        assert any("never stop" in text for text in trace.warnings) == (trace.stopped is None)


def test_the_warning_says_what_is_counted() -> None:
    by_steps = {"epochs": 2, "metrics": {"m": 1.0}, "evaluate": Every.steps(2)}
    assert never(EarlyStopping("m", mode="min", patience=3), **by_steps) == []
    assert never(EarlyStopping("m", mode="min", patience=5), **by_steps) == [
        "EarlyStopping: patience=5 cannot run out within this run's 5 evaluations; it will never stop the run"
    ]
    assert never(EarlyStopping("m", mode="min", patience=4, warm_up=1), **by_steps) == [
        "EarlyStopping: patience=4 cannot run out within this run's 5 evaluations, of which 3 follow "
        "warm_up=1; it will never stop the run"
    ]


def test_a_run_that_goes_on_counts_what_it_has_waited(images: np.ndarray) -> None:
    stopping, runner = EarlyStopping("best", mode="min", patience=4), tiny_runner()
    rises = Publishes([1.0, 2.0, 3.0, 4.0, 5.0])
    rises.publishes = ("best",)
    rises.log = lambda run: run.log(best=run.epoch)  # type: ignore[method-assign]
    with pytest.warns(GanWarning, match="patience=4 cannot run out within this run's 3 epochs"):
        runner.train(3, images, [stopping, rises], batch_size=4, quiet=True)
    assert stopping.waited == 2
    result = runner.train(2, images, [stopping, rises], batch_size=4, quiet=True)  # no warning: 2 and 2 are 4
    assert result.stop_reason is not None and result.epoch == 5


@pytest.mark.parametrize("every", [Every.steps(11), Every.epochs(3)])
def test_the_test_kit_tells_of_metrics_that_are_never_measured(every: Every) -> None:
    best = BestCheckpoint("m", mode="min")
    [warning] = drive(best, epochs=2, metrics={"m": 1.0}, evaluate=every).warnings
    assert warning.startswith(f"metrics are never measured: {every} is longer than this run of ")


def test_a_metric_that_is_never_measured_is_told_of_once(images: np.ndarray) -> None:
    rows = lambda images: images[:, 0, 0].astype(np.float32)  # noqa: E731
    evaluation = Evaluation({"m": lambda real, fake: 0.0}, Every.steps(100), 8, rows)
    stopping = EarlyStopping("m", mode="min", restore_best=True)
    with pytest.warns(GanWarning) as caught:
        tiny_runner().train(2, images, [stopping], evaluation=evaluation, batch_size=4, quiet=True)
    assert [str(warning.message) for warning in caught] == [
        "metrics are never measured: Every.steps(100) is longer than this run of 10 steps"
    ]
