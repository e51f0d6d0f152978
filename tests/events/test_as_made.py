"""Callbacks that serve one run after another begin each as they were made."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import tiny_runner
from mindspore import train
from rich.console import Console as Terminal

from ms_gan_callbacks import (
    BestCheckpoint,
    Callback,
    CallbackBus,
    CallbackError,
    Checkpoint,
    CollapseGuard,
    Console,
    EarlyStopping,
    Event,
    Every,
    MetricsLog,
    MindSporeCallback,
    Run,
    Writer,
    lower_is_better,
    optional,
)
from ms_gan_callbacks.testing import Trace, drive, make_run
from ms_gan_callbacks.testing.script import Script

FALLING = [5.0, 4.0, 4.5, 4.5, 4.5]


def twice(*callbacks: Callback, **script: Any) -> tuple[Trace, Trace]:
    """Drive the same callbacks through two runs."""
    first, second = drive(*callbacks, **script), drive(*callbacks, **script)
    return first, second


@pytest.mark.parametrize(
    "make",
    [
        lambda: [EarlyStopping("m", mode="min", patience=2)],
        lambda: [EarlyStopping("m", mode="min", patience=2, restore_best=True)],
        lambda: [BestCheckpoint("m", mode="min")],
        lambda: [Checkpoint(best=BestCheckpoint("m", mode="min"))],
        lambda: [MindSporeCallback(train.EarlyStopping("m", patience=2, mode="min"))],
        lambda: [CollapseGuard(Every.steps(1), warm_up=0, samples=4, action="stop")],
    ],
)
def test_two_runs_of_the_same_objects_are_the_same(make: Callable[[], list[Callback]]) -> None:
    callbacks = make()
    first, second = twice(*callbacks, epochs=5, metrics={"m": FALLING})
    assert (second.stopped, second.checkpoints, second.states) == (first.stopped, first.checkpoints, first.states)
    fresh = make()
    drive(*fresh, epochs=5, metrics={"m": FALLING})
    assert [callback.summary() for callback in callbacks] == [callback.summary() for callback in fresh]


def test_a_second_runner_trains_as_long_and_saves_its_best(images: np.ndarray) -> None:
    stopping = EarlyStopping("d_real", target=0.5, patience=1)
    best = BestCheckpoint("d_real", target=0.5)
    folders = ("first", "second")
    first, second = (
        tiny_runner(folder).train(6, images, [stopping, best], batch_size=4, quiet=True) for folder in folders
    )
    assert (second.step, second.highlights) == (first.step, first.highlights)
    names = [[path.name for path in sorted(Path(folder, "checkpoints").iterdir())] for folder in folders]
    assert names[0] == names[1] != []


class Notes(Callback):
    """Remembers in many ways."""

    persistent = ("count",)

    def __init__(self) -> None:
        self.count, self.seen, self.nested = 0, [], {"steps": []}
        self.same = self.seen
        self.array, self.chance = np.zeros(2), np.random.default_rng(0)
        self.lock, self.ask = threading.Lock(), self.on_train_begin

    def on_train_step_end(self, run: Run) -> None:
        with self.lock:
            self.count += 1
        self.seen.append(float(self.chance.random()))
        self.nested["steps"].append(run.step)
        self.array += 1
        self.new = run


def test_whatever_a_run_does_to_attributes_the_next_one_does_not_find() -> None:
    notes = Notes()
    drive(notes, epochs=1)
    first = notes.seen
    drive(notes, epochs=1)
    assert (notes.count, notes.nested, notes.array.tolist()) == (5, {"steps": [1, 2, 3, 4, 5]}, [5, 5])
    assert notes.seen == first and notes.seen is not first  # what was read after the first run is as it was
    assert notes.same is notes.seen and notes.ask.__self__ is notes
    owner = Owner()
    CallbackBus([notes], owner)
    assert (notes.count, notes.seen) == (0, [])
    assert not hasattr(notes, "new")


class Owner:
    """A run, as far as a bus knows."""


def test_the_same_run_goes_on_and_no_run_touches_nothing(images: np.ndarray) -> None:
    notes, runner = Notes(), tiny_runner()
    for epochs in (2, 1):
        runner.train(epochs, images, [notes], batch_size=4, quiet=True)
    assert notes.count == 15
    CallbackBus([notes]).emit(Event.TRAIN_STEP_END, make_run())
    assert notes.count == 16


def test_what_its_author_sets_between_two_runs_stays() -> None:
    stopping = EarlyStopping("m", mode="min", patience=2)
    assert drive(stopping, epochs=5, metrics={"m": FALLING}).stopped == 20
    stopping.patience = 3
    assert [trace.stopped for trace in twice(stopping, epochs=5, metrics={"m": FALLING})] == [25, 25]


def test_what_a_failed_check_leaves_can_be_put_right() -> None:
    stopping = EarlyStopping("typo", patience=2)
    with pytest.raises(CallbackError, match="unknown monitor 'typo'"):
        drive(stopping, metrics={"m": FALLING})
    stopping.monitor = "m"
    assert drive(stopping, epochs=5, metrics={"m": FALLING}, better={"m": "min"}).stopped == 20
    rising = drive(stopping, epochs=5, metrics={"m": FALLING}, better={"m": "max"})
    assert rising.stopped == 15  # the way that is better came from the run before


def test_what_somebody_else_holds_is_theirs() -> None:
    class Appends(Callback):
        def __init__(self, to: list[int]) -> None:
            self.to = to

        def on_train_begin(self, run: Run) -> None:
            self.to.append(run.step)

    mine: list[int] = []
    twice(Appends(mine))
    assert mine == [0, 0]


def test_a_terminal_stays_the_same_one() -> None:
    terminal = Terminal(file=StringIO(), width=80)
    console = Console(terminal)
    twice(console, epochs=1)
    assert console.terminal is terminal
    assert terminal.file.getvalue().count("epoch 1/1") == 2  # type: ignore[attr-defined]
    own = Console()
    before = own.terminal
    twice(own, epochs=1)
    assert own.terminal is before


@pytest.mark.parametrize(
    "thing", [lambda: (number for number in range(3)), lambda: threading.Thread(target=print)]
)
def test_what_cannot_be_put_back_is_refused_by_the_second_run(thing: Callable[[], Any]) -> None:
    class Keeps(Callback):
        def __init__(self) -> None:
            self.thing = thing()

    with pytest.raises(CallbackError) as caught:
        twice(Keeps())
    assert str(caught.value) == (
        "Keeps was used in another run and its attribute thing cannot be reset: create a new one per run"
    )

    class Says(Keeps):
        carried_over = ("thing",)

    twice(Says())


def test_one_that_was_refused_is_taken_with_a_new_thing_and_as_it_was_made() -> None:
    class Draws(Callback):
        def __init__(self) -> None:
            self.count, self.numbers = 0, iter_of(9)

        def on_train_step_end(self, run: Run) -> None:
            self.count += next(self.numbers)

    draws = Draws()
    drive(draws, epochs=1)
    with pytest.raises(CallbackError, match="Draws was used in another run and its attribute numbers"):
        drive(draws, epochs=1)
    draws.numbers = iter_of(9)
    drive(draws, epochs=1)
    assert draws.count == 0 + 1 + 2 + 3 + 4


def iter_of(count: int) -> Any:
    """Return numbers that cannot be copied."""
    return (number for number in range(count))


def test_slots_and_dataclasses_are_put_back_too() -> None:
    class Slotted(Callback):
        __slots__ = ("count",)

        def __init__(self) -> None:
            self.count = 0

        def on_train_step_end(self, run: Run) -> None:
            self.count += 1

    @dataclass
    class Fields(Callback):
        limit: int = 3
        seen: list[int] = field(default_factory=list)

        def on_train_step_end(self, run: Run) -> None:
            self.seen.append(run.step)

    slotted, fields = Slotted(), Fields()
    twice(slotted, fields, epochs=1)
    assert (slotted.count, fields.seen) == (5, [1, 2, 3, 4, 5])


def test_a_list_in_the_class_is_found_as_it_was() -> None:
    class Sees(Callback):
        seen: list[int] = []

        def on_train_step_end(self, run: Run) -> None:
            self.seen.append(run.step)

    sees = Sees()
    twice(sees, epochs=1)
    assert sees.seen == Sees.seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "again", [copy.deepcopy, copy.copy, lambda callback: pickle.loads(pickle.dumps(callback))]
)
def test_a_copy_of_a_used_one_begins_afresh(again: Callable[[Callback], Callback]) -> None:
    stopping = EarlyStopping("m", mode="min", patience=2)
    first = drive(stopping, epochs=5, metrics={"m": FALLING})
    other = again(stopping)
    other.name = "other"
    assert drive(other, epochs=5, metrics={"m": FALLING}).stopped == first.stopped
    assert drive(stopping, epochs=5, metrics={"m": FALLING}).stopped == first.stopped
    assert other.name == "other"


def test_callbacks_that_are_held_by_others_are_put_back_where_they_are() -> None:
    class Asks(Callback):
        def __init__(self, other: Notes) -> None:
            self.other = other

        def on_train_step_end(self, run: Run) -> None:
            self.other.on_train_step_end(run)

    notes = Notes()
    asks = Asks(notes)
    twice(asks, epochs=1)
    assert notes.count == 5 and asks.other is notes


def test_a_stock_callback_stays_the_object_that_it_is(images: np.ndarray) -> None:
    class Counts(train.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.count, self.epochs = 0, []

        def on_train_step_end(self, run_context: Any) -> None:
            self.count += 1

        def on_train_epoch_end(self, run_context: Any) -> None:
            self.epochs.append(run_context.original_args().cur_epoch_num)

    counts, history = Counts(), train.History()
    for folder in ("one", "two"):
        tiny_runner(folder).train(2, images, [counts, history], batch_size=4, quiet=True)
        assert (counts.count, counts.epochs) == (10, [1, 2])
        assert len(history.history["net_output"]) == 2


def test_one_that_was_detached_in_a_run_listens_in_the_next() -> None:
    class Fails(Callback):
        def __init__(self) -> None:
            self.fails, self.steps = True, 0

        def on_train_step_end(self, run: Run) -> None:
            self.steps += 1
            if self.fails:
                raise OSError("the disk is full")

    fails = optional(Fails())
    assert "the disk is full" in drive(fails, epochs=1).warnings[0]
    fails.fails = False
    drive(fails, epochs=1)
    assert fails.steps == 5


def test_it_goes_on_from_its_state_in_a_run_that_is_resumed() -> None:
    script = Script(epochs=5, metrics={"m": FALLING})
    stopping = EarlyStopping("m", mode="min", patience=2)
    whole = script.play(stopping)
    rest = script.play(stopping, start=15, states=whole.states[15])
    assert (rest.stopped, rest.stop_reason) == (whole.stopped, whole.stop_reason)


def test_the_guard_looks_at_the_real_images_of_its_own_run() -> None:
    drawn: list[int] = []

    def real(number: int) -> Callable[[int], np.ndarray]:
        def draw(count: int) -> np.ndarray:
            drawn.append(number)
            return np.random.default_rng(number).uniform(-1, 1, (count, 1, 4, 4)).astype(np.float32)

        return draw

    guard = CollapseGuard(samples=4)
    for number in (1, 2):
        drive(guard, draw_real=real(number))
    assert drawn == [1, 2]


def test_a_writer_of_one_run_writes_all_of_the_next() -> None:
    class Keeps(Writer):
        def __init__(self) -> None:
            super().__init__(Every.steps(2))
            self.lines: list[int] = []

        def write(self, run: Run, values: object) -> None:
            self.lines.append(run.step)

    keeps = Keeps()
    twice(keeps, MetricsLog(), epochs=1)
    assert keeps.lines == [2, 4, 5]


def test_metrics_that_say_which_way_is_better_are_asked_anew() -> None:
    best = BestCheckpoint("m")
    falling = lower_is_better(lambda real, fake: 0.0)
    assert callable(falling)
    first = drive(best, epochs=3, metrics={"m": [3, 2, 1]}, better={"m": "min"})
    second = drive(best, epochs=3, metrics={"m": [3, 2, 1]}, better={"m": "max"})
    assert [len(trace.checkpoints) for trace in (first, second)] == [3, 1]
