"""What callbacks cost: whole epochs with and without them, and single acts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.arena import ContestantError, environment
from benchmarks.data import WHOLE

QUICK = 6_400  # images
BUILT_IN = (
    "TensorBoard",
    "ImageGrid",
    "Checkpoint",
    "EarlyStopping",
    "BestCheckpoint",
    "CollapseGuard",
    "DivergenceGuard",
    "Console",
    "MetricsLog",
)


def measure(rounds: int, pair_rounds: int, quick: bool, say: Callable[[str], Any]) -> dict[str, Any]:
    """Measure all; a round is an epoch of MNIST with callbacks and one without, see :mod:`benchmarks.switched`.

    Args:
        rounds: rounds for each built-in callback, and for a run in which nothing is switched.
        pair_rounds: rounds for all default callbacks.
        quick: one round of these, with fewer images, and no single built-ins.
        say: told what goes on.
    """
    images = QUICK if quick else WHOLE
    say("callbacks: single acts")
    acts = _ask("benchmarks.stalls", str(images))
    say("callbacks: all the defaults, on and off")
    measured = {"acts": acts, "all": _switch("all", max(1, pair_rounds), images)}
    if quick:
        return measured
    each = {}
    for name in ("nothing", *BUILT_IN):
        say(f"callbacks: {name}, on and off")
        each[name] = _switch(name, rounds, images)
    return {**measured, "each": each}


def _switch(name: str, rounds: int, images: int) -> dict[str, Any]:
    return _ask("benchmarks.switched", json.dumps({"name": name, "rounds": rounds, "images": images}))


def _ask(module: str, argument: str) -> dict[str, Any]:
    """Return what a module prints in a process of its own."""
    command = [sys.executable, "-m", module, argument]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContestantError(f"{module}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
