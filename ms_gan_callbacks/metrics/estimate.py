"""A metric value with its standard error."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A metric value with its standard error; ``float(estimate)`` is the value.

    Attributes:
        value: the metric's value.
        standard_error: standard deviation of the value over repeated draws of the samples.
    """

    value: float
    standard_error: float

    def __float__(self) -> float:
        """Return the value."""
        return float(self.value)
