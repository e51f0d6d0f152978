"""Looks for one kind of trouble on a schedule, and warns, stops the run, or rolls it back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal

from ms_gan_callbacks.errors import CallbackError, choices, counted, is_whole, warn
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run

Action = Literal["warn", "stop", "roll back"]


class Guard(Callback, ABC):
    """Looks when it is due and at the end of every epoch; its subclasses say what is wrong, if anything is.

    Args:
        every: when to look.
        action: what to do about trouble. "warn" says so once; "stop" ends the run; "roll back" returns to the
            newest checkpoint from before, and goes on with other noise.
        actions: those that make sense.
        patience: looks in a row that find trouble before anything is done, at least 1.
        tries: how often the run may be rolled back in all, whoever asked; then it is stopped.
        learning_rate: what every rollback multiplies both learning rates by, more than 0, at most 1.
        name: what messages and checkpoints call the guard.

    Raises:
        CallbackError: a number is out of its range.
    """

    persistent: tuple[str, ...] = ("healthy", "unhealthy")

    def __init__(
        self,
        *,
        every: Every,
        action: Action,
        actions: Sequence[Action],
        patience: int,
        tries: int,
        learning_rate: float,
        name: str,
    ) -> None:
        self.name = name
        if not isinstance(every, Every):
            raise CallbackError(f"{name} takes a schedule such as Every.steps(500), not {every!r}")
        if action not in actions:
            raise CallbackError(f"{name} has no action {action!r}; {choices(str(action), actions)}")
        for number, what in ((patience, "patience"), (tries, "tries")):
            if not is_whole(number, 1):
                raise CallbackError(f"{name} takes {what} of at least 1, got {number!r}")
        if isinstance(learning_rate, bool) or not 0 < learning_rate <= 1:
            raise CallbackError(
                f"{name} takes a learning_rate factor of more than 0 and at most 1, got {learning_rate!r}"
            )
        self.every, self.action, self.patience = every, action, patience
        self.tries, self.learning_rate = tries, learning_rate
        if action == "roll back":
            self.needs = (*self.needs, "rollbacks")
        self.healthy = 0  # the last step that was found so before any trouble
        self.unhealthy = 0  # looks in a row

    @abstractmethod
    def examine(self, run: Run) -> str | None:
        """Return what is wrong, as a clause such as "d_loss is nan"; None where nothing is."""

    def give_up(self, run: Run, reason: str) -> None:
        """End the run, whose state is as the reason says."""
        run.stop(reason)

    def check(self, run: Run) -> Iterable[str]:
        if self.learning_rate != 1:
            run.scale_learning_rates(1.0)  # raises where a schedule cannot be scaled
        if self.patience > 1 and (looks := self.looks(run)) < self.patience:
            yield (
                f"{self.name}: patience={self.patience} cannot run out within the {counted(looks, 'looks')} of "
                "this run that count; it will never do anything"
            )

    def looks(self, run: Run, after: int = 0) -> int:
        """Return how often a run is looked at after a step: when that is due, and at the end of every epoch."""
        ends = range(run.steps, max(after, run.step), -run.steps_per_epoch)
        if self.every.by_epoch:
            return len(ends)
        both = sum(end % self.every.period == 0 for end in ends)
        return self.every.count(max(after, run.step), run.steps) + len(ends) - both

    def on_train_begin(self, run: Run) -> None:
        if self.action == "roll back" and run.step == 0:
            run.request_checkpoint(keep=1, owner=self.name)  # so that there is something to go back to

    def due(self, run: Run) -> bool:
        """Tell whether to look after the step at hand."""
        # An epoch's last step is when checkpoints are written and generators judged: both want to know.
        return run.progress.ends_epoch or self.every.due(run)

    def on_train_step_end(self, run: Run) -> None:
        if self.due(run):
            self.look(run)

    def look(self, run: Run) -> None:
        """Examine the run, and do something about what is found."""
        trouble = self.examine(run)
        if trouble is None:
            self.healthy, self.unhealthy = run.step, 0
            return
        self.unhealthy += 1
        reason = f"{self.name}: {trouble} at step {run.step:,}"
        if self.action == "warn":
            if self.unhealthy == self.patience:
                warn(reason)
        elif self.unhealthy >= self.patience:
            self._act(run, reason)

    def _act(self, run: Run, reason: str) -> None:
        if self.action == "stop":
            self.give_up(run, reason)
        elif len(run.rollbacks) >= self.tries:
            self.give_up(run, f"{reason}; the run has been rolled back {counted(self.tries, 'times')} already")
        else:
            run.roll_back(reason, self.healthy, self.learning_rate)
