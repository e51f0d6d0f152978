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
PER_PROCESS = 4  # rounds; the first has what is due once in a run, such as compiling the graph that makes a grid
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
    everything = _meet_afresh(pair, max(1, pair_rounds), say)
    if quick:
        return {"acts": acts, "all": everything}
    say("callbacks: each alone against none, whole epochs")
    alone = {name: Entrant("runner-with", callback=name) for name in BUILT_IN}
    bout = Bout(rounds, seconds=0, parts=PARTS, limit=1800)
    each = contest({"none": Entrant("runner-plain"), **alone}, [bout], say)
    return {"acts": acts, "all": everything, "each": each}


def _meet_afresh(pair: dict[str, Entrant], rounds: int, say: Callable[[str], Any]) -> dict[str, Any]:
    """Return a contest in which both get new processes after some rounds: processes differ by two percent."""
    matches = []
    while rounds > 0:
        now = dict(reversed(pair.items())) if len(matches) % 2 else pair
        matches.append(contest(now, [Bout(min(rounds, PER_PROCESS), seconds=0, parts=PARTS, limit=1800)], say))
        rounds -= PER_PROCESS
    bouts = [bout for match in matches for bout in match["bouts"] if bout.keys() == pair.keys()]
    blocks = {name: [block for bout in bouts for block in bout[name]] for name in pair}
    left_out = {name: why for match in matches for name, why in match["left_out"].items()}
    return {**matches[0], "left_out": left_out, "bouts": [blocks]}


def _acts(images: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.stalls", str(images)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContestantError(f"benchmarks.stalls: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
