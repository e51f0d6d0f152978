"""Proves on a recipe that a killed and resumed run ends in the bytes of one that never ended."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan_callbacks.config.attach import attach
from ms_gan_callbacks.config.components import typed
from ms_gan_callbacks.config.recipe import Recipe, load_recipe
from ms_gan_callbacks.errors import GanError
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.interop.stock import adapt_callbacks

# What must not differ; state.json and run.json tell of times and of who asked for what, too.
PROVED = ("weights.safetensors", "metrics.jsonl")


@dataclass(frozen=True)
class Proof:
    """The sha256 of what two runs left, file by file.

    Attributes:
        whole: those of the run that was left alone.
        resumed: those of the run that was killed and resumed.
    """

    whole: Mapping[str, str]
    resumed: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether every file is the same."""
        return self.whole == self.resumed


class Ends(Callback):
    """Saves at a step and, once that is safe, has the process killed; stops the run at another."""

    order = 1000

    def __init__(self, kill_at: int, stop_at: int) -> None:
        self.kill_at, self.stop_at = kill_at, stop_at

    def on_train_step_end(self, run: Run) -> None:
        if run.step in (self.kill_at, self.stop_at):
            run.request_checkpoint(owner=self.name)
        if run.step == self.stop_at:
            run.stop("the proof needs no more")

    def on_checkpoint(self, run: Run) -> None:
        if run.step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def verify_resume(
    path: Path,
    at: int,
    overrides: Mapping[str, str],
    folder: Path,
    callbacks: Sequence[str] = (),
    metrics: Sequence[str] = (),
) -> Proof:
    """Train twice as far as ``at`` in processes of their own: in one go, and killed after step ``at`` and resumed.

    Args:
        path: the recipe.
        at: the step after which a SIGKILL comes, at least 1.
        overrides: parameters of the recipe.
        folder: where the two runs go; new or empty.
        callbacks: what to attach to it, as it is typed.
        metrics: likewise.

    Raises:
        GanError: a run failed, or the one that was to be killed was not.
    """
    stop_at = 2 * at
    settings = (str(path), dict(overrides), list(callbacks), list(metrics))
    _part(settings, folder / "whole", 0, stop_at, expect=0)
    _part(settings, folder / "resumed", at, stop_at, expect=-signal.SIGKILL)
    _part(settings, folder / "resumed", 0, stop_at, expect=0, resume=True)
    return Proof(_hashes(folder / "whole", stop_at), _hashes(folder / "resumed", stop_at))


def _part(
    settings: tuple[Any, ...],
    out_dir: Path,
    kill_at: int,
    stop_at: int,
    *,
    expect: int,
    resume: bool = False,
) -> None:
    call = f"part(*{settings!r}, {str(out_dir)!r}, {kill_at}, {stop_at}, {resume})"
    command = [sys.executable, "-c", f"from ms_gan_callbacks.training.verify import part; {call}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != expect:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise GanError(f"the run in {out_dir} ended with {done.returncode} instead of {expect}: {last}")


def part(
    path: str,
    overrides: dict[str, Any],
    callbacks: list[str],
    metrics: list[str],
    out_dir: str,
    kill_at: int,
    stop_at: int,
    resume: bool,
) -> None:
    """Train one part; this is what the processes do."""
    from ms_gan_callbacks.training.runner import Runner

    recipe: Recipe = attach(load_recipe(path, **overrides), typed(callbacks, metrics))
    recipe = replace(recipe, callbacks=[*adapt_callbacks(recipe.callbacks), Ends(kill_at, stop_at)])
    Runner.from_recipe(recipe, out_dir, resume=resume).train(quiet=True)


def _hashes(out_dir: Path, step: int) -> dict[str, str]:
    places = [out_dir / "checkpoints" / f"step-{step:08d}" / PROVED[0], out_dir / PROVED[1]]
    try:
        return {place.name: hashlib.sha256(place.read_bytes()).hexdigest() for place in places}
    except FileNotFoundError as error:
        raise GanError(f"the run was over before step {step:,}: choose an earlier --at, or more epochs") from error
