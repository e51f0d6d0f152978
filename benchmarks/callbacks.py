"""What callbacks cost: with and without, in alternating epochs; and single acts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.arena import Bout, ContestantError, contest, environment
from benchmarks.contestants import Entrant
from benchmarks.data import WHOLE

PARTS = 40  # of an epoch of MNIST, half a second each
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
    """Measure all; every round is a whole epoch of MNIST, so that whatever is due once an epoch is in it.

    Args:
        rounds: rounds among the run without callbacks and one for each built-in.
        pair_rounds: rounds between the run with all default callbacks and the one without.
        quick: one round of that pair, no single built-ins.
        say: told what goes on.
    """
    say("callbacks: single acts")
    acts = _acts(6_400 if quick else WHOLE)
    say("callbacks: all the defaults against none, whole epochs")
    pair = {"runner": Entrant("runner"), "runner-plain": Entrant("runner-plain")}
    everything = contest(
        pair, [Bout(max(1, pair_rounds) if quick else pair_rounds, seconds=0, parts=PARTS, limit=1800)], say
    )
    if quick:
        return {"acts": acts, "all": everything}
    say("callbacks: each alone against none, whole epochs")
    alone = {name: Entrant("runner-with", callback=name) for name in BUILT_IN}
    bout = Bout(rounds, seconds=0, parts=PARTS, limit=1800)
    each = contest({"none": Entrant("runner-plain"), **alone}, [bout], say)
    return {"acts": acts, "all": everything, "each": each}


def _acts(images: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.stalls", str(images)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContestantError(f"benchmarks.stalls: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
