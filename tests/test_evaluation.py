"""Metrics while a run trains: when they are computed, who is told, what may stop because of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import StopsAt, tiny_runner

from ms_gan_callbacks import (
    BestCheckpoint,
    Callback,
    Checkpoint,
    EarlyStopping,
    Estimate,
    Evaluation,
    Every,
    GanError,
    RecipeError,
    Run,
    Sample,
    UsageError,
)


def pixels(images: np.ndarray) -> np.ndarray:
    """Return each image's pixels, for features that need no network."""
    return images.reshape(len(images), -1).astype(np.float32)


def mean_gap(real: Sample, fake: Sample) -> float:
    """Return how far apart the mean features are."""
    return float(np.abs(real.features.mean(0) - fake.features.mean(0)).mean())


def evaluation(**changes: Any) -> Evaluation:
    return Evaluation(**{"metrics": {"gap": mean_gap}, "samples": 8, "extractor": pixels, **changes})


class Watches(Callback):
    """Notes when evaluations were told, with their values."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float]] = []

    def on_eval_end(self, run: Run) -> None:
        self.told.append((run.step, run.metrics["gap"]))


def train(*callbacks: Callback, images: np.ndarray, epochs: int = 2, **changes: Any) -> Any:
    runner = tiny_runner()
    return runner.train(
        epochs, images, callbacks, evaluation=evaluation(**changes), batch_size=4, quiet=True
    ), runner


@pytest.mark.parametrize(
    ("every", "steps"), [(Every.epochs(1), [5, 10]), (Every.steps(4), [4, 8]), (Every.epochs(2), [10])]
)
def test_it_happens_when_due_and_everybody_hears(every: Every, steps: list[int], images: np.ndarray) -> None:
    watch = Watches()
    result, runner = train(watch, images=images, every=every)
    assert [step for step, _ in watch.told] == steps
    assert result.metrics == {"gap": watch.told[-1][1]}
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["gap"]) for line in lines if "gap" in line] == watch.told
    # The value is that of the generator as it stands, on the noise of its own name, at the depth of pixels.
    if steps[-1] == 10:
        fake = Sample(runner.sample(8, "evaluation"))
        real = next(iter(ordered_real(images)))
        expected = np.abs(pixels(real).mean(0) - pixels(fake.images).mean(0)).mean()
        assert result.metrics["gap"] == pytest.approx(expected, abs=1e-4)


def ordered_real(images: np.ndarray) -> list[np.ndarray]:
    from ms_gan_callbacks import stream

    return [images[stream(0, "data", 1).permutation(len(images))[:8]]]


@pytest.mark.slow
def test_evaluating_leaves_training_alone(images: np.ndarray, tmp_path: Path) -> None:
    from conftest import assert_same_weights, weights_of

    with_it, without = tiny_runner(tmp_path / "a", fresh=True), tiny_runner(tmp_path / "b")
    with_it.train(1, images, evaluation=evaluation(every=Every.steps(1)), batch_size=4, quiet=True)
    without.train(1, images, batch_size=4, quiet=True)
    assert_same_weights(weights_of(with_it), weights_of(without))


@pytest.mark.slow
def test_a_resumed_run_has_the_same_lines(images: np.ndarray, tmp_path: Path) -> None:
    def go(out: Path, stop: int) -> None:
        tiny_runner(out).train(
            3, images, [Checkpoint(), StopsAt(stop)], evaluation=evaluation(), batch_size=4, quiet=True
        )

    go(tmp_path / "whole", 99)
    go(tmp_path / "cut", 7)
    tiny_runner(tmp_path / "cut", resume=True).train(
        3, images, [Checkpoint()], evaluation=evaluation(), batch_size=4, quiet=True
    )
    whole, cut = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    assert whole.count(b'"gap"') == 3


def falls_until(step: int) -> Any:
    """Return a metric that gets better by 1 each time until a call, and stays."""
    calls = [0]

    def metric(real: Sample, fake: Sample) -> Estimate:
        calls[0] += 1
        return Estimate(10.0 - min(calls[0], step), 0.1)

    return metric


def test_early_stopping_and_the_best_checkpoint_follow_a_metric(images: np.ndarray) -> None:
    stop = EarlyStopping("m", mode="min", patience=2)
    best = BestCheckpoint("m", mode="min")
    result, _ = train(stop, best, images=images, epochs=9, metrics={"m": falls_until(3)})
    assert result.epoch == 5
    assert result.stop_reason == "m was best at epoch 3: 7; no better 2 times, now 7"
    assert result.highlights["BestCheckpoint"].startswith("checkpoints/step-00000015")


def test_a_metric_is_looked_at_when_it_is_new_and_not_every_epoch(images: np.ndarray) -> None:
    stop = EarlyStopping("m", mode="min", patience=2)
    result, _ = train(stop, images=images, epochs=9, metrics={"m": falls_until(1)}, every=Every.epochs(2))
    assert result.epoch == 6


def test_warm_up_does_not_count(images: np.ndarray) -> None:
    stop = EarlyStopping("m", mode="min", patience=2, warm_up=4)
    result, _ = train(stop, images=images, epochs=9, metrics={"m": falls_until(1)})
    assert result.epoch == 6


@pytest.mark.parametrize(("error", "epoch"), [(0.4, 9), (0.6, 2)])
def test_an_improvement_within_twice_the_noise_is_none(error: float, epoch: int, images: np.ndarray) -> None:
    calls = [0]

    def metric(real: Sample, fake: Sample) -> Estimate:
        calls[0] += 1
        return Estimate(-float(calls[0]), error)

    stop = EarlyStopping("m", mode="min", patience=1)
    result, _ = train(stop, images=images, epochs=9, metrics={"m": metric})
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


def broken(real: Sample, fake: Sample) -> float:
    raise ZeroDivisionError("no")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"samples": 21}, UsageError, "array has 20 images an epoch, fewer than the 21 samples"),
        ({"metrics": {"d_loss": mean_gap}}, UsageError, "a metric cannot be called 'd_loss'"),
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
        train(images=images, metrics={"mine": broken})
    assert "raised by the metric 'mine' at step 5" in caught.value.__notes__
