"""Declaration of a metric's direction: whether lower or higher is better."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

Mode = Literal["min", "max"]
M = TypeVar("M", bound=Callable[..., Any])


def lower_is_better(metric: M) -> M:
    """Declare that lower values of a metric are better; callbacks that monitor it use this direction."""
    metric.mode = "min"  # type: ignore[attr-defined]
    return metric


def higher_is_better(metric: M) -> M:
    """Declare that higher values of a metric are better; callbacks that monitor it use this direction."""
    metric.mode = "max"  # type: ignore[attr-defined]
    return metric


def read_mode(metric: Callable[..., Any]) -> Mode | None:
    """Return the declared direction of a metric or of a partial of one, or None."""
    if isinstance(metric, partial):
        metric = metric.func
    mode: Mode | None = getattr(metric, "mode", None)
    return mode
