"""Times one epoch on all of MNIST, whole processes, in alternation: the tutorial's loop, then ``ms-gan run``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import ROOT, data

OURS = ("ms_gan_callbacks", "run", "recipes/mnist_mlp.py", "--set", "epochs=1", "--out")


def seconds(*command: str) -> float:
    """Run a process to its end; return how long it took, its start included."""
    began = perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True)
    return perf_counter() - began


def measure(pairs: int, say: Callable[[str], Any]) -> list[tuple[float, float]]:
    """Return (tutorial, ours) in seconds, pair by pair, and tell each."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        data.unpack(Path(name))
        for pair in range(pairs):
            ours = seconds(*OURS, f"{name}/run-{pair}")
            tutorial = seconds("benchmarks.tutorial", name)
            found.append((tutorial, ours))
            say(f"tutorial {tutorial:.0f} s, ms-gan run {ours:.1f} s: {tutorial / ours:.1f} times")
    say(f"median ratio {statistics.median(tutorial / ours for tutorial, ours in found):.1f}")
    return found
