"""Lists the runs in a directory, and removes checkpoints that are not needed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import ms_gan_callbacks
from ms_gan_callbacks.errors import CheckpointError, GanError, RunDirError, UsageError, suggest
from ms_gan_callbacks.metrics.direction import Mode, read_mode
from ms_gan_callbacks.results.facts import get_recipe_name
from ms_gan_callbacks.results.log import choose_metric, list_logged, read_log
from ms_gan_callbacks.storage.checkpoint_files import FILES, read_checked, read_manifest
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.files import list_folder
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.names import LOCK, MANIFEST
from ms_gan_callbacks.storage.run_state import find_damage, find_end, is_running


@dataclass(frozen=True)
class RunSummary:
    """A run in a list.

    Attributes:
        path: the run directory.
        state: running, finished, interrupted, failed or damaged.
        note: the reason that a run was stopped or has failed, or its damage.
        recipe: the name of its recipe.
        epoch: the current or last epoch, 0 before the first.
        epochs: the planned number of epochs.
        step: the last step that is known.
        metric: the metric that stands for the run; empty if it does not compute one.
        best: the best value of each metric whose direction is known, and the newest of the others.
        seconds: duration of the training; None if it is unknown.
        bytes: size of all files.
        started: the time of the start.
        checkpoints: steps of the checkpoints.
    """

    path: Path
    state: str
    note: str = ""
    recipe: str = ""
    epoch: int = 0
    epochs: int | None = None
    step: int = 0
    metric: str = ""
    best: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    bytes: int = 0
    started: str = ""
    checkpoints: tuple[int, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return the values for a JSON file."""
        return {**asdict(self), "path": str(self.path)}


def list_runs(folder: Path) -> list[RunSummary]:
    """Return the runs in a directory, or in it if it is a run itself; the one that was started last is first.

    Raises:
        RunDirError: the directory is missing or cannot be read.
    """
    try:
        if (folder / MANIFEST).is_file():
            return [summarize(folder)]
        paths = [path for path in list_folder(folder) if (path / MANIFEST).is_file()]
    except OSError as error:
        raise RunDirError(f"cannot read {folder}: {error.strerror or error}") from error
    return sorted(map(summarize, paths), key=lambda run: (run.started, run.path.name), reverse=True)


def summarize(path: Path) -> RunSummary:
    """Return the summary of a run directory, with the state "damaged" if a file cannot be read."""
    try:
        size = _measure(path.resolve())
    except OSError as error:
        return RunSummary(path, "damaged", f"cannot be read: {error.strerror or error}")
    try:
        manifest, lines = Manifest.read(path), read_log(path)
        steps = CheckpointStore(path / "checkpoints").list_steps()
    except GanError as error:
        return RunSummary(path, "damaged", str(error), bytes=size)
    newest, progress = lines[-1] if lines else {}, _read_progress(path, steps)
    step = max([int(newest.get("step", 0)), *steps[-1:]])
    state, note = _find_state(path, manifest, step, progress)
    return RunSummary(
        path,
        state,
        note,
        recipe=get_recipe_name(manifest) or manifest.network or "",
        epoch=max(int(newest.get("epoch", 0)), int(progress.get("epoch", 0))),
        epochs=manifest.epochs,
        step=step,
        metric=choose_metric(manifest.evaluation.floors) if manifest.evaluation.floors else "",
        best=_find_best(lines, manifest.evaluation.floors),
        seconds=_measure_time(manifest, state == "running"),
        bytes=size,
        started=manifest.started or "",
        checkpoints=tuple(steps),
    )


def _find_state(path: Path, manifest: Manifest, step: int, progress: Mapping[str, Any]) -> tuple[str, str]:
    """Return the state of a run, and its reason or damage."""
    if is_running(path):
        return "running", ""
    if damage := find_damage(path):
        return "damaged", damage
    return find_end(manifest, step, _is_complete(progress, manifest.epochs))


def _measure(path: Path) -> int:
    """Return the size of all files; those that a training removes or renames meanwhile are left out."""
    try:
        if path.is_dir() and not path.is_symlink():
            return sum(map(_measure, list_folder(path)))
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _read_progress(path: Path, steps: list[int]) -> Mapping[str, Any]:
    """Return the counters in the newest checkpoint that can be read."""
    for step in reversed(steps):
        try:
            state = json.loads((CheckpointStore(path / "checkpoints").get_path(step) / "state.json").read_bytes())
            return dict(state["progress"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}


def _is_complete(progress: Mapping[str, Any], epochs: int | None) -> bool:
    try:
        before = int(progress.get("epochs_before", 0)), int(progress.get("steps_before", 0))
        return int(progress["step"]) >= before[1] + ((epochs or 0) - before[0]) * int(progress["steps_per_epoch"])
    except (KeyError, ValueError, TypeError):
        return False


def _find_best(lines: list[dict[str, Any]], floors: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in list_logged(lines, floors):
        values = [line[name] for line in lines if line.get(name) is not None and math.isfinite(line[name])]
        mode = _read_mode(name)
        if values:
            found[name] = {"min": min(values), "max": max(values), None: values[-1]}[mode]
    return found


def _read_mode(name: str) -> Mode | None:
    """Return the direction of a built-in metric, or None."""
    return read_mode(getattr(ms_gan_callbacks, name)) if name in ms_gan_callbacks.__all__ else None


def _measure_time(manifest: Manifest, running: bool) -> float | None:
    """Return the time of all calls, except those that were killed; None if none was recorded."""
    total = sum(timing.seconds for timing in manifest.timings)
    starts = [manifest.started, *(entry.resumed for entry in manifest.history)]
    last = next((start for start in reversed(starts) if start), None)
    if running and last:
        try:
            began = datetime.fromisoformat(last)
            return total + max(0.0, (datetime.now(began.tzinfo) - began).total_seconds())
        except ValueError:
            return total or None
    return total or None


def list_removable(run: RunSummary) -> tuple[int, ...]:
    """Return the checkpoints of a run except the newest and the best ones; none while it is running or if damaged.

    Raises:
        CheckpointError: the newest checkpoint is damaged, so others may be needed.
    """
    if run.state in ("running", "damaged") or len(run.checkpoints) < 2:
        return ()
    store, newest = CheckpointStore(run.path / "checkpoints"), run.checkpoints[-1]
    path = store.get_path(newest)
    manifest = read_manifest(path, newest)
    contents = {name: read_checked(path / name, manifest["files"].get(name)) for name in FILES}
    try:
        states = json.loads(contents["state.json"])["callbacks"].values()
        best = {int(state["saved"]) for state in states if state.get("saved") is not None}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: state.json cannot be read") from error
    return tuple(step for step in run.checkpoints[:-1] if step not in best)


def remove_checkpoints(run: RunSummary) -> int:
    """Remove the checkpoints of :func:`list_removable`, and return the number of bytes that this freed.

    Directories of checkpoints that contain other files are not removed.

    Raises:
        RunDirError: a process is training in the run directory.
        CheckpointError: the newest checkpoint is damaged, or a file cannot be removed.
    """
    try:
        with FileLock(run.path / LOCK, timeout=0):
            kept = {*run.checkpoints} - {*list_removable(run)}
            store = CheckpointStore(run.path / "checkpoints")
            before = _measure(store.folder)
            store.prune({*store.list_steps()} - {*run.checkpoints} | kept)  # later ones are kept, too
            return before - _measure(store.folder)
    except Timeout as error:
        raise RunDirError(f"another process is training in {run.path}") from error
    except OSError as error:
        raise CheckpointError(f"cannot remove checkpoints of {run.path}: {error.strerror or error}") from error


def sort_runs(runs: list[RunSummary], key: str) -> list[RunSummary]:
    """Return runs by a key: started, name, time, size, or a metric, the best run first; unknown values are last.

    Raises:
        UsageError: no run has this metric.
    """
    if key == "started":
        return sorted(runs, key=lambda run: run.started, reverse=True)
    if key == "name":
        return sorted(runs, key=lambda run: run.path.name)
    if key in ("time", "size"):
        return sorted(runs, key=lambda run: run.bytes if key == "size" else run.seconds or 0.0, reverse=True)
    metrics = dict.fromkeys(name for run in runs for name in run.best)
    if runs and key not in metrics:
        raise UsageError(f"--sort {key}: {suggest(key, ['started', 'name', 'time', 'size', *metrics])}")
    sign = -1 if _read_mode(key) == "max" else 1
    return sorted(runs, key=lambda run: (key not in run.best, sign * run.best.get(key, 0.0)))
