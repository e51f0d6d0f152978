"""A run's folder: found a name for, claimed, and told what it holds.

::

    runs/mnist_mlp-20261123-101500/
        recipe.py        the recipe, as it was
        run.json         recipe hash, arguments, seed, versions, git revision, data, device
        metrics.jsonl    scalars, one JSON object a line
        samples/         picture grids
        tensorboard/     event files
        checkpoints/     one directory for each step kept
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ms_gan_callbacks.errors import RunDirError
from ms_gan_callbacks.files import replace_file, sweep_drafts, to_json


def fresh_run_dir(name: str, parent: Path = Path("runs")) -> Path:
    """Return a folder name that nobody has taken: ``runs/<name>-<time>``."""
    stem = parent / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    path, number = stem, 1
    while path.exists():
        number += 1
        path = stem.with_name(f"{stem.name}-{number}")
    return path


def check_free(path: Path) -> None:
    """Make sure that a new run may have this folder.

    Raises:
        RunDirError: it holds a run or other files, or is a file.
    """
    if (path / "run.json").exists():
        raise RunDirError(f"{path} holds a run already; choose another --out (or leave it out for a fresh folder)")
    if path.is_file():
        raise RunDirError(f"{path} is a file; a run needs a folder of its own")
    if path.is_dir() and any(not _begun(entry.name) for entry in path.iterdir()):
        raise RunDirError(f"{path} holds other files; a run needs an empty or a new folder")


def _begun(name: str) -> bool:
    """Whether a file is what a run leaves that was killed before it had begun."""
    return name in (".lock", "recipe.py") or (name.startswith(".") and name.endswith(".tmp"))


@contextmanager
def claimed(path: Path, fresh: bool) -> Iterator[None]:
    """Hold a run's folder, which is made for a fresh run, against any other process; a dead one holds nothing.

    What a dead one left half-written is removed.

    Raises:
        RunDirError: the folder is taken, cannot be made, or another process is training in it.
    """
    lock = FileLock(path / ".lock", timeout=0)
    try:
        if fresh:
            check_free(path)
            path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        sweep_drafts(path)
    except Timeout as error:
        raise RunDirError(f"another process is training in {path}") from error
    except OSError as error:
        lock.release()
        raise RunDirError(f"cannot write to {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def newest_run(parent: Path = Path("runs")) -> Path:
    """Return the run that was started or resumed last.

    Raises:
        RunDirError: there is none.
    """
    runs = sorted(parent.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise RunDirError(f"there is no run in {parent}; name the folder of one")
    return runs[-1].parent


def describe_run(path: Path, facts: Mapping[str, Any], recipe_source: str | None) -> None:
    """Make the folder and write what the run is made of.

    Raises:
        RunDirError: the folder cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if recipe_source is not None:
            replace_file(path / "recipe.py", recipe_source.encode())
        replace_file(path / "run.json", to_json(facts))
    except OSError as error:
        raise RunDirError(f"cannot write to {path}: {error.strerror or error}") from error


def read_facts(out_dir: Path) -> dict[str, Any]:
    """Return what ``run.json`` says of a run.

    Raises:
        RunDirError: the folder holds no run, or its ``run.json`` cannot be read.
    """
    path = out_dir / "run.json"
    if not out_dir.is_dir():
        raise RunDirError(f"there is no run {out_dir}")
    if not path.is_file():
        raise RunDirError(f"{out_dir} holds no run: it has no run.json")
    try:
        facts = json.loads(path.read_bytes())
        return dict(facts)
    except (OSError, ValueError, TypeError) as error:
        raise RunDirError(f"{path} is damaged: {error}") from error
