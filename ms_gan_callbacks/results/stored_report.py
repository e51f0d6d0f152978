"""Reads an evaluation that ``ms-gan evaluate -o`` has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.results.report import Report
from ms_gan_callbacks.storage.checkpoints import CheckpointStore

STORED = "evaluation.json"
"""Name of an evaluation in a run directory that reports use."""


def read_report(path: Path) -> Report:
    """Return the evaluation in a JSON file.

    Raises:
        UsageError: the file cannot be read, or does not contain an evaluation.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not an evaluation: {error}; write one with ms-gan evaluate -o") from error
    if fault := _find_fault(content):
        raise UsageError(f"{path} is not an evaluation: {fault}; write one with ms-gan evaluate -o")
    names = ("step", "samples", "features", "real", "values", "noise")
    return Report(**{name: content[name] for name in names})


def find_report(run_dir: Path) -> Report | None:
    """Return the evaluation that is stored in a run directory; None unless it is of the newest checkpoint.

    Raises:
        UsageError: see :func:`read_report`.
        CheckpointError: the checkpoints cannot be listed.
    """
    path = run_dir / STORED
    if not path.is_file():
        return None
    report, steps = read_report(path), CheckpointStore(run_dir / "checkpoints").list_steps()
    return report if not steps or report.step == steps[-1] else None


def _find_fault(content: Any) -> str:
    """Describe the first value that an evaluation does not have, or return an empty string."""
    if not isinstance(content, dict):
        return "it does not contain an object"
    kinds = {"step": int, "samples": int, "features": str, "real": str, "values": dict, "noise": dict}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind) or isinstance(content[name], bool):
            return f"{name} is missing or has another type"
    if "generator" not in content["values"]:
        return "values has no row generator"
    for row, values in [*content["values"].items(), ("noise", content["noise"])]:
        if not isinstance(values, dict) or not all(isinstance(one, (int, float)) for one in values.values()):
            return f"{row} is not a row of numbers"
    return ""
