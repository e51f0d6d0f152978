"""Compares a run that was killed and resumed with an uninterrupted one, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan_callbacks.config.attach import attach
from ms_gan_callbacks.config.components import parse_components
from ms_gan_callbacks.config.recipe import Recipe, load_recipe
from ms_gan_callbacks.errors import GanError
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.interop.stock import adapt_callbacks
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.files import hash_file
from ms_gan_callbacks.storage.names import LOG


@dataclass(frozen=True)
class Proof:
    """The sha256 of the files of two runs, by file name.

    Attributes:
        whole: files of the uninterrupted run.
        resumed: files of the run that was killed and resumed.
    """

    whole: Mapping[str, str]
    resumed: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether all files are identical."""
        return self.whole == self.resumed


class Ends(Callback):
    """Kills the process after the checkpoint of one step, and stops the run at another."""

    order = 1000

    def __init__(self, kill_at: int, stop_at: int) -> None:
        self.kill_at, self.stop_at = kill_at, stop_at

    def on_train_step_end(self, run: Run) -> None:
        if run.step in (self.kill_at, self.stop_at):
            run.request_checkpoint(owner=self.name)
        if run.step == self.stop_at:
            run.stop("the step to compare is reached")

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
    """Train a recipe for ``2 * at`` steps, uninterrupted and killed after step ``at``, each in a separate process.

    Args:
        path: the recipe.
        at: step after which one run is killed with SIGKILL, at least 1.
        overrides: parameters of the recipe.
        folder: parent directory of the two runs, new or empty.
        callbacks: callbacks to attach, as on the command line.
        metrics: metrics to attach, as on the command line.

    Raises:
        GanError: a run failed, or the run to kill ended before.
    """
    stop_at = 2 * at
    settings = (str(path), dict(overrides), list(callbacks), list(metrics))
    _run_part(settings, folder / "whole", 0, stop_at, expect=0)
    _run_part(settings, folder / "resumed", at, stop_at, expect=-signal.SIGKILL)
    _run_part(settings, folder / "resumed", 0, stop_at, expect=0, resume=True)
    return Proof(_hash_files(folder / "whole", stop_at), _hash_files(folder / "resumed", stop_at))


def _run_part(
    settings: tuple[Any, ...], out_dir: Path, kill_at: int, stop_at: int, *, expect: int, resume: bool = False
) -> None:
    call = f"train_part(*{settings!r}, {str(out_dir)!r}, {kill_at}, {stop_at}, {resume})"
    command = [sys.executable, "-c", f"from ms_gan_callbacks.training.verify import train_part; {call}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != expect:
        last = (done.stderr.strip().splitlines() or ["no error message"])[-1]
        raise GanError(f"the run in {out_dir} ended with exit code {done.returncode} instead of {expect}: {last}")


def train_part(
    path: str,
    overrides: dict[str, Any],
    callbacks: list[str],
    metrics: list[str],
    out_dir: str,
    kill_at: int,
    stop_at: int,
    resume: bool,
) -> None:
    """Train one run or its continuation; called in a separate process."""
    from ms_gan_callbacks.training.runner import Runner

    recipe: Recipe = attach(load_recipe(path, **overrides), parse_components(callbacks, metrics))
    recipe = replace(recipe, callbacks=[*adapt_callbacks(recipe.callbacks), Ends(kill_at, stop_at)])
    Runner.from_recipe(recipe, out_dir, resume=resume).train(quiet=True)


def _hash_files(out_dir: Path, step: int) -> dict[str, str]:
    checkpoint = CheckpointStore(out_dir / "checkpoints").get_path(step)
    places = [checkpoint / "weights.safetensors", out_dir / LOG]  # other files also contain times
    try:
        return {place.name: hash_file(place) for place in places}
    except FileNotFoundError as error:
        raise GanError(f"the run ended before step {step:,}: choose an earlier --at, or more epochs") from error
