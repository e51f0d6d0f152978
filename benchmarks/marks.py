"""The marks this package wants to hit, each beside what was measured."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.numbers import Spread, above_import, blocks_of, ratio, spread_of_starts, switched_ratio

Results = Mapping[str, Any]
LINEAR = 1.03  # how much longer a late epoch may take


@dataclass(frozen=True)
class Mark:
    """A limit for something that was measured.

    Attributes:
        number: which of the five it belongs to.
        what: what is measured, in words.
        limit: the most it may be; or the least, where ``at_least``.
        find: takes it out of the results; None where it was not measured.
    """

    number: int
    what: str
    limit: float
    find: Callable[[Results], Spread | None]
    at_least: bool = False

    def judge(self, results: Results) -> dict[str, Any]:
        """Return the verdict: ``holds`` is None where nothing was measured."""
        found = self.find(results)
        beyond = operator.ge if self.at_least else operator.le
        sign = ">=" if self.at_least else "<="
        return {
            "number": self.number,
            "what": self.what,
            "limit": f"{sign} {self.limit:g}",
            "measured": None if found is None else found._asdict(),
            "holds": None if found is None else beyond(found.median, self.limit),
        }


def speed_ratio(setting: str, above: str, below: str) -> Callable[[Results], Spread | None]:
    """Return what takes the ratio of two contestants out of a setting of ``speed``."""

    def find(results: Results) -> Spread | None:
        match = results.get("speed", {}).get(setting)
        return ratio(match, above, below) if match else None

    return find


def first_step(setting: str, name: str) -> Callable[[Results], Spread | None]:
    """Return what takes the seconds to a contestant's first step out of a setting of ``speed``."""

    def find(results: Results) -> Spread | None:
        match = results.get("speed", {}).get(setting, {"first": {}})
        return spread_of_starts(match, name) if name in match["first"] else None

    return find


def memory(setting: str, name: str) -> Callable[[Results], Spread | None]:
    """Return what takes a contestant's peak memory above the import, in MB, out of a setting of ``speed``."""

    def find(results: Results) -> Spread | None:
        match = results.get("speed", {}).get(setting)
        blocks = blocks_of(match, name) if match else []
        return Spread.of(above_import(block) for block in blocks) if blocks else None

    return find


def callbacks_ratio(results: Results) -> Spread | None:
    """Return the time of a run with all default callbacks over one without."""
    measured = results.get("callbacks", {}).get("all")
    return switched_ratio(measured) if measured else None


def _ageing(results: Results) -> dict[str, Any]:
    ageing: dict[str, Any] = results.get("scaling", {}).get("epochs", {"bouts": []})
    return ageing


def late_epochs(results: Results) -> Spread | None:
    """Return the time of an old run's epochs over that of a fresh one's."""
    return ratio(_ageing(results), "runner", "fresh")


def memory_growth(results: Results) -> Spread | None:
    """Return the memory after epoch 10 over that after epoch 2."""
    epochs = blocks_of(_ageing(results), "runner")
    return Spread.of([epochs[9]["rss"] / epochs[1]["rss"]]) if len(epochs) >= 10 else None


MARKS = (
    Mark(1, "tutorial / runner, batch 32", 30, speed_ratio("mlp-32", "tutorial", "runner"), at_least=True),
    Mark(2, "MLP, batch 32: runner-plain / torch-best", 1.0, speed_ratio("mlp-32", "runner-plain", "torch-best")),
    Mark(2, "MLP, batch 32: runner-plain / torch", 0.6, speed_ratio("mlp-32", "runner-plain", "torch")),
    Mark(
        2, "MLP, batch 128: runner-plain / torch-best", 1.1, speed_ratio("mlp-128", "runner-plain", "torch-best")
    ),
    Mark(2, "MLP, batch 128: runner-plain / torch", 0.75, speed_ratio("mlp-128", "runner-plain", "torch")),
    Mark(
        2, "DCGAN, batch 16: runner-plain / torch-best", 1.0, speed_ratio("dcgan-16", "runner-plain", "torch-best")
    ),
    Mark(
        2, "DCGAN, batch 64: runner-plain / torch-best", 1.0, speed_ratio("dcgan-64", "runner-plain", "torch-best")
    ),
    Mark(
        2,
        "DCGAN, batch 128: runner-plain / torch-best",
        1.0,
        speed_ratio("dcgan-128", "runner-plain", "torch-best"),
    ),
    Mark(2, "DCGAN, batch 64: runner-plain / torch", 0.9, speed_ratio("dcgan-64", "runner-plain", "torch")),
    Mark(3, "all default callbacks / none, whole epochs", 1.015, callbacks_ratio),
    Mark(4, "MLP, peak MB above the import", 260, memory("mlp-32", "runner-plain")),
    Mark(4, "DCGAN, batch 64, peak MB above the import", 409, memory("dcgan-64", "runner-plain")),
    Mark(4, "MLP, seconds to the first step", 3.5, first_step("mlp-32", "runner-plain")),
    Mark(4, "DCGAN, seconds to the first step", 4.3, first_step("dcgan-64", "runner-plain")),
    Mark(5, "time of late epochs / early ones", LINEAR, late_epochs),
    Mark(5, "memory after epoch 10 / epoch 2", LINEAR, memory_growth),
)


def judge(results: Results) -> list[dict[str, Any]]:
    """Return the verdict on every mark."""
    return [mark.judge(results) for mark in MARKS]
