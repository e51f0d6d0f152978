"""One contestant in a process of its own; :mod:`benchmarks.arena` starts it with a JSON object as argument."""

from __future__ import annotations

import importlib
import json
import os
import sys

from benchmarks import THREADS
from benchmarks.contestants import Entrant
from benchmarks.pacing import Gate


def main() -> None:
    """Run the contestant's loop behind a gate between standard input and standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log, not among the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    task = json.loads(sys.argv[1])
    entrant = Entrant(**task["entrant"])
    importlib.import_module("torch" if entrant.needs_torch else "mindspore")
    entrant.loop()(entrant, Gate(sys.stdin, answers, task["began"]))


if __name__ == "__main__":
    main()
