"""A contestant's side of the clock: its steps pass a gate that opens for one block at a time.

::

    parent   "50\\n"                      ->   the gate lets 50 steps through
    worker   {"steps": 50, "seconds": ..}  <-   somebody wants to take the step after them

The first block, one step long, needs no asking; its seconds count from the start of the process.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeVar

import psutil

from ms_gan_callbacks import Callback, Run

Batch = TypeVar("Batch")


class Gate:
    """Lets steps through, block by block, and answers with what a block took.

    Args:
        requests: a line with a number of steps opens the gate; its end ends the process.
        answers: takes one JSON object a line.
        began: when the process was started, as ``time.time()`` tells it.

    The peak memory at its creation, after MindSpore or PyTorch was imported, is part of every answer.

    Attributes:
        settle: waits until everything that was asked of the device is computed.
    """

    def __init__(self, requests: IO[str], answers: IO[str], began: float) -> None:
        self._requests, self._answers = requests, answers
        self._steps = self._left = 1
        self._clock = time.perf_counter() - (time.time() - began)
        self._cpu = 0.0
        self._import_rss = peak_rss(psutil.Process().memory_info())
        self.settle: Callable[[], object] = lambda: None

    def pace(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Hand on what is iterated once a step; the block goes on across calls."""
        for batch in batches:
            if not self._left:
                self._answer()
                self._await()
            self._left -= 1
            yield batch

    def _answer(self) -> None:
        self.settle()
        seconds, cpu_seconds = time.perf_counter() - self._clock, time.process_time() - self._cpu
        memory = psutil.Process().memory_info()
        block = {"steps": self._steps, "seconds": seconds, "cpu_seconds": cpu_seconds, "rss": memory.rss}
        block |= {"peak_rss": peak_rss(memory), "import_rss": self._import_rss}
        print(json.dumps(block), file=self._answers, flush=True)

    def _await(self) -> None:
        line = self._requests.readline()
        if not line:
            os._exit(0)  # in the middle of somebody's training loop, and nothing of it is wanted
        self._steps = self._left = int(line)
        self._clock, self._cpu = time.perf_counter(), time.process_time()


def peak_rss(memory: Any) -> int:
    """Return the most memory the process has held, in bytes."""
    try:
        import resource
    except ImportError:  # Windows, where psutil knows
        return int(memory.peak_wset)
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Pace(Callback):
    """Lets a Runner take its steps a block at a time; the Runner itself makes batches before they are needed."""

    def __init__(self, gate: Gate) -> None:
        self._steps = gate.pace(itertools.repeat(None))

    def on_train_step_begin(self, run: Run) -> None:
        """Wait until this step may be taken."""
        next(self._steps)
