"""What callbacks log is written once, at its own step: in the loop, in a Model and in the test kit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from callbacks.events import points, read
from conftest import tiny_runner
from mindspore import dataset as ds
from mindspore import nn, train

from ms_gan_callbacks import (
    Callback,
    CallbackBus,
    CallbackError,
    Checkpoint,
    CollapseGuard,
    EarlyStopping,
    Evaluation,
    Event,
    Every,
    GanWarning,
    ImageGrid,
    MetricsLog,
    RecipeError,
    Run,
    TensorBoard,
    UsageError,
    Writer,
    for_model,
)
from ms_gan_callbacks.testing import Script, drive, make_run

PICTURE = np.zeros((2, 2), np.uint8)


class LogsAlways(Callback):
    """Logs a number and a picture at every event, and in check."""

    def __init__(self, name: str, order: int) -> None:
        self.name, self.order = name, order

    def check(self, run: Run) -> tuple[str, ...]:
        run.log({f"{self.name} check": 1})
        return ()

    def say(self, event: str, run: Run) -> None:
        run.log({f"{self.name} {event}": run.step, f"{self.name} picture of {event}": PICTURE})


class Takes(Writer):
    """Writes down what it is given, and where."""

    def __init__(self) -> None:
        super().__init__(Every.steps(8))
        self.numbers: list[tuple[int, str]] = []
        self.pictures: list[tuple[int, str]] = []

    def write(self, run: Run, values: Mapping[str, float]) -> None:
        self.numbers += [(run.step, name) for name in values]

    def write_images(self, run: Run, images: Mapping[str, Any]) -> None:
        self.pictures += [(run.step, name) for name in images]


class Diary(Callback):
    """Writes down every event, with what has been logged in it so far."""

    order = 500

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int, dict[str, float], list[str]]] = []


for _event in Event:

    def _say(self: Any, run: Run, event: str = _event.value) -> None:
        self.say(event, run)

    def _note(self: Any, run: Run, event: str = _event.value) -> None:
        self.told.append((event, run.step, run.epoch, dict(run.logged), sorted(run.images)))

    setattr(LogsAlways, _event.value, _say)
    setattr(Diary, _event.value, _note)


def model() -> tuple[train.Model, Any]:
    """Return a model of one layer, and four batches for it."""
    network = nn.Dense(3, 2)
    optimizer = nn.SGD(network.trainable_params())
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    inputs = {"x": np.ones((16, 3), np.float32), "y": np.zeros(16, np.int32)}
    batches = ds.NumpySlicesDataset(inputs, shuffle=False).batch(4)
    return train.Model(network, loss, optimizer, metrics={"m": train.Accuracy()}), batches


def rows(images: np.ndarray) -> np.ndarray:
    """Return an image's first row, for features that need no network."""
    return images[:, 0, 0].astype(np.float32)


def in_the_loop(*callbacks: Callback) -> None:
    images = np.zeros((16, 1, 4, 4), np.uint8)
    evaluation = Evaluation({"m": lambda real, fake: 0.5}, samples=8, extractor=rows)
    tiny_runner().train(2, images, callbacks, evaluation=evaluation, batch_size=4, quiet=True)


def in_a_model(*callbacks: Callback) -> None:
    fits, batches = model()
    fits.fit(2, batches, batches, callbacks=for_model(callbacks, "model", quiet=True))


def in_the_kit(*callbacks: Callback) -> None:
    drive(*callbacks, epochs=2, steps_per_epoch=4, metrics={"m": 0.5})


WORLDS = (in_the_loop, in_a_model, in_the_kit)


def test_all_worlds_tell_the_same_in_the_same_order_with_the_same_log() -> None:
    told = []
    for world in WORLDS:
        diary, takes = Diary(), Takes()
        world(LogsAlways("early", 0), takes, LogsAlways("late", 200), Checkpoint(), diary)
        ours = [entry for entry in takes.numbers if entry[1].startswith(("early", "late"))]
        told.append((diary.told, sorted(ours), sorted(takes.pictures)))
    assert told[0] == told[1] == told[2]
    events, numbers, pictures = told[0]
    expected = [(step, f"{who} {event}") for event, step, *_ in events for who in ("early", "late")]
    assert numbers == sorted([*expected, (0, "early check"), (0, "late check")])
    assert len(pictures) == 2 * len(events)


@pytest.mark.parametrize("world", [in_the_loop, in_a_model])
def test_no_file_has_a_line_twice(world: Any) -> None:
    folder = Path("run" if world is in_the_loop else "model")
    world(
        LogsAlways("late", 200),
        MetricsLog(Every.steps(4)),
        TensorBoard(Every.steps(4)),
        LogsAlways("early", 0),
        Checkpoint(),
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    events = read(folder)
    for who in ("early", "late"):
        for event, steps in (("on_train_begin", [0]), ("on_train_epoch_begin", [0, 4]), ("on_checkpoint", [4, 8])):
            name = f"{who} {event}"
            assert [line["step"] for line in lines if name in line] == steps
            tag = f"gan/{name}" if world is in_the_loop else f"model/{name}"
            assert [step for step, _ in points(events, tag)] == steps
    assert [line["step"] for line in lines if "late on_train_end" in line] == [8]


def test_a_run_that_goes_on_at_an_epochs_end_writes_its_beginning_once() -> None:
    class Begins(Callback):
        order = 200

        def on_train_epoch_begin(self, run: Run) -> None:
            run.log(began=run.epoch)

    class Dies(Callback):
        order = 300

        def on_train_step_begin(self, run: Run) -> None:
            if run.step == 6:
                raise KeyboardInterrupt

    def watched() -> list[Callback]:
        return [Begins(), MetricsLog(Every.steps(2))]

    script = Script(epochs=2, steps_per_epoch=5)
    states = script.play(*watched(), out_dir="whole").states
    with pytest.raises(KeyboardInterrupt):
        script.play(*watched(), Dies(), out_dir="run")
    assert '"epoch": 2, "began"' in Path("run/metrics.jsonl").read_text()
    script.play(*watched(), out_dir="run", start=5, states=states[5])
    assert Path("run/metrics.jsonl").read_bytes() == Path("whole/metrics.jsonl").read_bytes()


def test_what_is_logged_in_the_event_that_ends_a_run_is_written() -> None:
    class Fails(Callback):
        order = 200

        def on_train_step_end(self, run: Run) -> None:
            run.log(why=run.step)
            raise ValueError("enough")

    takes = Takes()
    with pytest.raises(ValueError, match="enough"):
        drive(takes, Fails())
    assert takes.numbers == [(1, "why")]


@pytest.mark.parametrize("event", ["on_train_begin", "on_train_epoch_begin", "on_checkpoint", "on_train_step_end"])
def test_a_watcher_sees_what_is_logged_at_any_event_and_after_its_turn(event: str) -> None:
    late = type("Late", (Callback,), {"order": 95, "publishes": ("mine",)})
    setattr(late, event, lambda self, run: run.log(mine=run.epoch))
    stopping = EarlyStopping("mine", mode="min", patience=3)
    trace = drive(stopping, late(), Checkpoint(Every.steps(1)), epochs=5)
    assert stopping.best is not None
    assert stopping.newest == (0 if event == "on_train_begin" else trace.run.epoch)


# Names


class Logs(Callback):
    def __init__(self, name: Any) -> None:
        self.text = name

    def on_train_step_end(self, run: Run) -> None:
        run.log({self.text: 1.0})


BAD = ["step", "epoch", "epoch_means", "", " ", "a  b", " a", "a\nb", "a\tb", "\x00"]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_wherever_one_is_given(name: str) -> None:
    with pytest.raises(RecipeError, match="a metric cannot be named"):
        Evaluation({name: lambda real, fake: 0.0})
    with pytest.raises(ValueError, match=r"run.log\("):
        drive(Logs(name))
    publishes = type("Publishes", (Callback,), {"publishes": (name,)})
    with pytest.raises(CallbackError, match="Publishes publishes"):
        CallbackBus([publishes()])
    with pytest.raises(UsageError, match=r"for_model\(outputs=...\) contains"):
        for_model([], "run", outputs=("loss", name))
    for where in ("scalars", "metrics"):
        with pytest.raises(UsageError, match="invalid name of a scalar or metric"):
            drive(**{where: {name: 1.0}})
    with pytest.raises(UsageError, match="invalid name of a scalar or metric"):
        make_run(metrics={name: 1.0})
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("d_loss", "is a scalar of every step"),
        ("value", "is a scalar of every step"),
        ("gan/d_loss", "is a scalar of every step"),
        ("fld", "is a metric of this run"),
        ("metrics/fld", "is a metric of this run"),
        ("performance/steps_per_second", "the TensorBoard group performance/ is reserved"),
        (3, "a name must be a string, not 3"),
    ],
)
def test_a_name_that_stands_for_something_is_not_logged(name: Any, why: str) -> None:
    with pytest.raises(ValueError, match=r"run.log\(.*=...\): .*" + why):
        drive(Logs(name), metrics={"fld": 1.0})


@pytest.mark.parametrize("name", ["mine", "FID of 50k", "gap/epoch", "gan/mine", "D(x)", "d_loss_of_validation"])
def test_other_names_are_taken(name: str) -> None:
    assert drive(Logs(name), epochs=1, metrics={"m": 1.0}).logged[0] == (1, name, 1.0)


def test_a_picture_may_be_called_as_a_number_is() -> None:
    trace = drive(ImageGrid(rows=1, columns=1, folder="performance"), epochs=1)
    assert trace.images == [(5, "performance/grid")]


def test_what_callbacks_publish_is_nothing_that_the_run_does() -> None:
    for name, why in (("d_real", "is a scalar of every step"), ("fld", "is a metric of this run")):
        publishes = type("Publishes", (Callback,), {"publishes": (name,)})
        with pytest.raises(CallbackError, match=f"Publishes publishes '{name}', which {why}"):
            drive(publishes(), metrics={"fld": 1.0})


def test_two_that_publish_one_name_are_warned_of() -> None:
    guards = [CollapseGuard(name="one", samples=4), CollapseGuard(name="two", samples=4)]
    assert "one and two publish the same name, diversity: only the last one is kept" in drive(*guards).warnings


def test_a_metric_is_not_called_as_what_a_callback_publishes(images: np.ndarray) -> None:
    evaluation = Evaluation({"diversity": lambda real, fake: 0.0}, samples=8)
    with pytest.raises(UsageError, match="a metric cannot be named 'diversity': a callback logs it"):
        tiny_runner().train(1, images, [CollapseGuard()], evaluation=evaluation, batch_size=4, quiet=True)


def test_a_model_metric_of_a_taken_name_gets_another_and_survives_a_resume() -> None:
    fits, batches = model()
    fits._metric_fns = {"step": train.Accuracy()}
    callback = for_model([MetricsLog(), Checkpoint()], "run", quiet=True)
    fits.fit(1, batches, batches, callbacks=callback)
    resumed = for_model([MetricsLog(), Checkpoint()], "run", quiet=True, resume=True)
    fits.fit(2, batches, batches, callbacks=resumed, initial_epoch=1)
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["eval_step"]) for line in lines if "eval_step" in line] == [(4, 1.0), (8, 1.0)]


def test_an_output_is_named_once() -> None:
    with pytest.raises(UsageError, match=r"for_model\(outputs=...\) contains 'loss' twice"):
        for_model([], "run", outputs=("loss", "loss"))


def test_metrics_that_are_never_measured_are_warned_of(images: np.ndarray) -> None:
    pixels = Evaluation({"m": lambda real, fake: 0.0}, Every.epochs(3), 8, rows)
    with pytest.warns(
        GanWarning, match=r"metrics are never measured: Every.epochs\(3\) is longer than this run of 2"
    ):
        tiny_runner().train(2, images, evaluation=pixels, batch_size=4, quiet=True)
