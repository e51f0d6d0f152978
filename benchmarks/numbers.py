"""Medians and ranges of what a contest measured; pure functions of its blocks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """A median with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return that of some numbers, at least one."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        """Write it as ``1.50 (1.40-1.70)``."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def per_step(block: Mapping[str, Any], what: str = "seconds") -> float:
    """Return a block's milliseconds, or CPU milliseconds, a step."""
    return 1000 * float(block[what]) / int(block["steps"])


def above_import(block: Mapping[str, Any]) -> float:
    """Return the most memory a process has held up to a block, in MB above MindSpore's or PyTorch's import."""
    return (int(block["peak_rss"]) - int(block["import_rss"])) / 1e6


def blocks_of(match: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a contestant's blocks in the first bout that it took part in, the one with everybody."""
    return next((bout[name] for bout in match["bouts"] if name in bout), [])


def spread_of_starts(match: Mapping[str, Any], name: str) -> Spread:
    """Return the seconds to a contestant's first step: of its repeated starts, or else of the only one."""
    starts = match.get("starts", {}).get(name) or [match["first"][name]]
    return Spread.of(block["seconds"] for block in starts)


def switched_ratio(measured: Mapping[str, Sequence[float]]) -> Spread:
    """Return the time with callbacks over that without, round by round."""
    rounds = zip(measured["with"], measured["without"], strict=True)
    return Spread.of(on / off for on, off in rounds)


def ratio(match: Mapping[str, Any], above: str, below: str) -> Spread | None:
    """Return time per step of one contestant over another's, round by round; None unless both took part.

    Taken from the last bout that has both: where two meet once more as a pair, that is the closer look.
    """
    for bout in reversed(match["bouts"]):
        if above in bout and below in bout:
            rounds = zip(bout[above], bout[below], strict=True)
            return Spread.of(per_step(first) / per_step(second) for first, second in rounds)
    return None
