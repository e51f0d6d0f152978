"""Declarations of a metric: whether lower or higher is better, and whether it compares pairs of images."""

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


def paired(metric: M) -> M:
    """Declare that a metric compares fake image i with real image i, the target it was generated for.

    Such a metric is not meaningful for images generated from noise, and does not have a :func:`real_floor`. Images
    are always subsampled in pairs, as by :func:`sampling_noise`.
    """
    metric.paired = True  # type: ignore[attr-defined]
    return metric


def read_mode(metric: Callable[..., Any]) -> Mode | None:
    """Return the declared direction of a metric or of a partial of one, or None."""
    mode: Mode | None = _read(metric, "mode")
    return mode


def is_paired(metric: Callable[..., Any]) -> bool:
    """Return whether a metric, or the metric that it is a partial of, is declared as :func:`paired`."""
    return bool(_read(metric, "paired"))


def _read(metric: Callable[..., Any], name: str) -> Any:
    """Return an attribute of a metric, or else of the function that it is a partial of, or None."""
    value = getattr(metric, name, None)
    while value is None and isinstance(metric, partial):
        metric = metric.func
        value = getattr(metric, name, None)
    return value
