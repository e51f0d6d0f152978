"""The loop: order of events, randomness by step, one commit point, a folder that tells what it holds."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from conftest import TinyDiscriminator, TinyGenerator, adam, assert_same_weights, tiny_runner, weights_of
from safetensors.numpy import load_file

from ms_gan_callbacks import (
    ArraySource,
    Callback,
    Checkpoint,
    Event,
    Every,
    GanWarning,
    ImageGrid,
    NonSaturating,
    Recipe,
    RecipeError,
    Run,
    RunDirError,
    Runner,
    RunResult,
    TensorBoard,
    UsageError,
)

SCALARS = ["d_loss", "g_loss", "d_real", "d_fake", "value"]


def recorder(hooks: list[str] | None = None) -> Callback:
    """Return a callback that records (hook, epoch, step) of every event."""
    trace: list[tuple[str, int, int]] = []

    def record(name: str) -> object:
        return lambda self, run: trace.append((name, run.epoch, run.step))

    names = hooks or [event.value for event in Event]
    callback = type("Recorder", (Callback,), {name: record(name) for name in names})()
    callback.trace = trace
    return callback


def test_events_come_in_the_documented_order(images: np.ndarray) -> None:
    seen = recorder()
    tiny_runner().train(2, images[:8], [seen, Checkpoint(Every.epochs(1))], batch_size=4, quiet=True)
    expected: list[tuple[str, int, int]] = [("on_train_begin", 0, 0)]
    for epoch in (1, 2):
        last = 2 * epoch
        expected += [
            ("on_train_epoch_begin", epoch, last - 2),
            ("on_train_step_begin", epoch, last - 1),
            ("on_train_step_end", epoch, last - 1),
            ("on_train_step_begin", epoch, last),
            ("on_train_step_end", epoch, last),
            ("on_train_epoch_end", epoch, last),
            ("on_checkpoint", epoch, last),
        ]
    assert seen.trace == [*expected, ("on_train_end", 2, 4)]


class Keeps(Callback):
    """Keeps every step's scalars."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_step_end(self, run: Run) -> None:
        self.steps.append(dict(run.scalars))


def test_scalars_are_published_every_step_and_the_epochs_mean_is_theirs(images: np.ndarray) -> None:
    kept = Keeps()
    result = tiny_runner().train(2, images, [kept], batch_size=4, quiet=True)
    assert len(kept.steps) == 10
    assert all(list(step) == SCALARS for step in kept.steps)
    assert len({step["d_loss"] for step in kept.steps}) == 10, "a later step's values stand in an earlier one's"
    for name in SCALARS:
        assert result.scalars[name] == pytest.approx(np.mean([step[name] for step in kept.steps[5:]]), rel=1e-12)


@pytest.mark.slow
def test_scalars_nobody_reads_at_their_step_are_right_all_the_same(images: np.ndarray) -> None:
    kept = Keeps()
    data = ArraySource(np.repeat(images, 60, axis=0), batch_size=4)  # 300 steps: more than one bunch
    assert data.steps_per_epoch == 300
    read_each_step = tiny_runner("a").train(1, data, [kept], quiet=True)
    read_at_the_end = tiny_runner("b").train(1, data, quiet=True)
    assert read_at_the_end.scalars == read_each_step.scalars


def test_training_in_two_calls_is_training_in_one(images: np.ndarray) -> None:
    whole, parts = tiny_runner("whole"), tiny_runner("parts")
    whole.train(3, images, batch_size=4, quiet=True)
    parts.train(1, images, batch_size=4, quiet=True)
    result = parts.train(2, images, batch_size=4, quiet=True)
    assert (result.epoch, result.step) == (3, 15)
    assert_same_weights(weights_of(whole), weights_of(parts))
    assert Path("whole/metrics.jsonl").read_bytes() == Path("parts/metrics.jsonl").read_bytes()
    assert Path("whole/metrics.jsonl").read_text().count("epoch_means") == 3


class StopsAt(Callback):
    def on_train_step_end(self, run: Run) -> None:
        if run.step == 7:
            run.stop("the seventh step")
            run.stop("a later reason")


def test_a_callback_stops_the_run_in_mid_epoch_and_training_goes_on_from_there(images: np.ndarray) -> None:
    whole, parts = tiny_runner("whole"), tiny_runner("parts")
    whole.train(3, images, batch_size=4, quiet=True)
    seen = recorder(["on_train_epoch_begin", "on_train_epoch_end", "on_train_end"])
    stopped = parts.train(2, images, [StopsAt(), seen], batch_size=4, quiet=True)
    assert (stopped.step, stopped.epoch, stopped.stop_reason) == (7, 2, "the seventh step")
    assert seen.trace[-1] == ("on_train_end", 2, 7)
    again = recorder(["on_train_epoch_begin", "on_train_epoch_end"])
    parts.train(1, images, [again], batch_size=4, quiet=True)
    # The second epoch had begun already: it is finished, not begun again.
    assert again.trace == [
        ("on_train_epoch_end", 2, 10),
        ("on_train_epoch_begin", 3, 10),
        ("on_train_epoch_end", 3, 15),
    ]
    assert_same_weights(weights_of(whole), weights_of(parts))


@pytest.mark.slow
@pytest.mark.parametrize(
    "callbacks",
    [
        pytest.param([ImageGrid(Every.steps(1), rows=2, columns=2)], marks=pytest.mark.slow),
        [ImageGrid(Every.epochs(1)), TensorBoard(Every.steps(2)), Checkpoint(Every.steps(3))],
        pytest.param([recorder(), Keeps()], marks=pytest.mark.slow),
    ],
    ids=["grid every step", "all built in", "readers"],
)
def test_watching_leaves_training_undisturbed_to_the_bit(callbacks: list[Callback], images: np.ndarray) -> None:
    alone, watched = tiny_runner("alone"), tiny_runner("watched", fresh=True)
    alone.train(2, images, batch_size=4, quiet=True)
    watched.train(2, images, callbacks, batch_size=4, quiet=True)
    assert_same_weights(weights_of(alone), weights_of(watched))


def test_the_seed_decides_everything(images: np.ndarray) -> None:
    runs = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        runs[name] = tiny_runner(name, seed=seed, fresh=name == "b")  # nor who has used the networks before
        np.random.seed(len(runs))  # what the host process draws does not matter
        runs[name].train(1, images, batch_size=4, quiet=True)
    assert_same_weights(weights_of(runs["a"]), weights_of(runs["b"]))
    assert weights_of(runs["a"])["generator.layers.0.weight"].tolist() != (
        weights_of(runs["c"])["generator.layers.0.weight"].tolist()
    )
    assert np.array_equal(runs["a"].sample(3), runs["b"].sample(3))


@pytest.mark.slow
def test_a_run_leaves_the_host_process_as_it_was(images: np.ndarray) -> None:
    np.random.seed(9)
    expected = np.random.random(2).tolist()
    np.random.seed(9)
    before = (ms.get_context("mode"), ms.get_seed())
    tiny_runner(fresh=True).train(1, images, [ImageGrid(Every.epochs(1))], batch_size=4, quiet=True)
    assert (ms.get_context("mode"), ms.get_seed()) == before
    assert np.random.random(2).tolist() == expected


class Checks(Callback):
    """Notes what is on the disk when the events of a step are told."""

    def __init__(self) -> None:
        self.before: list[bool] = []
        self.after: list[str] = []

    def on_train_epoch_end(self, run: Run) -> None:
        self.before.append((run.out_dir / "checkpoints" / f"step-{run.step:08d}").exists())

    def on_checkpoint(self, run: Run) -> None:
        assert run.checkpoint is not None and (run.checkpoint / "manifest.json").is_file()
        self.after.append(run.checkpoint.name)


def test_a_checkpoint_is_written_once_all_events_of_its_step_are_told(images: np.ndarray) -> None:
    seen = Checks()
    runner = tiny_runner()
    runner.train(3, images, [Checkpoint(Every.steps(5), keep=2), seen], batch_size=4, quiet=True)
    assert seen.before == [False] * 3
    assert seen.after == ["step-00000005", "step-00000010", "step-00000015"]
    kept = sorted(path.name for path in Path("run/checkpoints").iterdir())
    assert kept == ["step-00000010", "step-00000015"]
    saved = load_file("run/checkpoints/step-00000015/weights.safetensors")
    assert_same_weights(saved, weights_of(runner))
    state = json.loads(Path("run/checkpoints/step-00000015/state.json").read_text())
    assert state["progress"]["step"] == 15
    assert state["progress"]["d_updates"] == state["progress"]["g_updates"] == 15


def test_the_folder_tells_what_the_run_was_made_of(images: np.ndarray) -> None:
    result = tiny_runner(seed=4).train(1, ArraySource(images, batch_size=4, name="noise"), quiet=True)
    facts = json.loads((result.out_dir / "run.json").read_text())
    assert facts["seed"] == 4
    assert facts["data"]["name"] == "noise"
    assert facts["data"]["count"] == 20
    assert len(facts["data"]["sha256"]) == 64
    assert facts["versions"]["mindspore"] == ms.__version__
    assert facts["device"] == "CPU"


def test_images_are_sampled_by_name_and_judged_held_out(images: np.ndarray) -> None:
    runner = tiny_runner()
    runner.train(2, images, batch_size=4, quiet=True)
    drawn = runner.sample(70)
    assert drawn.shape == (70, 1, 4, 4)
    assert np.abs(drawn).max() <= 1
    assert np.array_equal(runner.sample(70), drawn)
    assert not np.array_equal(runner.sample(70, "another"), drawn)
    table = runner.eval(images)
    logits = runner._players.score((images / 127.5 - 1).astype(np.float32)).astype(np.float64)
    assert list(table) == SCALARS
    assert table["d_real"] == pytest.approx((1 / (1 + np.exp(-logits))).mean(), abs=1e-6)
    assert table["value"] == pytest.approx(-table["d_loss"], abs=1e-5)


@pytest.mark.slow
def test_cells_and_pipelines_work_without_recipe_or_factory(images: np.ndarray) -> None:
    pipeline = ms.dataset.NumpySlicesDataset((images,), column_names=["image"], shuffle=False)
    runner = tiny_runner(generator=TinyGenerator(), discriminator=TinyDiscriminator())
    result = runner.train(2, pipeline.batch(4, drop_remainder=True), quiet=True)
    assert (result.step, result.data["sha256"]) == (10, None)


def test_a_recipe_is_the_declarative_form_of_the_same_arguments(images: np.ndarray) -> None:
    described = Recipe(
        generator=TinyGenerator,
        discriminator=TinyDiscriminator,
        objective=NonSaturating(),
        optimizer=adam,
        data=partial(ArraySource, images, batch_size=4),
        noise_dim=3,
        epochs=2,
        callbacks=[ImageGrid(Every.epochs(1))],
    )
    by_recipe, by_hand = Runner.from_recipe(described, "recipe"), tiny_runner("hand")
    assert by_recipe.train(quiet=True).step == 10
    by_hand.train(2, images, batch_size=4, quiet=True)
    assert_same_weights(weights_of(by_recipe), weights_of(by_hand))
    assert sorted(path.name for path in Path("recipe/samples").iterdir()) == ["epoch-0001.png", "epoch-0002.png"]


def test_schedules_beyond_the_run_and_shared_files_are_told_before_the_first_step(images: np.ndarray) -> None:
    callbacks = [Checkpoint(Every.epochs(5)), ImageGrid(Every.epochs(1)), ImageGrid(Every.epochs(1), rows=2)]
    with pytest.warns(GanWarning) as warned:
        tiny_runner().train(1, images, callbacks, batch_size=4, quiet=True)
    texts = [str(warning.message) for warning in warned]
    assert texts == [
        "Checkpoint: Every.epochs(5) is longer than this run of 1 epoch; it acts only once, after the last step",
        "ImageGrid (1) and ImageGrid (2) write the same files, samples/epoch-*.png: only the last one is kept",
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), RecipeError, "epochs must be a whole number of at least 1, got 0"),
        ((-3,), RecipeError, "epochs must be a whole number of at least 1, got -3"),
        ((1.5,), RecipeError, "epochs must be a whole number of at least 1, got 1.5"),
        ((True,), RecipeError, "epochs must be a whole number of at least 1, got True"),
        ((None,), UsageError, r"train\(epochs, data\) needs both"),
    ],
)
def test_train_refuses_what_is_no_number_of_epochs(
    arguments: tuple, error: type[Exception], message: str, images: np.ndarray
) -> None:
    with pytest.raises(error, match=message):
        tiny_runner().train(*arguments, images, batch_size=4, quiet=True)
    assert not Path("run").exists()


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_data_only(images: np.ndarray) -> None:
    runner = tiny_runner()
    runner.train(1, images, batch_size=4, quiet=True)
    with pytest.raises(UsageError, match="started with different data or another batch size"):
        runner.train(1, images, batch_size=5, quiet=True)
    with pytest.raises(UsageError, match="create a new Runner for other data, with the same cells"):
        runner.train(1, images[::-1], batch_size=4, quiet=True)
    other = tiny_runner("other", generator=runner.generator, discriminator=runner.discriminator)
    assert other.train(1, images[::-1], batch_size=5, quiet=True).step == 4


class FailsAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_step_end(self, run: Run) -> None:
        if run.step == self.step:
            raise OSError("no more")


class Jams(TinyDiscriminator):
    def construct(self, images: ms.Tensor) -> ms.Tensor:
        try:
            return super().construct(images)
        except ValueError:
            return images


def test_a_run_that_never_took_a_step_leaves_no_folder_and_one_that_did_keeps_it(images: np.ndarray) -> None:
    with pytest.raises(RuntimeError, match="Unsupported statement 'Try'"):
        tiny_runner(discriminator=Jams).train(1, images, batch_size=4, quiet=True)
    assert not Path("run").exists()
    with pytest.raises(OSError, match="no more"):
        tiny_runner().train(1, images, [FailsAt(2)], batch_size=4, quiet=True)
    assert Path("run/run.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_dim": 0}, "noise_dim must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"device": "TPU"}, "the installed MindSpore cannot use device TPU"),
    ],
)
def test_a_runner_refuses_settings_in_one_line(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        tiny_runner(**changes)
    assert "\n" not in str(caught.value)


DEAD = 2**22 + 1
"""The number of no process: more than Linux gives."""


def test_a_folder_that_is_taken_is_refused_and_left_alone(images: np.ndarray) -> None:
    tiny_runner("run").train(1, images, batch_size=4, quiet=True)
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with pytest.raises(RunDirError, match="run already contains a run"):
        tiny_runner("run")
    Path("begun").mkdir()
    for name in (".lock", f".run.json.{DEAD}.ms-gan.tmp"):  # killed before run.json was there
        Path("begun", name).write_text("")
    assert tiny_runner("begun").train(1, images, batch_size=4, quiet=True).step == 5
    Path("other").mkdir()
    Path("other/notes.txt").write_text("mine")
    with pytest.raises(RunDirError, match=r"other contains other files \(notes.txt\)"):
        tiny_runner("other")
    with pytest.raises(RunDirError, match="is a file"):
        tiny_runner("other/notes.txt")
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_what_a_killed_process_left_half_written_is_swept_up(images: np.ndarray) -> None:
    tiny_runner("run").train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    leftovers = [Path("run", f"{name}.{DEAD}.ms-gan.tmp") for name in (".run.json", "samples/.epoch-0001.png")]
    kept = [Path("run", name) for name in (".notes.tmp", ".notes.12.tmp", "samples/.mine.6")]
    Path("run/samples").mkdir()
    for path in leftovers + kept:
        path.write_text("half")
    tiny_runner("run", resume=True).train(2, images, [Checkpoint()], batch_size=4, quiet=True)
    assert not any(path.exists() for path in leftovers)
    assert all(path.read_text() == "half" for path in kept)


def test_runs_without_a_folder_get_fresh_ones() -> None:
    first = tiny_runner(None)
    first.out_dir.mkdir(parents=True)
    second = tiny_runner(None)
    assert first.out_dir.parent == Path("runs")
    assert first.out_dir != second.out_dir


def test_the_summary_says_where_everything_is_why_it_ended_and_what_callbacks_took(
    images: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    callbacks = [TensorBoard(Every.steps(5)), ImageGrid(Every.epochs(1)), Checkpoint(), StopsAt()]
    tiny_runner().train(2, images, callbacks, batch_size=4)
    text = capsys.readouterr().out
    for expected in (
        "stopped: the seventh step",
        "samples/step-00000007.png",
        "checkpoints/step-00000007",
        "tensorboard --logdir run",
        "array, 20 images",
    ):
        assert expected in text
    shares = next(line for line in text.splitlines() if line.startswith("callbacks' time"))
    assert all(name in shares for name in ("TensorBoard", "ImageGrid", "Checkpoint", "StopsAt", "MetricsLog"))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (179.7, "3 min 0 s"),
        (61, "1 min 1 s"),
        (7325, "2 h 2 min"),
    ],
)
def test_a_duration_has_less_than_sixty_seconds_and_minutes(seconds: float, told: str) -> None:
    result = RunResult(Path("run"), 1, 1, seconds, 1.0, None, {}, {}, {}, {})
    assert f"; {told}, 1 steps/s" in result.summary()
