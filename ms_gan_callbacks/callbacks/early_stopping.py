"""Ends a run that has stopped getting better, by a measure somebody chose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ms_gan_callbacks.callbacks.best_checkpoint import BestCheckpoint
from ms_gan_callbacks.callbacks.monitor import Watcher
from ms_gan_callbacks.errors import CallbackError, counted, is_whole, warn
from ms_gan_callbacks.events.run import Run


class EarlyStopping(Watcher):
    """Stops once a number has not improved ``patience`` times in a row.

    The number is a quality metric where one of that name exists, looked at after every evaluation; else the
    scalar's mean over the epoch, looked at after every epoch. ``mode`` or ``target`` says what improving means, or
    else the metric itself (:func:`lower_is_better`); nothing is guessed from a name.

    Args:
        monitor: the name of a metric or scalar.
        mode: ``"min"`` where lower is better, ``"max"`` where higher is. A metric may say so itself.
        target: where nearer to this value is better, such as 0.5 for D(x).
        patience: looks without improvement that are forgiven, at least 1.
        warm_up: epochs at the beginning whose looks are not counted, 0 or more.
        min_delta: what counts as improvement must exceed this, 0 or more, in the units of the number; by default
            twice the metric's standard error, 0 for a scalar.
        allow_raw_loss: the losses of a GAN do not measure quality: they rise and fall with the other player's.
            Watching one all the same takes this opt-in.
        restore_best: keep the checkpoint of the best, and let the networks end with its weights, however the run
            ends. The run's last checkpoint is still that of its last step; ``ms-gan sample --checkpoint best``
            finds the best.
        name: tells two early stoppings of a run apart.

    Raises:
        CallbackError: the settings contradict each other, or (before the first step) nobody publishes ``monitor``.
    """

    persistent = (*Watcher.persistent, "waited")

    def __init__(
        self,
        monitor: str,
        *,
        mode: Literal["min", "max"] | None = None,
        target: float | None = None,
        patience: int = 5,
        warm_up: int = 0,
        min_delta: float | None = None,
        allow_raw_loss: bool = False,
        restore_best: bool = False,
        name: str = "EarlyStopping",
    ) -> None:
        super().__init__(
            monitor, mode=mode, target=target, min_delta=min_delta, allow_raw_loss=allow_raw_loss, name=name
        )
        if not is_whole(patience, 1):
            raise CallbackError(f"{name}({monitor!r}) takes a patience of at least 1 epoch, got {patience!r}")
        if not is_whole(warm_up, 0):
            raise CallbackError(f"{name}({monitor!r}) takes a warm_up of 0 or more epochs, got {warm_up!r}")
        self.patience, self.warm_up, self.waited = patience, warm_up, 0
        self._keeper: BestCheckpoint | None = None
        if restore_best:
            self._keeper = BestCheckpoint(
                monitor, mode=mode, target=target, allow_raw_loss=allow_raw_loss, name=f"{name}'s best"
            )
            self.companions = (self._keeper,)

    def check(self, run: Run) -> Iterable[str]:
        self.check_published(run)
        return ()

    def on_train_begin(self, run: Run) -> None:
        # Not in check: only now is it known where a run that goes on stands, and how long this has waited.
        if not run.rollbacks and (why := self._why_never(run)):
            warn(f"{self.name}: {why}; it will never stop the run")

    def _why_never(self, run: Run) -> str | None:
        """Return why patience cannot run out, where it could not from the run's beginning either."""
        looks, counting = self.count_looks(run), self.count_looks(run, self.warm_up)
        first = looks == counting  # the first look sets the best, and is no wait
        if looks == 0 or counting - first >= self.patience:
            return None  # of a number that is never measured the evaluation tells
        done = run.epoch if run.ends_epoch else run.epoch - 1
        if run.step and self.waited + self.count_looks(run, max(done, self.warm_up), run.step) >= self.patience:
            return None
        unit = "evaluations" if self.monitor in run.metric_names else "epochs"
        after = f", of which {counting:,} come after warm_up={self.warm_up}" if looks != counting else ""
        return f"patience={self.patience} cannot run out within this run's {counted(looks, unit)}{after}"

    def judge(self, run: Run, value: float, better: bool) -> None:
        self.waited = 0 if better or run.epoch <= self.warm_up else self.waited + 1
        if self.waited >= self.patience:
            run.stop(f"{self.summary()}; no better {self.waited} times, now {value:.4g}")

    def on_train_end(self, run: Run) -> None:
        if self._keeper is not None and self._keeper.saved is not None:
            run.end_with(self._keeper.saved)

    def summary(self) -> str | None:
        if self.best is None:
            return (
                f"{self.monitor} was never a finite number" if self.waited else f"nobody has logged {self.monitor}"
            )
        return self.standing()
