"""``results.json``: every round's raw numbers, and what they were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import ROOT, THREADS
from ms_gan_callbacks import UsageError
from ms_gan_callbacks.storage.environment import get_cpu_name
from ms_gan_callbacks.storage.files import replace_file

FORMAT = 2


def facts(quick: bool) -> dict[str, Any]:
    """Describe the machine, the versions and the moment."""
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return {
        "cpu": get_cpu_name(),
        "cores": os.cpu_count(),
        "threads": THREADS,
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("mindspore", "torch", "numpy", "ms-gan-callbacks")},
        "revision": _revision(),
        "load_before": load,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "quick": quick,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _revision() -> str | None:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None


def load(path: Path) -> dict[str, Any]:
    """Read results.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as results of a benchmark: {error}") from error
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise UsageError(f"{path} does not hold results of this version's benchmarks; measure anew")
    return results


def check(folder: Path) -> None:
    """Make sure, before anything is measured, that results can be saved to a folder.

    Raises:
        UsageError: it is a file, or its ``results.json`` holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; results need a folder")
    if (folder / "results.json").exists():
        load(folder / "results.json")


def save(folder: Path, section: str, measured: dict[str, Any]) -> dict[str, Any]:
    """Put a section into the folder's ``results.json``, beside the others; return the whole."""
    path = folder / "results.json"
    results = load(path) if path.exists() else {"format": FORMAT}
    results[section] = measured
    replace_file(path, (json.dumps(results, indent=1) + "\n").encode())
    return results
