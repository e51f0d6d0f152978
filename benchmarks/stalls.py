"""What single acts of callbacks cost, in one process: an event, a checkpoint, a grid, a TensorBoard flush.

Run as ``python -m benchmarks.stalls IMAGES``; prints JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import ROOT, checkpoint
from benchmarks.data import digits
from benchmarks.ours import console, recipe
from ms_gan_callbacks import (
    ArraySource,
    Callback,
    CallbackBus,
    Event,
    Every,
    ImageGrid,
    Periodic,
    Run,
    Runner,
    TensorBoard,
    load_recipe,
)
from ms_gan_callbacks.testing import make_run
from ms_gan_callbacks.training.evaluator import Evaluator


class Listener(Callback):
    """Overrides a hook and does nothing in it."""

    def on_train_step_end(self, run: Run) -> None:
        """Do nothing."""


class Settle(Callback):
    """Reads a scalar, so that what comes after it does not wait for the step."""

    order = -1

    def on_train_step_end(self, run: Run) -> None:
        """Wait for the step."""
        float(run.scalars["d_loss"])


def dispatch(callbacks: int, events: int = 20_000, repeats: int = 7) -> list[float]:
    """Return the microseconds that an event takes with that many callbacks that listen to it."""
    bus, run = CallbackBus([Listener() for _ in range(callbacks)]), make_run()
    found = []
    for _ in range(repeats):
        began = perf_counter()
        for _ in range(events):
            bus.emit(Event.TRAIN_STEP_END, run)
        found.append(1e6 * (perf_counter() - began) / events)
    return found


def acts(callback: Periodic, steps: int, folder: Path) -> list[float]:
    """Return the milliseconds of every act of a callback in a short run; the first, which warms up, left out."""
    found = []
    act = callback.act

    def timed(run: Run) -> None:
        began = perf_counter()
        act(run)
        found.append(1000 * (perf_counter() - began))

    callback.act = timed  # type: ignore[method-assign]
    source = ArraySource(digits(32 * steps), 32)
    Runner.from_recipe(recipe("mlp"), folder).train(1, source, [Settle(), callback], quiet=True)
    return found[1:]


def evaluations(folder: Path) -> list[float]:
    """Return the milliseconds of the shipped recipe's evaluations; the first, which warms up, left out."""
    found = []
    evaluate = Evaluator.evaluate

    def timed(self: Evaluator, run: Run) -> None:
        began = perf_counter()
        evaluate(self, run)
        found.append(1000 * (perf_counter() - began))

    described = load_recipe(ROOT / "recipes" / "mnist_mlp.py")
    described = replace(described, evaluate_every=Every.steps(20), callbacks=[])
    Evaluator.evaluate = timed  # type: ignore[method-assign]
    try:
        Runner.from_recipe(described, folder).train(1, ArraySource(digits(32 * 160), 32), [Settle()], quiet=True)
    finally:
        Evaluator.evaluate = evaluate  # type: ignore[method-assign]
    return found[1:]


def shares(images: int, folder: Path) -> dict[str, Any]:
    """Train an epoch with all default callbacks; return the percentage of its time that the bus saw in each."""
    described = recipe("mlp")
    runner = Runner.from_recipe(described, folder)
    result = runner.train(1, ArraySource(digits(images), 32), [*described.callbacks, console()], quiet=True)
    return {name: 100 * seconds / result.seconds for name, seconds in result.callback_seconds.items()}


def main() -> None:
    """Measure all, one after another."""
    answers, images = os.fdopen(os.dup(1), "w"), int(sys.argv[1])
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as name:
        saves, size, _ = checkpoint.stalls(10)
        measured = {
            "dispatch_us": {str(callbacks): dispatch(callbacks) for callbacks in (0, 1, 10)},
            "checkpoint_ms": saves,
            "checkpoint_bytes": size,
            "grid_ms": acts(ImageGrid(Every.steps(5)), 60, Path(name) / "grid"),
            "tensorboard_flush_ms": acts(TensorBoard(Every.steps(1), flush_seconds=0), 40, Path(name) / "board"),
            "evaluation_ms": evaluations(Path(name) / "evaluations"),
            "bus_share_percent": shares(images, Path(name) / "shares"),
            "bus_share_images": images,
        }
    print(json.dumps(measured), file=answers, flush=True)


if __name__ == "__main__":
    main()
