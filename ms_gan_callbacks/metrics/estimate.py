"""A number together with how far chance alone may have moved it."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """What a metric returns that knows its own noise; ``float(estimate)`` is its value.

    Attributes:
        value: the number.
        standard_error: the standard deviation that the number has over repeated draws of its samples.
    """

    value: float
    standard_error: float

    def __float__(self) -> float:
        """Return the value alone."""
        return float(self.value)
