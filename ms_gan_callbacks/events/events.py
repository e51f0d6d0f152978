"""The events of a run in their order, and schedules.

::

    on_train_begin
    for every epoch:      on_train_epoch_begin
        for every step:       on_train_step_begin
                              on_train_step_end
        when evaluated:       on_eval_end
                          on_train_epoch_end
    on_train_end          when complete or stopped by a callback, not after an exception

    on_checkpoint         after a checkpoint was written, after all other events of its step
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ms_gan_callbacks.errors import CallbackError, is_whole, pluralize
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.run import Run


class Event(Enum):
    """An event of a run. The value is the name of the hook method."""

    TRAIN_BEGIN = "on_train_begin"
    TRAIN_EPOCH_BEGIN = "on_train_epoch_begin"
    TRAIN_STEP_BEGIN = "on_train_step_begin"
    TRAIN_STEP_END = "on_train_step_end"
    EVAL_END = "on_eval_end"
    TRAIN_EPOCH_END = "on_train_epoch_end"
    CHECKPOINT = "on_checkpoint"
    TRAIN_END = "on_train_end"


@dataclass(frozen=True)
class Every:
    """A schedule: every N steps or epochs. It depends on the run's counters only and has no state.

    Use ``Every.steps(50)`` or ``Every.epochs(1)``; on the command line ``50steps`` or ``1epoch``.
    """

    typed: ClassVar[str] = "a schedule such as 50steps or 2epochs"

    period: int
    unit: str

    def __post_init__(self) -> None:
        if not is_whole(self.period, 1):
            raise CallbackError(f"Every.{self.unit}(...) must be an integer of at least 1, got {self.period!r}")

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
        """Parse a schedule such as ``50steps``, ``1epoch`` or ``Every.steps(50)``.

        Raises:
            ValueError: the text is not a schedule.
        """
        words = re.fullmatch(r"(?P<n>[\d_]+) *(?P<unit>step|epoch)s?", text.strip())
        words = words or re.fullmatch(r"Every\.(?P<unit>step|epoch)s\((?P<n>\d+)\)", text.strip())
        if words is None:
            raise ValueError(text)
        return cls(int(words["n"]), words["unit"] + "s")

    @property
    def by_epoch(self) -> bool:
        """Whether the unit is epochs."""
        return self.unit == "epochs"

    def due(self, at: Run | Progress) -> bool:
        """Return whether the schedule is due after the current step."""
        if self.unit == "epochs":
            return at.ends_epoch and at.epoch % self.period == 0
        return at.step % self.period == 0

    def count(self, after: int, until: int) -> int:
        """Return how often the schedule is due after step (or epoch) ``after``, up to and including ``until``."""
        return max(0, until // self.period - after // self.period)

    def why_never(self, run: Run) -> str | None:
        """Return the reason if the schedule is never due in a run, otherwise None."""
        length = run.epochs if self.by_epoch else run.steps
        return (
            None if self.count(0, length) else f"{self} is longer than this run of {pluralize(length, self.unit)}"
        )

    def __str__(self) -> str:
        return f"Every.{self.unit}({self.period})"
