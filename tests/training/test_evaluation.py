"""Metrics while a run trains: when they are computed, who is told, what may stop because of them."""

from __future__ import annotations

import json
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import StopsAt, assert_same_weights, tiny_runner, weights_of
from mindspore import Tensor
from safetensors.numpy import load_file

from ms_gan_callbacks import (
    BestCheckpoint,
    Callback,
    CallbackError,
    Checkpoint,
    DivergenceError,
    DivergenceGuard,
    EarlyStopping,
    Estimate,
    Evaluation,
    Every,
    GanError,
    RecipeError,
    Run,
    RunResult,
    Sample,
    UsageError,
    classifier_score,
    coverage,
    density,
    diversity,
    fld,
    kid,
    kl_to_uniform,
    lower_is_better,
    modes,
    precision,
    recall,
    stream,
)
from ms_gan_callbacks.metrics.direction import read_mode
from ms_gan_callbacks.metrics.sample import Metric


def pixels(images: np.ndarray) -> np.ndarray:
    """Return each image's pixels, for features that need no network."""
    return images.reshape(len(images), -1).astype(np.float32)


def mean_gap(real: Sample, fake: Sample) -> float:
    """Return how far apart the mean features are."""
    return float(np.abs(real.features.mean(0) - fake.features.mean(0)).mean())


def evaluation(**changes: Any) -> Evaluation:
    return Evaluation(**{"metrics": {"gap": mean_gap}, "samples": 8, "extractor": pixels, **changes})


class Watches(Callback):
    """Notes when evaluations were told, their values, and what they were made of."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float]] = []
        self.fakes: list[np.ndarray] = []

    def on_eval_end(self, run: Run) -> None:
        self.told.append((run.step, run.metrics["gap"]))
        self.fakes.append(run.sample(8, "evaluation"))


def train(*callbacks: Callback, images: np.ndarray, epochs: int = 2, **changes: Any) -> RunResult:
    return tiny_runner().train(
        epochs, images, callbacks, evaluation=evaluation(**changes), batch_size=4, quiet=True
    )


@pytest.mark.parametrize(
    ("every", "steps"), [(Every.epochs(1), [5, 10]), (Every.steps(4), [4, 8]), (Every.epochs(2), [10])]
)
def test_it_happens_when_due_and_everybody_hears(every: Every, steps: list[int], images: np.ndarray) -> None:
    watch = Watches()
    result = train(watch, images=images, every=every)
    assert [step for step, _ in watch.told] == steps
    assert result.metrics == {"gap": watch.told[-1][1]}
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["gap"]) for line in lines if "gap" in line] == watch.told
    # The value is that of the generator as it stands, on the noise of its own name, at the depth of pixels.
    real = pixels(images[stream(0, "data", 1).permutation(len(images))[:8]])
    for (_, gap), fake in zip(watch.told, watch.fakes, strict=True):
        expected = np.abs(real.mean(0) - pixels(Sample(fake).images).mean(0)).mean()
        assert gap == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_evaluating_leaves_training_alone(images: np.ndarray) -> None:
    with_it, without = tiny_runner("with", fresh=True), tiny_runner("without")
    with_it.train(1, images, evaluation=evaluation(every=Every.steps(1)), batch_size=4, quiet=True)
    without.train(1, images, batch_size=4, quiet=True)
    assert_same_weights(weights_of(with_it), weights_of(without))


@pytest.mark.slow
def test_a_resumed_run_has_the_same_lines(images: np.ndarray) -> None:
    def go(out: str, *callbacks: Callback, **options: bool) -> None:
        tiny_runner(out, **options).train(
            3, images, [Checkpoint(), *callbacks], evaluation=evaluation(), batch_size=4, quiet=True
        )

    go("whole")
    go("cut", StopsAt(7))
    go("cut", resume=True)
    whole, cut = (Path(name, "metrics.jsonl").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    assert whole.count(b'"gap"') == 3


def following(*values: float, error: float = 0.1) -> Metric:
    """Return a metric that has these values, one after the other, and then the last one for good.

    It is asked for the floor first, which takes none of them.
    """
    left = chain(values[:1], values, repeat(values[-1]))
    return lambda real, fake: Estimate(float(next(left)), error)


def test_early_stopping_and_the_best_checkpoint_follow_a_metric(images: np.ndarray) -> None:
    stop = EarlyStopping("m", mode="min", patience=2)
    best = BestCheckpoint("m", mode="min")
    result = train(stop, best, images=images, epochs=9, metrics={"m": following(9, 8, 7)})
    assert result.epoch == 5
    assert result.stop_reason == "m was best at epoch 3: 7; no improvement in 2 checks, now 7"
    assert result.highlights["BestCheckpoint"].startswith("checkpoints/step-00000015")


def test_a_metric_is_looked_at_when_it_is_new_and_not_every_epoch(images: np.ndarray) -> None:
    stop = EarlyStopping("m", mode="min", patience=2)
    result = train(stop, images=images, epochs=9, metrics={"m": following(9)}, every=Every.epochs(2))
    assert result.epoch == 6


def test_warm_up_does_not_count(images: np.ndarray) -> None:
    stop = EarlyStopping("m", mode="min", patience=2, warm_up=4)
    result = train(stop, images=images, epochs=9, metrics={"m": following(9)})
    assert result.epoch == 6


@pytest.mark.parametrize(("error", "epoch"), [(0.4, 9), (0.6, 2)])
def test_an_improvement_within_twice_the_noise_is_none(error: float, epoch: int, images: np.ndarray) -> None:
    stop = EarlyStopping("m", mode="min", patience=1)
    falls = following(*range(9, 0, -1), error=error)
    result = train(stop, images=images, epochs=9, metrics={"m": falls})
    assert result.epoch == epoch


def test_the_noise_of_a_plain_metric_is_that_of_subsampled_fakes(images: np.ndarray) -> None:
    found = []

    class Asks(Callback):
        def on_eval_end(self, run: Run) -> None:
            found.append((run.metric_noise("gap"), run.metric_noise("nobody")))

    train(Asks(), images=images, epochs=1)
    [(noise, nobody)] = found
    assert 0 < noise < 100
    assert nobody == 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"samples": 21}, UsageError, "array has 20 images per epoch, fewer than the 21 samples"),
        ({"metrics": {"d_loss": mean_gap}}, UsageError, "a metric cannot be named 'd_loss'"),
        ({"extractor": None}, GanError, "28"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_step(
    changes: dict[str, Any], error: type[Exception], message: str, images: np.ndarray
) -> None:
    with pytest.raises(error, match=message):
        train(images=images, **changes)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 7}, "at least 8 samples, got 7"),
        ({"samples": 10.5}, "at least 8 samples"),
        ({"every": 3}, "not 3"),
        ({"metrics": {"m": 3}}, "'m' to 3"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        evaluation(**changes)


def test_a_metric_that_raises_is_named(images: np.ndarray) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        train(images=images, metrics={"mine": lambda real, fake: 1 / 0})
    assert "raised by the metric 'mine' at step 5" in caught.value.__notes__


@lower_is_better
def own_direction(real: Sample, fake: Sample) -> Estimate:
    return Estimate(1.0, 0.0)


def test_a_metric_says_which_way_it_is_better_and_one_that_does_not_must_be_told(images: np.ndarray) -> None:
    with pytest.raises(CallbackError, match="gap does not declare whether lower or higher is better"):
        train(EarlyStopping("gap", patience=2), images=images)
    stop = EarlyStopping("m", patience=2)
    result = train(stop, images=images, epochs=9, metrics={"m": partial(own_direction)})
    assert (stop.mode, result.epoch) == ("min", 3)
    assert [read_mode(metric) for metric in (fld, kid, kl_to_uniform)] == ["min"] * 3
    highest = (precision, recall, density, coverage, modes, classifier_score, diversity)
    assert [read_mode(metric) for metric in highest] == ["max"] * 7


@pytest.mark.slow
def test_a_checkpoint_keeps_the_best_of_a_metric_beside_the_newest(images: np.ndarray) -> None:
    with pytest.raises(CallbackError, match="requires mode"):
        train(Checkpoint(best="gap"), images=images)
    with pytest.raises(CallbackError, match="unknown monitor 'gaps'; did you mean 'gap'"):
        train(Checkpoint(best=BestCheckpoint("gaps", mode="min")), images=images)
    best = lower_is_better(following(9, 8))
    result = train(Checkpoint(keep=1, best="m"), images=images, epochs=5, metrics={"m": best})
    assert steps_kept() == [10, 25]
    assert result.highlights["best m"] == "checkpoints/step-00000010, m was best at epoch 2: 8"


def steps_kept() -> list[int]:
    return sorted(int(path.name[5:]) for path in Path("run/checkpoints").glob("step-*"))


def test_networks_end_with_the_weights_of_the_best_and_the_run_with_its_own(images: np.ndarray) -> None:
    class Notes(Callback):
        """Keeps a weight of every epoch."""

        def __init__(self) -> None:
            self.weights: list[np.ndarray] = []

        def on_train_epoch_end(self, run: Run) -> None:
            assert run.generator is not None
            self.weight = run.generator.trainable_params()[0]
            self.weights.append(self.weight.asnumpy().copy())

    notes = Notes()
    stop = EarlyStopping("m", mode="min", patience=2, restore_best=True)
    falls = following(9, 8, 7)
    result = train(stop, notes, Checkpoint(keep=1), images=images, epochs=9, metrics={"m": falls})
    assert result.epoch == 5
    assert np.array_equal(notes.weight.asnumpy(), notes.weights[2])
    assert steps_kept() == [15, 25]
    last = load_file("run/checkpoints/step-00000025/weights.safetensors")
    assert np.array_equal(last["generator.layers.0.weight"], notes.weights[4])


def test_the_run_says_what_its_numbers_were_made_from_and_their_floor(images: np.ndarray) -> None:
    train(images=images)
    told = json.loads(Path("run/run.json").read_text())["evaluation"]
    order = stream(0, "data", 1).permutation(len(images))
    floor = np.abs(pixels(images[order[:8]]).mean(0) - pixels(images[order[8:16]]).mean(0)).mean()
    assert told == {"samples": 8, "features": "pixels", "floors": {"gap": pytest.approx(floor, abs=1e-4)}}


def test_too_few_images_for_two_samples_have_no_floor(images: np.ndarray) -> None:
    train(images=images, samples=11)
    assert json.loads(Path("run/run.json").read_text())["evaluation"] == {"samples": 11, "features": "pixels"}


def test_a_generator_that_makes_nan_has_nan_metrics_and_is_never_the_best(images: np.ndarray) -> None:
    class Breaks(Callback):
        def on_train_epoch_begin(self, run: Run) -> None:
            assert run.generator is not None
            if run.epoch == 2:
                for parameter in run.generator.get_parameters():
                    parameter.set_data(Tensor(np.full(parameter.shape, np.nan, np.float32)))

    watch, guard = Watches(), DivergenceGuard(Every.epochs(9))
    with pytest.raises(DivergenceError):
        train(
            watch,
            guard,
            Breaks(),
            BestCheckpoint("gap", mode="min"),
            images=images,
            epochs=3,
            every=Every.steps(4),
        )
    assert [(step, bool(np.isnan(value))) for step, value in watch.told] == [(4, False), (8, True)]
    assert steps_kept() == [4]
