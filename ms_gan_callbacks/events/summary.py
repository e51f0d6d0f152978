"""Format of the closing summary of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def format_summary(rows: Iterable[tuple[str, str]], out_dir: Path) -> str:
    """Return one aligned line per row that has a text, the run directory, and the command for TensorBoard."""
    shown = [(name, text) for name, text in rows if text] + [("folder", str(out_dir))]
    if (out_dir / "tensorboard").is_dir():
        shown.append(("watch", f"tensorboard --logdir {shlex.quote(str(out_dir))}"))
    width = max(len(name) for name, _ in shown)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in shown)


def format_metrics(metrics: Iterable[tuple[str, float]]) -> str:
    """Return the metrics of a summary, with four significant digits."""
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics)
