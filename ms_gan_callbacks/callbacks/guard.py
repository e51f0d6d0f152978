"""Guard: base class of callbacks that check a run on a schedule and warn, stop or roll back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal

from ms_gan_callbacks.errors import CallbackError, is_whole, pluralize, suggest, warn
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run

Action = Literal["warn", "stop", "roll back"]


class Guard(Callback, ABC):
    """Checks a run on a schedule and at the end of every epoch; subclasses implement :meth:`examine`.

    Args:
        every: when to check.
        action: what to do if checks fail: "warn" warns once; "stop" ends the run; "roll back" returns to the
            newest checkpoint before the failure and continues with different noise.
        actions: the actions that the subclass supports.
        patience: number of consecutive failed checks before acting, at least 1.
        tries: maximum number of rollbacks in the run, by any callback; then it is stopped.
        learning_rate: factor for both learning rates at every rollback, greater than 0 and at most 1.
        name: name in messages and checkpoints.

    Raises:
        CallbackError: an argument is out of range.
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
            raise CallbackError(f"{name}: every must be a schedule such as Every.steps(500), not {every!r}")
        if action not in actions:
            raise CallbackError(f"{name} has no action {action!r}; {suggest(str(action), actions)}")
        for number, what in ((patience, "patience"), (tries, "tries")):
            if not is_whole(number, 1):
                raise CallbackError(f"{name}: {what} must be an integer of at least 1, got {number!r}")
        if isinstance(learning_rate, bool) or not 0 < learning_rate <= 1:
            raise CallbackError(
                f"{name}: learning_rate must be a factor greater than 0 and at most 1, got {learning_rate!r}"
            )
        self.every, self.action, self.patience = every, action, patience
        self.tries, self.learning_rate = tries, learning_rate
        if action == "roll back":
            self.needs = (*self.needs, "rollbacks")
        self.healthy = 0  # the last step at which a check passed
        self.unhealthy = 0  # consecutive failed checks

    @abstractmethod
    def examine(self, run: Run) -> str | None:
        """Return the failure as a clause such as "d_loss is nan"; None if the check passes."""

    def give_up(self, run: Run, reason: str) -> None:
        """End the run for the given reason."""
        run.stop(reason)

    def check(self, run: Run) -> Iterable[str]:
        if self.learning_rate != 1:
            run.scale_learning_rates(1.0)  # raises if a schedule cannot be scaled
        if self.patience > 1 and (looks := self.looks(run)) < self.patience:
            yield (
                f"{self.name}: patience={self.patience} cannot run out within this run's "
                f"{pluralize(looks, 'checks')} (without warm-up); it will never act"
            )

    def looks(self, run: Run, after: int = 0) -> int:
        """Return the number of checks after a step: on the schedule, and at the end of every epoch."""
        ends = range(run.steps, max(after, run.step), -run.steps_per_epoch)
        if self.every.by_epoch:
            return len(ends)
        both = sum(end % self.every.period == 0 for end in ends)
        return self.every.count(max(after, run.step), run.steps) + len(ends) - both

    def on_train_begin(self, run: Run) -> None:
        if self.action == "roll back" and run.step == 0:
            run.request_checkpoint(keep=1, owner=self.name)  # for a rollback before the first regular checkpoint

    def due(self, run: Run) -> bool:
        """Return whether to check after the current step."""
        # The last step of an epoch is always checked, because checkpoints and metrics follow it.
        return self.every.due(run.progress) or run.progress.ends_epoch

    def on_train_step_end(self, run: Run) -> None:
        if self.due(run):
            self.look(run)

    def look(self, run: Run) -> None:
        """Examine the run, and act if checks have failed ``patience`` times."""
        fault = self.examine(run)
        if fault is None:
            self.healthy, self.unhealthy = run.step, 0
            return
        self.unhealthy += 1
        reason = f"{self.name}: {fault} at step {run.step:,}"
        if self.action == "warn":
            if self.unhealthy == self.patience:
                warn(reason)
        elif self.unhealthy >= self.patience:
            self._act(run, reason)

    def _act(self, run: Run, reason: str) -> None:
        if self.action == "stop":
            self.give_up(run, reason)
        elif len(run.rollbacks) >= self.tries:
            self.give_up(run, f"{reason}; the run was already rolled back {pluralize(self.tries, 'times')}")
        else:
            run.roll_back(reason, self.healthy, self.learning_rate)
