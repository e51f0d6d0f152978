"""Asks for a checkpoint on a schedule; the runner writes it once the step's events are delivered."""

from __future__ import annotations

from ms_gan_callbacks.callbacks.best_checkpoint import BestCheckpoint
from ms_gan_callbacks.errors import CallbackError, is_whole
from ms_gan_callbacks.events.callback import Periodic
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run


class Checkpoint(Periodic):
    """Keeps the run's newest states in ``checkpoints/``, and the best.

    Args:
        every: when to save; the state after the run's last step is saved in any case.
        keep: how many of these checkpoints stay, the newest first; None keeps all. What another one keeps, what a
            run was resumed from and the newest of all stay in any case.
        best: the name of a metric that knows which way it is better, such as "fld", or a :class:`BestCheckpoint`
            for anything else: the checkpoint of the best stays, too.
    """

    order = 100

    def __init__(
        self, every: Every = Every.epochs(1), keep: int | None = 3, best: str | BestCheckpoint | None = None
    ) -> None:
        super().__init__(every)
        if keep is not None and not is_whole(keep, 1):
            raise CallbackError(f"Checkpoint(keep=...) takes None or a whole number of at least 1, got {keep!r}")
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
