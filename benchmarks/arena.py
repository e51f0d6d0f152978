"""Runs contestants against each other: a process for each, only one of them awake, in alternating blocks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import ROOT, THREADS, data
from benchmarks.contestants import Entrant, have_torch
from ms_gan_callbacks import GanError

WORKER = (sys.executable, "-m", "benchmarks.worker")
WARM_UP_SECONDS = 1.0


class ContestantError(GanError):
    """A contestant cannot take part; the others can."""


class Worker:
    """A contestant's process, asleep unless it is asked for a block.

    Args:
        entrant: what it runs.
        folder: its working directory, new.
        command: what to start, the task as JSON being added.

    Attributes:
        first: what its first step took, from the process's start.

    Raises:
        ContestantError: it ended before it answered; says why.
    """

    def __init__(self, entrant: Entrant, folder: Path, command: Sequence[str] = WORKER) -> None:
        folder.mkdir()
        self.entrant, self._log = entrant, folder / "log"
        task = json.dumps({"entrant": asdict(entrant), "began": time.time()})
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, task],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=environment(),
                text=True,
                start_new_session=True,
            )
        try:
            self.first = self._answer()
        except BaseException:
            self.close()
            raise

    def block(self, steps: int) -> dict[str, Any]:
        """Wake it, let it take some steps, and return what they took."""
        self._signal("SIGCONT")
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # why it ended is told below
            print(steps, file=self._process.stdin, flush=True)
        return self._answer()

    def steps_in(self, seconds: float) -> int:
        """Warm it up; return about how many steps it takes in that time."""
        probe = self.block(2)
        probe = self.block(_fitting(probe, WARM_UP_SECONDS))
        return _fitting(probe, seconds)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            lines = self._log.read_text(errors="replace").strip().splitlines() or ["it ended without a word"]
            raise ContestantError(f"{self.entrant.name}: {lines[-1]}")
        self._signal("SIGSTOP")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _signal(self, name: str) -> None:
        if hasattr(signal, name) and self._process.poll() is None:  # Windows knows neither
            os.killpg(self._process.pid, getattr(signal, name))

    def close(self) -> None:
        """End the process."""
        if hasattr(signal, "SIGKILL"):
            self._signal("SIGKILL")
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Bout:
    """Some rounds among some contestants.

    Attributes:
        rounds: how often everybody has a turn; every other round goes backwards.
        seconds: about how long a turn lasts; 0 makes it an epoch of the entrant's own.
        names: who takes part; empty for all. Without one of those named there is no bout.
        parts: how many pieces a turn is taken in, everybody's first before anybody's second: a machine whose speed
            swings within a long turn then swings for all of them.
        limit: seconds after which no round begins any more, two being the least.
    """

    rounds: int
    seconds: float = 1.0
    names: tuple[str, ...] = ()
    parts: int = 1
    limit: float = 600.0


def contest(
    entrants: Mapping[str, Entrant], bouts: Sequence[Bout], say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Run bouts; return ``left_out`` {name: why}, ``first`` {name: block}, ``bouts`` [{name: [block, ...]}, ...].

    Who cannot take part is left out, and the reason told.
    """
    result: dict[str, Any] = {"left_out": {}, "first": {}, "bouts": []}
    with ExitStack() as stack:
        arena = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data.unpack(arena / "mnist")
        workers: dict[str, Worker] = {}
        for name, entrant in entrants.items():
            try:
                if entrant.needs_torch and not have_torch():
                    raise ContestantError(f"{name} needs PyTorch, an optional extra: pip install torch")
                workers[name] = stack.enter_context(Worker(entrant, arena / f"worker-{len(workers)}"))
            except ContestantError as error:
                result["left_out"][name] = str(error)
                say(f"  left out: {error}")
            else:
                result["first"][name] = workers[name].first
                say(f"  {name}: first step after {workers[name].first['seconds']:.1f} s")
        for bout in bouts:
            chosen = {name: worker for name, worker in workers.items() if name in (bout.names or workers)}
            if chosen and chosen.keys() >= set(bout.names):
                result["bouts"].append(_fight(bout, chosen))
    return result


def measure_starts(entrants: Mapping[str, Entrant], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Start every contestant again and again, alternately; return its first blocks, {name: [block, ...]}."""
    starts: dict[str, list[dict[str, Any]]] = {name: [] for name in entrants}
    with tempfile.TemporaryDirectory() as folder:
        data.unpack(Path(folder) / "mnist")
        for number in range(rounds):
            for name in list(entrants)[:: -1 if number % 2 else 1]:
                with Worker(entrants[name], Path(folder) / f"{name}-{number}") as worker:
                    starts[name].append(worker.first)
    return starts


def _fight(bout: Bout, workers: Mapping[str, Worker]) -> dict[str, list[dict[str, Any]]]:
    lengths = {
        name: worker.steps_in(bout.seconds) if bout.seconds else worker.entrant.count // worker.entrant.batch
        for name, worker in workers.items()
    }
    blocks: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    began = time.perf_counter()
    for number in range(bout.rounds):
        pieces: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
        for part in range(bout.parts):
            for name in list(workers)[:: -1 if (number + part) % 2 else 1]:
                first, last = (lengths[name] * end // bout.parts for end in (part, part + 1))
                if last > first:
                    pieces[name].append(workers[name].block(last - first))
        for name, taken in pieces.items():
            blocks[name].append(_joined(taken))
        if time.perf_counter() - began > bout.limit and number:
            break
    return blocks


def _joined(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the block that some pieces make up: times and steps are summed, memory is the last's."""
    sums = {what: sum(piece[what] for piece in pieces) for what in ("steps", "seconds", "cpu_seconds")}
    return {**pieces[-1], **sums}


def _fitting(block: Mapping[str, Any], seconds: float) -> int:
    """Return how many steps fit into some seconds, at a block's pace."""
    return min(2000, max(1, round(seconds * block["steps"] / block["seconds"])))


def environment() -> dict[str, str]:
    """Return what every worker is started with."""
    given = {name: value for name, value in os.environ.items() if name != "MS_DEV_JIT_PIPELINE"}
    own = {"OMP_NUM_THREADS": str(THREADS), "GLOG_v": "3", "OPENBLAS_THREAD_TIMEOUT": "10"}  # as ms-gan does
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**given, **own, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
