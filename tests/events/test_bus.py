"""The bus: order, errors, detaching, state, cost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_runner

from ms_gan_callbacks import Callback, CallbackBus, CallbackError, Event, GanWarning, Run, optional
from ms_gan_callbacks.testing import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path, step=3)


class Speaks(Callback):
    def __init__(self, log: list[str], text: str, order: int = 0) -> None:
        self.log, self.text, self.order = log, text, order

    def on_train_begin(self, run: Run) -> None:
        self.log.append(self.text)


def test_lower_order_is_told_first_and_equal_order_as_attached(run: Run) -> None:
    log: list[str] = []
    callbacks = [Speaks(log, "late", 5), Speaks(log, "a"), Speaks(log, "b"), Speaks(log, "early", -1)]
    CallbackBus(callbacks).emit(Event.TRAIN_BEGIN, run)
    assert log == ["early", "a", "b", "late"]


def test_only_those_who_override_a_hook_listen() -> None:
    table = CallbackBus([Speaks([], "x"), Callback()]).table()
    assert table[Event.TRAIN_BEGIN] == ["Speaks"]
    assert all(table[event] == [] for event in Event if event is not Event.TRAIN_BEGIN)


def faulty(hook: str, released: list[bool]) -> Callback:
    """Return a callback that raises in one hook and notes that it was released."""

    def fail(self: Callback, *_: object) -> None:
        raise ZeroDivisionError("by design")

    def release(self: Callback, *_: object) -> None:
        released.append(True)

    return type("Faulty", (Callback,), {"__exit__": release, hook: fail})()


class AsksForCheckpoints(Callback):
    def on_train_step_end(self, run: Run) -> None:
        run.request_checkpoint()


REACHED = [event.value for event in Event if event is not Event.EVAL_END]


@pytest.mark.parametrize("hook", REACHED)
def test_an_exception_in_a_hook_ends_the_run_with_its_own_type_and_a_note(hook: str, images: np.ndarray) -> None:
    released: list[bool] = []
    callbacks = [AsksForCheckpoints(), faulty(hook, released)]
    with pytest.raises(ZeroDivisionError, match="by design") as caught:
        tiny_runner().train(1, images, callbacks, batch_size=4, quiet=True)
    [note] = caught.value.__notes__
    assert note.startswith(f"raised by Faulty.{hook} at step ")
    assert released == [True]


@pytest.mark.parametrize("hook", [*REACHED, "__enter__", "__exit__"])
def test_an_optional_callback_is_detached_with_one_warning_and_told_in_the_summary(
    hook: str, images: np.ndarray
) -> None:
    callbacks = [AsksForCheckpoints(), optional(faulty(hook, []))]
    with pytest.warns(GanWarning, match="the run continues without it") as warned:
        result = tiny_runner().train(2, images, callbacks, batch_size=4, quiet=True)
    assert len(warned) == 1
    assert result.step == 10
    [fault] = result.faults
    assert fault.startswith(f"Faulty.{hook}") and "ZeroDivisionError: by design" in fault
    assert fault in result.summary()


def test_all_are_released_though_one_fails_to_and_failures_are_not_swallowed(run: Run) -> None:
    class Swallows(Callback):
        def __exit__(self, *_: object) -> bool:
            return True

    released: list[bool] = []

    class Releases(Callback):
        def __exit__(self, *_: object) -> None:
            released.append(True)

    with (
        pytest.raises(ZeroDivisionError),
        CallbackBus([Releases(), faulty("__exit__", []), Swallows()]),
    ):
        raise KeyError("the run failed")
    assert released == [True]


def test_a_callback_that_fails_to_enter_releases_those_before_it() -> None:
    released: list[bool] = []
    bus = CallbackBus([faulty("on_train_end", released), faulty("__enter__", [])])
    with pytest.raises(ZeroDivisionError), bus:
        pytest.fail("entered")
    assert released == [True]


class Counts(Callback):
    persistent = ("count",)

    def __init__(self, name: str = "Counts") -> None:
        self.name, self.count = name, 0


def test_state_goes_round_by_name() -> None:
    one, two = Counts("one"), Counts("two")
    one.count, two.count = 3, 4
    state = CallbackBus([one, two]).state()
    again = [Counts("two"), Counts("one"), Counts("new")]
    CallbackBus(again).load_state(state)
    assert [callback.count for callback in again] == [4, 3, 0]


class KeepsAnArray(Callback):
    persistent = ("array",)
    array = np.zeros(3)


class Forgets(Callback):
    persistent = ("streak",)


same = Callback()


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([Counts(), Counts()], "two stateful callbacks are named 'Counts'; rename one of them"),
        ([KeepsAnArray()], "KeepsAnArray: state cannot be stored as JSON"),
        ([Forgets()], "Forgets: persistent lists 'streak', which __init__ does not set"),
        ([Callback(), print], r"callbacks\[1\] is <built-in function print>, not a Callback"),
        ([Counts], r"callbacks\[0\] is .* \(a class: pass an instance\)"),
        ([same, same], r"callbacks\[1\], Callback, is attached twice"),
    ],
)
def test_what_cannot_be_attached_is_refused_at_construction(callbacks: list, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        CallbackBus(callbacks)


def test_time_is_booked_to_the_callback_that_took_it(run: Run) -> None:
    class Sleeps(Callback):
        def on_train_begin(self, run: Run) -> None:
            time.sleep(0.02)

    bus = CallbackBus([Sleeps(), Callback(), Sleeps()])
    bus.emit(Event.TRAIN_BEGIN, run)
    costs = bus.costs()
    assert set(costs) == {"Sleeps (1)", "Sleeps (2)", "Callback"}
    # Not how long it took, but who it is booked to: a sleep is never shorter than asked.
    assert costs["Sleeps (1)"] >= 0.02 <= costs["Sleeps (2)"]
    assert costs["Callback"] == 0


def test_no_more_time_is_booked_than_has_passed(run: Run) -> None:
    began = time.perf_counter()
    bus = CallbackBus([faulty("on_train_end", []), optional(faulty("__enter__", []))])
    with pytest.warns(GanWarning, match="the run continues without it"), bus:
        bus.check(run)
        with pytest.raises(ZeroDivisionError):
            bus.emit(Event.TRAIN_END, run)
    assert 0 < sum(bus.costs().values()) <= time.perf_counter() - began


def test_a_misspelled_hook_is_refused_where_it_is_written() -> None:
    with pytest.raises(
        CallbackError, match=r"Typo.on_train_epoch_ends would never be called; did you mean 'on_tr"
    ):
        type("Typo", (Callback,), {"on_train_epoch_ends": lambda self, run: None})


class SummaryFails(Callback):
    def summary(self) -> str:
        raise ValueError("no words")


class StateRots(Callback):
    persistent = ("kept",)

    def __init__(self) -> None:
        self.kept: object = 1

    def on_train_step_end(self, run: Run) -> None:
        self.kept = np.float32(1)


def test_a_result_is_not_lost_to_a_line_about_it(images: np.ndarray) -> None:
    result = tiny_runner().train(1, images, [SummaryFails()], batch_size=4, quiet=True)
    assert "summary() raised ValueError: no words" in result.highlights["SummaryFails"]


def test_state_that_json_cannot_hold_any_more_is_named(images: np.ndarray) -> None:
    with pytest.raises(CallbackError, match=r"StateRots: state cannot be stored as JSON: .*float32"):
        tiny_runner().train(1, images, [StateRots(), AsksForCheckpoints()], batch_size=4, quiet=True)


class CheckFails(Callback):
    def check(self, run: Run) -> list[str]:
        raise KeyError("unchecked")


def test_a_check_that_raises_is_named_or_detached(images: np.ndarray) -> None:
    with pytest.raises(KeyError) as caught:
        tiny_runner().train(1, images, [CheckFails()], batch_size=4, quiet=True)
    assert caught.value.__notes__ == ["raised by CheckFails.check"]
    with pytest.warns(GanWarning, match="CheckFails.check raised KeyError"):
        assert tiny_runner().train(1, images, [optional(CheckFails())], batch_size=4, quiet=True).step == 5


class Pairs(Callback):
    persistent = ("pair", "table")

    def __init__(self, table: dict) -> None:
        self.pair, self.table = (1, 2.0), table


def test_state_comes_back_as_it_was_or_is_refused() -> None:
    kept = CallbackBus([Pairs({"a": [1, (2, 3)]})]).state()
    fresh = Pairs({})
    CallbackBus([fresh]).load_state(json.loads(json.dumps(kept)))
    assert fresh.pair == (1, 2.0) and type(fresh.pair) is tuple
    for table in ({1: 2}, {"a": [{None: 1}]}, {"a": {"b": ({2.5: 1},)}}):
        with pytest.raises(CallbackError, match=r"Pairs: state has the key .*, which JSON"):
            CallbackBus([Pairs(table)])
