"""Checkpoint: requests checkpoints on a schedule."""

from __future__ import annotations

from ms_gan_callbacks.callbacks.best_checkpoint import BestCheckpoint
from ms_gan_callbacks.errors import CallbackError, is_whole
from ms_gan_callbacks.events.callback import Periodic
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run


class Checkpoint(Periodic):
    """Saves checkpoints to ``checkpoints/`` and keeps the most recent ones.

    Args:
        every: when to save; the state after the run's last step is always saved.
        keep: number of this callback's most recent checkpoints to retain; None retains all. The newest checkpoint,
            the one the run was resumed from, and those of other callbacks are always retained.
        best: also retain the best checkpoint, by a metric that declares its direction, such as "fld", or by a
            :class:`BestCheckpoint` for any other number.

    Raises:
        CallbackError: ``keep`` is not None or an integer of at least 1.
    """

    order = 100

    def __init__(
        self, every: Every = Every.epochs(1), keep: int | None = 3, best: str | BestCheckpoint | None = None
    ) -> None:
        super().__init__(every)
        if keep is not None and not is_whole(keep, 1):
            raise CallbackError(f"Checkpoint(keep=...) must be None or an integer of at least 1, got {keep!r}")
        self.keep = keep
        if best is not None:
            self.companions = (BestCheckpoint(best, name=f"best {best}") if isinstance(best, str) else best,)
        self._newest: str | None = None

    def act(self, run: Run) -> None:
        run.request_checkpoint(self.keep, owner=f"{self.name} {self.every}")

    def on_checkpoint(self, run: Run) -> None:
        self._newest = run.checkpoint.name if run.checkpoint else None

    def summary(self) -> str | None:
        return f"checkpoints/{self._newest}" if self._newest else None
