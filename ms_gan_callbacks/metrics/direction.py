"""Which way a metric is better, said by the metric itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

Mode = Literal["min", "max"]
M = TypeVar("M", bound=Callable[..., Any])


def lower_is_better(metric: M) -> M:
    """Say of a metric that lower is better, so that whoever watches it need not be told."""
    metric.mode = "min"  # type: ignore[attr-defined]
    return metric


def higher_is_better(metric: M) -> M:
    """Say of a metric that higher is better, so that whoever watches it need not be told."""
    metric.mode = "max"  # type: ignore[attr-defined]
    return metric


def mode_of(metric: Callable[..., Any]) -> Mode | None:
    """Return what a metric, or the function that a partial is of, says; None where it says nothing."""
    if isinstance(metric, partial):
        metric = metric.func
    mode: Mode | None = getattr(metric, "mode", None)
    return mode
