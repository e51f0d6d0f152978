"""Events are methods, schedules are values, periodic callbacks act when due and once more at the end."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import StopsAt
from hypothesis import given
from hypothesis import strategies as st

from ms_gan_callbacks import Callback, CallbackError, Event, Every, Periodic, Run, Writer, optional
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.testing import drive, make_run


def test_an_events_value_is_the_name_of_a_hook_and_every_hook_is_an_event() -> None:
    hooks = {name for name in vars(Callback) if name.startswith("on_")}
    assert {event.value for event in Event} == hooks


@given(period=st.integers(1, 50), steps_per_epoch=st.integers(1, 20), epochs=st.integers(1, 10))
def test_schedules_are_due_on_every_multiple_and_nowhere_else(
    period: int, steps_per_epoch: int, epochs: int
) -> None:
    steps = range(1, epochs * steps_per_epoch + 1)
    at = [Progress(epochs, steps_per_epoch, step, (step - 1) // steps_per_epoch + 1) for step in steps]
    by_step = [counters.step for counters in at if Every.steps(period).due(counters)]
    by_epoch = [counters.step for counters in at if Every.epochs(period).due(counters)]
    assert by_step == list(range(period, epochs * steps_per_epoch + 1, period))
    assert by_epoch == [steps_per_epoch * epoch for epoch in range(period, epochs + 1, period)]


@pytest.mark.parametrize("period", [0, -1, 1.5, "3", True, None])
def test_a_schedule_takes_a_positive_whole_number(period: object) -> None:
    with pytest.raises(CallbackError, match=r"Every.steps\(...\) must be an integer of at least 1"):
        Every.steps(period)  # type: ignore[arg-type]


def test_a_schedule_reads_as_it_is_written() -> None:
    assert str(Every.steps(50)) == "Every.steps(50)"
    assert str(Every.epochs(2)) == "Every.epochs(2)"


class Acts(Periodic):
    def __init__(self, every: Every) -> None:
        super().__init__(every)
        self.steps: list[int] = []

    def act(self, run: Run) -> None:
        self.steps.append(run.step)


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (Every.steps(4), [4, 8, 10]),
        (Every.steps(5), [5, 10]),
        (Every.epochs(1), [5, 10]),
        (Every.epochs(2), [10]),
    ],
)
def test_what_is_periodic_acts_when_due_and_after_the_last_step(every: Every, steps: list[int]) -> None:
    callback = Acts(every)
    drive(callback, epochs=2, steps_per_epoch=5)
    assert callback.steps == steps


def test_a_run_that_is_stopped_still_has_its_last_act() -> None:
    by_epoch, by_step = Acts(Every.epochs(1)), Acts(Every.steps(2))
    assert drive(by_epoch, by_step, StopsAt(7), epochs=2, steps_per_epoch=5).stop_reason == "enough"
    assert (by_epoch.steps, by_step.steps) == ([5, 7], [2, 4, 6, 7])


def test_a_periodic_callback_without_a_schedule_says_what_it_takes() -> None:
    with pytest.raises(CallbackError, match=r"Acts: every must be a schedule such as Every.steps\(50\)"):
        Acts(50)  # type: ignore[arg-type]


def test_optional_returns_the_same_callback() -> None:
    callback = Acts(Every.steps(1))
    assert optional(callback) is callback
    assert callback.optional
    assert not Acts(Every.steps(1)).optional


class Records(Writer):
    def __init__(self, every: Every) -> None:
        super().__init__(every)
        self.numbers: list[tuple[int, set[str]]] = []
        self.pictures: list[tuple[int, str]] = []

    def write(self, run: Run, values: object) -> None:
        self.numbers.append((run.step, set(values)))  # type: ignore[call-overload]

    def write_images(self, run: Run, images: object) -> None:
        self.pictures += [(run.step, name) for name in images]  # type: ignore[attr-defined]


class Logs(Callback):
    def on_train_step_end(self, run: Run) -> None:
        if run.step in (2, 3):
            run.log(mine=run.step)

    def on_train_epoch_end(self, run: Run) -> None:
        run.log(epoch_picture=np.zeros((2, 2), np.uint8), at_epoch=1)


def test_writers_get_scalars_when_due_and_what_is_logged_once_at_its_own_step() -> None:
    writer = Records(Every.steps(2))
    drive(writer, Logs(), epochs=1, steps_per_epoch=5)
    scalars = {"d_loss", "g_loss", "d_real", "d_fake", "value"}
    assert writer.numbers == [
        (2, scalars),
        (2, {"mine"}),
        (3, {"mine"}),
        (4, scalars),
        (5, {"at_epoch"}),
        (5, scalars),
    ]
    assert writer.pictures == [(5, "epoch_picture")]


NOT_PICTURES = [np.zeros(shape, np.uint8) for shape in ((3,), (0, 4), (4, 4, 2), (4, 4, 4), (1, 4, 4))]


@pytest.mark.parametrize("value", ["0.5", None, np.zeros((2, 2)), [1], *NOT_PICTURES])
def test_logging_what_is_neither_number_nor_picture_is_refused(value: object) -> None:
    run = make_run()
    with pytest.raises(TypeError, match=r"run.log\(mine=...\) takes a number or a uint8 image"):
        run.log(mine=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(("shape", "kept"), [((4, 6), (4, 6)), ((4, 6, 1), (4, 6)), ((4, 6, 3), (4, 6, 3))])
def test_logged_pictures_have_one_of_two_shapes(shape: tuple[int, ...], kept: tuple[int, ...]) -> None:
    run, picture = make_run(), np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    run.log(mine=picture)
    assert run.images["mine"].shape == kept
    np.testing.assert_array_equal(run.images["mine"].ravel(), picture.ravel())


@pytest.mark.parametrize("thing", [print, Periodic, None, 3])
def test_only_a_callback_can_be_optional(thing: object) -> None:
    with pytest.raises(CallbackError, match=r"optional\(...\) requires a callback, not "):
        optional(thing)  # type: ignore[type-var]
