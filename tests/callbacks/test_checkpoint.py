"""Checkpoints are asked for when due and after the last step, and as many stay as were asked for."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import StopsAt, assert_same_weights, tiny_runner, weights_of
from safetensors.numpy import load_file

from ms_gan_callbacks import BestCheckpoint, Callback, CallbackError, Checkpoint, Every, Run


def saved() -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in Path("run/checkpoints").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checkpoints", "stop", "steps"),
    [
        ([Checkpoint(Every.steps(3), keep=None)], 99, [3, 6, 9, 10]),
        ([Checkpoint(Every.steps(3), keep=2)], 99, [9, 10]),
        ([Checkpoint(Every.steps(3), keep=1)], 99, [10]),
        ([Checkpoint(Every.epochs(1))], 99, [5, 10]),
        ([Checkpoint(Every.epochs(2))], 99, [10]),
        ([Checkpoint()], 7, [5, 7]),
        ([Checkpoint(Every.steps(4), keep=None), Checkpoint(Every.epochs(1), keep=None)], 99, [4, 5, 8, 10]),
    ],
)
def test_what_stays(checkpoints: list[Checkpoint], stop: int, steps: list[int], images: np.ndarray) -> None:
    tiny_runner().train(2, images, [*checkpoints, StopsAt(stop)], batch_size=4, quiet=True)
    assert saved() == steps


def test_the_newest_holds_the_final_weights_and_the_summary_names_it(images: np.ndarray) -> None:
    runner = tiny_runner()
    result = runner.train(2, images, [Checkpoint(Every.steps(4))], batch_size=4, quiet=True)
    assert result.highlights["Checkpoint"] == "checkpoints/step-00000010"
    newest = load_file(Path("run") / result.highlights["Checkpoint"] / "weights.safetensors")
    assert_same_weights(newest, weights_of(runner))


@pytest.mark.parametrize("keep", [0, -1, 1.5, "3", True])
def test_keep_is_a_positive_whole_number_or_none(keep: object) -> None:
    with pytest.raises(CallbackError, match=r"Checkpoint\(keep=...\) must be None or an integer of at least 1"):
        Checkpoint(keep=keep)  # type: ignore[arg-type]


class Logs(Callback):
    """Publishes a score an epoch."""

    publishes = ("score",)

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores

    def on_train_epoch_end(self, run: Run) -> None:
        run.log(score=self.scores[run.epoch - 1])


@pytest.mark.parametrize(
    ("goal", "best"), [({"mode": "min"}, 10), ({"mode": "max"}, 5), ({"target": 2.0}, 15), ({"target": 3.1}, 5)]
)
def test_the_best_stays_though_newer_ones_come_and_go(goal: dict, best: int, images: np.ndarray) -> None:
    scores = [3.0, 1.0, 2.0, math.nan]
    callbacks = [Logs(scores), BestCheckpoint("score", **goal), Checkpoint(Every.epochs(1), keep=1)]
    result = tiny_runner().train(4, images, callbacks, batch_size=4, quiet=True)
    assert saved() == sorted({best, 20})
    assert result.highlights["BestCheckpoint"].startswith(f"checkpoints/step-{best:08d}, score was best at epoch")


@pytest.mark.slow
def test_the_best_is_remembered_over_a_resume(images: np.ndarray) -> None:
    def callbacks() -> list[Callback]:
        return [
            Logs([1.0, 2.0, 3.0, 0.5]),
            BestCheckpoint("score", mode="min"),
            Checkpoint(Every.epochs(1), keep=1),
        ]

    tiny_runner().train(2, images, callbacks(), batch_size=4, quiet=True)
    assert saved() == [5, 10]
    tiny_runner(resume=True).train(3, images, callbacks(), batch_size=4, quiet=True)
    assert saved() == [5, 10, 15]  # the best, the one it was resumed from, the newest
    tiny_runner(resume=True).train(4, images, callbacks(), batch_size=4, quiet=True)
    assert saved() == [15, 20]


def test_one_checkpointer_does_not_remove_what_another_keeps(images: np.ndarray) -> None:
    class Asks(Callback):
        def on_train_step_end(self, run: Run) -> None:
            if run.step == 2:
                run.request_checkpoint()

    callbacks = [Asks(), Checkpoint(Every.epochs(1), keep=None), Checkpoint(Every.steps(2), keep=2)]
    tiny_runner().train(2, images, callbacks, batch_size=4, quiet=True)
    assert saved() == [2, 5, 8, 10]
