"""Names of the files of a run directory, and of the directory of runs."""

from __future__ import annotations

from pathlib import Path

MANIFEST, RECIPE, LOG, LOCK = "run.json", "recipe.py", "metrics.jsonl", ".lock"
PARENT = Path("runs")
