"""A run that is resumed ends in the same bytes as one that never ended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_same_weights, tiny_runner, weights_of
from mindspore import dataset as ds
from mindspore import nn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ms_gan_callbacks import (
    ArraySource,
    Callback,
    Checkpoint,
    EarlyStopping,
    Evaluation,
    Every,
    GanWarning,
    ImageGrid,
    RecipeError,
    Run,
    RunDirError,
    Runner,
    TensorBoard,
    UsageError,
    thumbnails,
)
from ms_gan_callbacks.errors import CheckpointError, Interrupted
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.training.loop import NoInterruption
from ms_gan_callbacks.training.resume import check_changes

EPOCHS, STEPS = 3, 15


class StopsAfter(Callback):
    """Interrupts a run after a step, as a signal does."""

    order = -100

    def __init__(self, step: int) -> None:
        self.step, self.interruption = step, NoInterruption()

    def on_train_step_begin(self, run: Run) -> None:
        if run.step == self.step:
            self.interruption.received = 2


class Counts(Callback):
    """Keeps a state that depends on every step."""

    persistent = ("sum",)

    def __init__(self) -> None:
        self.sum = 0.0

    def on_train_step_end(self, run: Run) -> None:
        self.sum += run.scalars["d_loss"]
        if run.step % 4 == 0:
            run.log(sum=self.sum)


def callbacks(*more: Callback) -> list[Callback]:
    return [
        TensorBoard(Every.steps(2)),
        ImageGrid(Every.steps(3), rows=2, columns=2),
        EarlyStopping("d_real", target=0.5, patience=2),
        Checkpoint(Every.epochs(1), keep=None),
        Counts(),
        *more,
    ]


def array(images: np.ndarray) -> ArraySource:
    return ArraySource(images, batch_size=4)


def pipeline(images: np.ndarray) -> ds.Dataset:
    return ds.NumpySlicesDataset((images,), ["image"], shuffle=True).batch(4, drop_remainder=True)


def interrupted_at(step: int, out_dir: str, data: object) -> None:
    stop = StopsAfter(step)
    with pytest.raises(Interrupted, match=f"interrupted and saved at step {step}; resume with: ms-gan resume"):
        tiny_runner(out_dir, interruption=stop.interruption).train(EPOCHS, data, callbacks(stop), quiet=True)
    assert Path(out_dir, "checkpoints", f"step-{step:08d}").is_dir()


def curves(out_dir: str) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(f"{out_dir}/tensorboard", size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    found = {
        tag: [(point.step, point.value) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("performance/")
    }
    return found | {
        tag: [(image.step, image.encoded_image_string) for image in events.Images(tag)]
        for tag in events.Tags()["images"]
    }


def same_bytes(left: str, right: str) -> None:
    for pattern in ("metrics.jsonl", "samples/*.png", f"checkpoints/step-{STEPS:08d}/*"):
        ours = {path.relative_to(left): path.read_bytes() for path in Path(left).glob(pattern)}
        theirs = {path.relative_to(right): path.read_bytes() for path in Path(right).glob(pattern)}
        if "checkpoints" in pattern:
            for files in (ours, theirs):  # who asked for which checkpoint differs: one was asked for by a signal
                state = next(path for path in files if path.name == "state.json")
                files[state] = json.dumps(json.loads(files[state]) | {"kept": None}).encode()
                del files[state.with_name("manifest.json")]
        assert ours and ours == theirs, pattern
    assert curves(left) == curves(right)


FRESH = (pytest.mark.slow, pytest.mark.fresh_players)


@pytest.mark.parametrize(
    ("source", "step"),
    [
        (array, 7),
        pytest.param(pipeline, 7, marks=FRESH),
        *(pytest.param(kind, step, marks=FRESH) for kind, step in ((array, 1), (array, 14), (pipeline, 10))),
    ],
)
def test_a_resumed_run_ends_in_the_same_bytes(source: Callable, step: int, images: np.ndarray) -> None:
    whole = tiny_runner("whole")
    whole.train(EPOCHS, source(images), callbacks(), quiet=True)
    interrupted_at(step, "parts", source(images))
    Path("parts").rename("moved")
    resumed = tiny_runner("moved", resume=True)
    result = resumed.train(EPOCHS, source(images), callbacks(), quiet=True)
    assert (result.step, result.epoch) == (STEPS, EPOCHS)
    assert_same_weights(weights_of(whole), weights_of(resumed))
    same_bytes("whole", "moved")


class Dies(Callback):
    """Ends a run without a word, as a kill does: nothing is saved, nothing closed in order."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_step_end(self, run: Run) -> None:
        if run.step == self.step:
            raise KeyboardInterrupt


def test_a_run_that_died_between_checkpoints_goes_back_and_leaves_no_double_line(images: np.ndarray) -> None:
    tiny_runner("whole").train(EPOCHS, array(images), callbacks(), quiet=True)
    with pytest.raises(KeyboardInterrupt):
        tiny_runner("parts").train(EPOCHS, array(images), callbacks(Dies(9)), quiet=True)
    with Path("parts/metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "torn')  # by a kill
    for events in Path("parts/tensorboard").iterdir():
        events.write_bytes(events.read_bytes()[:-3])
    tiny_runner("parts", resume=True).train(EPOCHS, array(images), callbacks(), quiet=True)
    same_bytes("whole", "parts")


def test_a_run_that_died_before_its_first_checkpoint_starts_over(images: np.ndarray) -> None:
    tiny_runner("whole").train(EPOCHS, array(images), callbacks(), quiet=True)
    with pytest.raises(KeyboardInterrupt):
        tiny_runner("parts").train(EPOCHS, array(images), callbacks(Dies(3)), quiet=True)
    with pytest.warns(GanWarning, match="parts does not contain a checkpoint: training starts from"):
        tiny_runner("parts", resume=True).train(EPOCHS, array(images), callbacks(), quiet=True)
    same_bytes("whole", "parts")


@pytest.mark.slow
def test_a_finished_run_is_extended_as_if_it_had_been_longer_from_the_start(images: np.ndarray) -> None:
    tiny_runner("whole").train(EPOCHS, array(images), callbacks(), quiet=True)
    tiny_runner("parts").train(1, array(images), callbacks()[:2] + callbacks()[3:], quiet=True)
    with pytest.raises(UsageError, match=r"this run is complete \(1 epoch\); pass --set"):
        tiny_runner("parts", resume=True).train(1, array(images), quiet=True)
    tiny_runner("parts", resume=True).train(EPOCHS, array(images), [*callbacks()], quiet=True)
    kept = [
        Path(name, f"checkpoints/step-{STEPS:08d}/weights.safetensors").read_bytes() for name in ("whole", "parts")
    ]
    assert kept[0] == kept[1]
    history = json.loads(Path("parts/run.json").read_text())["history"]
    assert [entry["from_step"] for entry in history] == [5]


def test_an_older_checkpoint_can_be_gone_back_to_and_newer_ones_are_set_aside(images: np.ndarray) -> None:
    tiny_runner("whole").train(EPOCHS, array(images), callbacks(), quiet=True)
    shutil.copytree("whole", "parts")
    tiny_runner("parts", resume=5).train(EPOCHS, array(images), callbacks(), quiet=True)
    same_bytes("whole", "parts")
    assert sorted(path.name for path in Path("parts/checkpoints/set-aside").iterdir()) == [
        "step-00000010",
        "step-00000015",
    ]
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        tiny_runner("parts", resume=6).train(EPOCHS, array(images), callbacks(), quiet=True)


@pytest.mark.slow
def test_other_data_seed_or_batch_size_is_refused_unless_allowed_and_then_written_down(images: np.ndarray) -> None:
    interrupted_at(7, "run", array(images))
    before = {
        path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file() and path.name != ".lock"
    }
    other = ArraySource(images[::-1].copy(), batch_size=4)
    with pytest.raises(RunDirError, match=r"this run has data = .*--allow-change data"):
        tiny_runner("run", resume=True).train(EPOCHS, other, callbacks(), quiet=True)
    with pytest.raises(RunDirError, match=r"this run has seed = 0, not 1; .*--allow-change seed"):
        tiny_runner("run", resume=True, seed=1).train(EPOCHS, array(images), callbacks(), quiet=True)
    after = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before
    tiny_runner("run", resume=True, allow_change=["data"]).train(EPOCHS, other, callbacks(), quiet=True)
    [entry] = json.loads(Path("run/run.json").read_text())["history"]
    assert list(entry["changes"]) == ["data"]


def test_other_networks_are_refused_by_name(images: np.ndarray) -> None:
    interrupted_at(7, "run", array(images))
    from conftest import TinyGenerator

    with pytest.raises(RunDirError, match="noise_dim = 3, not 5"):
        tiny_runner("run", resume=True, generator=lambda: TinyGenerator(5), noise_dim=5).train(
            EPOCHS, array(images), callbacks(), quiet=True
        )
    with pytest.raises(CheckpointError, match=r"of other networks: generator.layers.0.weight is float32 \(8, 3\)"):
        tiny_runner(
            "run", resume=True, generator=lambda: TinyGenerator(5), noise_dim=5, allow_change=["noise_dim"]
        ).train(EPOCHS, array(images), callbacks(), quiet=True)


@pytest.mark.parametrize(
    ("folder", "message"), [("none", "run directory not found: none"), (".", "is not a run directory")]
)
def test_what_holds_no_run_cannot_be_resumed(folder: str, message: str) -> None:
    with pytest.raises(RunDirError, match=message):
        Runner.resume(folder)
    with pytest.raises(RunDirError, match=message):
        tiny_runner(folder, resume=True)


class Notes(Callback):
    """Remembers the steps at which epochs begin and end, and how many images each step had."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []

    def on_train_epoch_begin(self, run: Run) -> None:
        self.begun.append((run.epoch, run.step))

    def on_train_epoch_end(self, run: Run) -> None:
        self.ended.append((run.epoch, run.step))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interrupted", "begun", "ended"),
    [
        # 20 images in batches of 4, then of 2: ten steps an epoch. Epoch 2 begins after step 5.
        (5, [(2, 5), (3, 15)], [(2, 15), (3, 25)]),
        # In the middle of epoch 2: three of its batches, 12 images, are used, and four of 2 are left.
        (8, [(3, 12)], [(2, 12), (3, 22)]),
    ],
)
def test_a_run_goes_on_with_another_batch_size_behind_the_images_it_has_used(
    interrupted: int, begun: list, ended: list, images: np.ndarray
) -> None:
    interrupted_at(interrupted, "run", array(images))
    notes = Notes()
    callbacks_now = callbacks(StopsAfter(99), notes)
    runner = tiny_runner("run", resume=True, allow_change=["batch_size"])
    result = runner.train(3, ArraySource(images, batch_size=2), callbacks_now, quiet=True)
    assert (notes.begun, notes.ended) == (begun, ended)
    assert (result.epoch, result.step) == (3, ended[-1][1])
    # And once more, with what has changed already.
    later = Notes()
    runner = tiny_runner("run", resume=True)
    runner.train(4, ArraySource(images, batch_size=2), callbacks(StopsAfter(99), later), quiet=True)
    assert later.ended == [(4, ended[-1][1] + 10)]


@pytest.mark.parametrize(("old", "new"), [(8, 4), (4, 8), (8, 3), (3, 8), (5, 5), (1, 9)])
def test_epochs_of_another_length_are_counted_from_where_they_begin(old: int, new: int) -> None:
    for step in range(1, 3 * old + 1):
        progress = Progress(9, old, step=step, epoch=-(-step // old))
        share = step % old / old
        done_before = progress.next_epoch - 1
        progress.change_length(new, (new, old))
        assert progress.next_epoch - 1 == done_before
        done = progress.begin(progress.next_epoch)
        assert 0 <= done < new
        assert done >= min(share * new, new - 1) > done - 1
        assert progress.steps == step + (9 - done_before) * new - done
        progress.step += new - done
        assert progress.ends_epoch


class SeesMetrics(Callback):
    def on_train_begin(self, run: Run) -> None:
        self.seen = dict(run.metrics)


def test_a_metric_that_is_not_measured_any_more_is_forgotten(images: np.ndarray) -> None:
    def measure(*names: str) -> Evaluation:
        metrics = {name: lambda real, fake: float(abs(real.images.mean() - fake.images.mean())) for name in names}
        return Evaluation(metrics, samples=8, extractor=thumbnails)

    first = tiny_runner().train(1, array(images), Checkpoint(), evaluation=measure("gap", "other"), quiet=True)
    sees = SeesMetrics()
    tiny_runner(resume=True).train(2, array(images), [Checkpoint(), sees], evaluation=measure("gap"), quiet=True)
    assert sees.seen == {"gap": first.metrics["gap"]}


def test_a_state_without_its_callback_is_dropped_with_a_warning(images: np.ndarray) -> None:
    tiny_runner().train(1, array(images), [Checkpoint(), Counts()], quiet=True)
    with pytest.warns(GanWarning, match="contains the state of Counts, which is not attached to this run"):
        tiny_runner(resume=True).train(2, array(images), Checkpoint(), quiet=True)


OLD = {"seed": 0, "noise_dim": 3, "batch_size": 4, "data": {"sha256": "a"}}


def test_what_an_older_run_did_not_write_down_it_did_not_have() -> None:
    now = {**OLD, "objective": "NonSaturating()", "generator_every": 1, "ema": None, "classes": None}
    assert check_changes(Manifest.of(OLD), Manifest.of(now), ()) == {}
    assert check_changes(Manifest.of(OLD), Manifest.of({**now, "ema": 0.9}), ["ema"]) == {"ema": (None, 0.9)}
    with pytest.raises(RunDirError, match=r"has generator_every = 1, not 2; .*--allow-change generator_every"):
        check_changes(Manifest.of(OLD), Manifest.of({**now, "generator_every": 2}), ())
    with pytest.raises(RunDirError, match=r"has objective = 'Hinge\(\)', not 'NonSaturating\(\)'"):
        check_changes(Manifest.of({**OLD, "objective": "Hinge()"}), Manifest.of(now), ())


@pytest.mark.slow
def test_a_list_of_learning_rates_that_is_too_short_for_more_epochs_is_refused(images: np.ndarray) -> None:
    rates = partial(nn.Adam, learning_rate=[1e-3] * 10)
    tiny_runner(optimizer=rates).train(1, array(images), Checkpoint(), quiet=True)
    with pytest.raises(RecipeError, match="has 10 learning rates, but this run updates it 15 times"):
        tiny_runner(optimizer=rates, resume=True).train(3, array(images), Checkpoint(), quiet=True)
