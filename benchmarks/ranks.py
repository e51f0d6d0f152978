"""Measures two ranks against one process, and the model of :mod:`benchmarks.rank_model` against both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import ROOT
from benchmarks.rank_model import CLUSTERS, Link, Step, fit_link
from benchmarks.report import Table
from ms_gan_callbacks import GanError
from ms_gan_callbacks.cli.launcher import launch

SETTINGS = (("mnist_mlp", 64), ("mnist_mlp", 512), ("mnist_dcgan", 64))
RANKS = (2, 8, 64, 512)
PROGRAM = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks.rank_worker import main; main(*sys.argv[1:])"
)
WORKER = (sys.executable, "-c", PROGRAM)


def measure(rounds: int, quick: bool, say: Callable[[str], Any]) -> dict[str, Any]:
    """Measure link, compute, one process and two ranks, in turns.

    Args:
        rounds: rounds; the result of each number is the median of them.
        quick: fewer settings and steps.
        say: called with a line of progress.
    """
    settings, steps = (SETTINGS[:1], 60) if quick else (SETTINGS, 150)
    found: dict[str, list[dict[str, float]]] = {f"{name}, batch {batch}": [] for name, batch in settings}
    gradients: dict[str, list[int]] = {}
    samples: list[tuple[int, float]] = []
    copies: list[float] = []
    with tempfile.TemporaryDirectory(prefix="ms-gan-benchmark-") as folder:
        for number in range(rounds):
            say(f"ranks: round {number + 1} of {rounds}")
            samples += [tuple(one) for one in _run_ranks(folder, "messages", 60)]
            copies.append(_time_copying(folder))
            for name, batch in settings:
                key = f"{name}, batch {batch}"
                times = {
                    "one process": _run_processes(folder, 1, os.cpu_count() or 1, "steps", name, batch, steps),
                    "compute": _run_processes(folder, 2, 1, "steps", name, batch // 2, steps),
                    "two ranks": [_run_ranks(folder, "steps", name, batch, steps)],
                }
                gradients[key] = times["two ranks"][0]["gradients"]
                found[key].append({what: max(one["seconds"] for one in ran) for what, ran in times.items()})
    link = fit_link(samples, median(copies))
    return {"link": link._asdict(), "samples": samples, "settings": found, "gradients": gradients}


def _run_ranks(folder: str, kind: str, *arguments: object) -> Any:
    out = tempfile.mkdtemp(dir=folder) + "/out.json"
    code = launch(2, [*WORKER, kind, out, *map(str, arguments)])
    if code:
        raise GanError(f"the ranks ended with exit code {code}")
    return json.loads(Path(out).read_text())


def _run_processes(folder: str, count: int, threads: int, kind: str, *arguments: object) -> Any:
    """Run processes at the same time; return the result of each."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GLOG_v": "3"}
    outs = [tempfile.mkdtemp(dir=folder) + "/out.json" for _ in range(count)]
    commands = [[*WORKER, kind, out, *map(str, arguments)] for out in outs]
    started = [subprocess.Popen(one, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL) for one in commands]
    if any(one.wait() for one in started):
        raise GanError("a process of the benchmark failed")
    return [json.loads(Path(out).read_text()) for out in outs]


def _time_copying(folder: str) -> float:
    """Return the bytes per second of copying gradients, of the largest size, in the slower of two processes."""
    size, seconds = max(max(one) for one in _run_processes(folder, 2, 1, "messages", 60))
    return float(size / seconds)


def summarise(measured: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float], Step]]:
    """Yield the name, the medians and the model of each setting."""
    for name, rounds in measured["settings"].items():
        medians = {what: median(one[what] for one in rounds) for what in rounds[0]}
        yield name, medians, Step(medians["compute"], tuple(measured["gradients"][name]))


def tables(measured: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the measured times with the predicted ones, and the extrapolation to more ranks."""
    link = Link(**measured["link"])
    rows = []
    for name, medians, step in summarise(measured):
        predicted, found = step.predict(2, link), medians["two ranks"]
        times = [f"{1000 * one:.1f}" for one in (medians["one process"], medians["compute"], predicted, found)]
        rows.append([name, *times, f"{predicted / found - 1:+.0%}", f"{medians['one process'] / found:.2f}"])
    head = ("ms per step", "one process", "compute of half", "two ranks, model", "measured", "error", "speed-up")
    rates = f"{link.bandwidth / 1e6:.0f} MB/s by loopback, copying {link.copying / 1e6:.0f} MB/s"
    title = f"two ranks on this machine; {1e3 * link.latency:.2f} ms, {rates}"
    yield Table(title, head, rows)
    links = {"loopback": link} | {where: Link(*there, link.copying) for where, there in CLUSTERS.items()}
    rows = [
        [f"{name}, {where}", *(f"{step.efficiency(ranks, there):.0%}" for ranks in RANKS)]
        for name, _, step in summarise(measured)
        for where, there in links.items()
    ]
    head = ("share of compute, by the model", *(f"{ranks} ranks" for ranks in RANKS))
    yield Table("each rank on a machine like this, half of the batch each; by the model only", head, rows)
