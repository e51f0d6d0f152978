"""Which events a run has, and when something is due.

::

    on_train_begin
    for every epoch:      on_train_epoch_begin
        for every step:       on_train_step_begin
                              on_train_step_end
        when evaluated:       on_eval_end
                          on_train_epoch_end
    on_train_end          ended by itself or was asked to, never failed

    on_checkpoint         whenever one has been written, after all other events of its step
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

from ms_gan_callbacks.errors import CallbackError, counted, is_whole
from ms_gan_callbacks.events.run import Run


class Event(Enum):
    """What happens in a run. The value is the name of the method that is called."""

    TRAIN_BEGIN = "on_train_begin"
    TRAIN_EPOCH_BEGIN = "on_train_epoch_begin"
    TRAIN_STEP_BEGIN = "on_train_step_begin"
    TRAIN_STEP_END = "on_train_step_end"
    EVAL_END = "on_eval_end"
    TRAIN_EPOCH_END = "on_train_epoch_end"
    CHECKPOINT = "on_checkpoint"
    TRAIN_END = "on_train_end"


class Counters(Protocol):
    """As much of a run as a schedule needs."""

    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def ends_epoch(self) -> bool: ...


@dataclass(frozen=True)
class Every:
    """When something is due: a value that depends on the counters alone, so nothing of it is ever saved.

    Write ``Every.steps(50)`` or ``Every.epochs(1)``; on the command line ``50steps`` or ``1epoch``.
    """

    typed: ClassVar[str] = "a schedule such as 50steps or 2epochs"

    period: int
    unit: str

    def __post_init__(self) -> None:
        if not is_whole(self.period, 1):
            raise CallbackError(f"Every.{self.unit}(...) takes a whole number of at least 1, got {self.period!r}")

    @classmethod
    def steps(cls, period: int) -> Every:
        """Due after every ``period`` steps."""
        return cls(period, "steps")

    @classmethod
    def epochs(cls, period: int) -> Every:
        """Due after every ``period`` epochs."""
        return cls(period, "epochs")

    @classmethod
    def parse(cls, text: str) -> Every:
        """Return the schedule that was typed, as ``50steps``, ``1epoch`` or ``Every.steps(50)``.

        Raises:
            ValueError: it is none.
        """
        words = re.fullmatch(r"(?P<n>[\d_]+) *(?P<unit>step|epoch)s?", text.strip())
        words = words or re.fullmatch(r"Every\.(?P<unit>step|epoch)s\((?P<n>\d+)\)", text.strip())
        if words is None:
            raise ValueError(text)
        return cls(int(words["n"]), words["unit"] + "s")

    @property
    def by_epoch(self) -> bool:
        """Whether epochs are counted, not steps."""
        return self.unit == "epochs"

    def due(self, at: Counters) -> bool:
        """Tell whether the step at hand is one of those."""
        if self.by_epoch:
            return at.ends_epoch and at.epoch % self.period == 0
        return at.step % self.period == 0

    def count(self, after: int, until: int) -> int:
        """Return how often it is due after one step (or epoch, of which it counts) and up to another."""
        return max(0, until // self.period - after // self.period)

    def why_never(self, run: Run) -> str | None:
        """Return why it is never due in a run, as a clause; None where it is."""
        length = run.epochs if self.by_epoch else run.steps
        return None if self.count(0, length) else f"{self} lies beyond this run's {counted(length, self.unit)}"

    def __str__(self) -> str:
        return f"Every.{self.unit}({self.period})"
