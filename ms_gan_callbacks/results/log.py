"""Reads the values that a run has logged to ``metrics.jsonl``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import RunDirError
from ms_gan_callbacks.storage.names import LOG

PAIRS = {
    "losses": {"d_loss": "D's loss", "g_loss": "G's loss"},
    "discriminator output": {"d_real": "D(x)", "d_fake": "D(G(z))"},
}
NOT_METRICS = {"step", "epoch", "epoch_means", "value", *PAIRS["losses"], *PAIRS["discriminator output"]}

Lines = Sequence[Mapping[str, Any]]


def read_log(run_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's ``metrics.jsonl``, none if there is no such file.

    Raises:
        RunDirError: the file cannot be read or is damaged.
    """
    path = run_dir / LOG
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirError(f"{path} cannot be read: {error}") from error
    complete = text.splitlines()[: text.count("\n")]  # a run in progress may be writing the last line
    try:
        lines = [dict(json.loads(line)) for line in complete]
    except (ValueError, TypeError, RecursionError) as error:
        raise RunDirError(f"{path} is damaged: {error}") from error
    for number, line in enumerate(lines, 1):
        if wrong := _find_wrong_value(line):
            raise RunDirError(f"{path} is damaged: line {number}: {wrong}")
    return lines


def _find_wrong_value(line: Mapping[str, Any]) -> str:
    """Describe the first value of a line that does not have the type that this package writes."""
    for name in ("step", "epoch"):
        value = line.get(name, 0 if name == "epoch" else None)
        if not isinstance(value, int) or isinstance(value, bool):
            return f"{name} is {value!r}, not an integer"
    means = line.get("epoch_means", {})
    if not isinstance(means, dict):
        return f"epoch_means is {means!r}, not an object"
    for name, value in [*line.items(), *means.items()]:
        if name != "epoch_means" and not isinstance(value, (int, float, type(None))):
            return f"{name} is {value!r}, not a number"
    return ""


def collect_points(lines: Lines, name: str) -> tuple[list[int], list[float]]:
    """Return the steps and values of a curve; values that are not finite are NaN, a gap in the plot."""
    found = [line for line in lines if name in line]
    return [line["step"] for line in found], [math.nan if line[name] is None else line[name] for line in found]


def list_means(lines: Lines) -> list[dict[str, Any]]:
    """Return a line for each complete epoch: its last step, its number and the means of its scalars."""
    kept = [line for line in lines if "epoch_means" in line]
    return [{"step": line["step"], "epoch": line.get("epoch"), **line["epoch_means"]} for line in kept]


def list_logged(lines: Lines, first: Mapping[str, Any]) -> list[str]:
    """Return the names of the metrics and of other logged values, those in ``first`` before the others."""
    names = {name for line in lines for name in line} - NOT_METRICS
    return sorted(names, key=lambda name: (name not in first, name))


def choose_metric(floors: Mapping[str, Any]) -> str:
    """Return the metric that stands for a run: fld, or else the first metric that the run computes."""
    return "fld" if "fld" in floors or not floors else next(iter(floors))
