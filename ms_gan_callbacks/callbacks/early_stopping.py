"""EarlyStopping: stops a run when a monitored number no longer improves."""

from __future__ import annotations

from typing import Literal

from ms_gan_callbacks.callbacks.best_checkpoint import BestCheckpoint
from ms_gan_callbacks.callbacks.monitor import Monitor
from ms_gan_callbacks.errors import CallbackError, is_whole, pluralize, warn
from ms_gan_callbacks.events.run import Run


class EarlyStopping(Monitor):
    """Stops a run when the monitored number has not improved in ``patience`` consecutive checks.

    A quality metric is checked after every evaluation; a scalar after every epoch, by its epoch mean. The
    direction is set by ``mode`` or ``target``, or declared by the metric (:func:`lower_is_better`); it is never
    inferred from the name.

    Args:
        monitor: name of a metric or scalar.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is; optional for metrics that declare it.
        target: alternative to ``mode``: values closer to the target are better, such as 0.5 for D(x).
        patience: number of checks without improvement after which the run is stopped, at least 1.
        warm_up: number of initial epochs that do not count towards ``patience``, 0 or more.
        min_delta: minimum change that counts as an improvement, 0 or more, in the units of the number; by default
            twice the metric's standard error, or 0 for a scalar.
        allow_raw_loss: allow a loss as ``monitor``, although GAN losses do not measure quality.
        restore_best: retain the best checkpoint and load its weights when the run ends. The run's last checkpoint
            is still that of its last step; ``ms-gan sample --checkpoint best`` uses the best one.
        name: name of the callback; required to be unique in a run.

    Raises:
        CallbackError: the settings are invalid, or (before the first step) ``monitor`` is unknown.
    """

    persistent = (*Monitor.persistent, "waited")

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
        for what, number, least in (("patience", patience, 1), ("warm_up", warm_up, 0)):
            if not is_whole(number, least):
                raise CallbackError(
                    f"{name}({monitor!r}): {what} must be an integer of at least {least}, got {number!r}"
                )
        self.patience, self.warm_up, self.waited = patience, warm_up, 0
        self._keeper: BestCheckpoint | None = None
        if restore_best:
            self._keeper = BestCheckpoint(
                monitor, mode=mode, target=target, allow_raw_loss=allow_raw_loss, name=f"{name}'s best"
            )
            self.companions = (self._keeper,)

    def on_train_begin(self, run: Run) -> None:
        # Not in check: the step of a resumed run and the state of this callback are restored after it.
        if not run.rollbacks and (why := self._explain_never(run)):
            warn(f"{self.name}: {why}; it will never stop the run")

    def _explain_never(self, run: Run) -> str | None:
        """Return the reason if patience cannot run out, from the first step or from here, otherwise None."""
        looks, counting = self.count_checks(run), self.count_checks(run, self.warm_up)
        first = looks == counting  # the first check sets the best value and does not count as a wait
        if looks == 0 or counting - first >= self.patience:
            return None  # the evaluator warns about metrics that are never measured
        done = run.epoch if run.ends_epoch else run.epoch - 1
        if run.step and self.waited + self.count_checks(run, max(done, self.warm_up), run.step) >= self.patience:
            return None
        unit = "evaluations" if self.monitor in run.metric_names else "epochs"
        after = f", of which {counting:,} follow warm_up={self.warm_up}" if looks != counting else ""
        return f"patience={self.patience} cannot run out within this run's {pluralize(looks, unit)}{after}"

    def handle_value(self, run: Run, value: float, better: bool) -> None:
        self.waited = 0 if better or run.epoch <= self.warm_up else self.waited + 1
        if self.waited >= self.patience:
            run.stop(f"{self.summary()}; no improvement in {pluralize(self.waited, 'checks')}, now {value:.4g}")

    def on_train_end(self, run: Run) -> None:
        if self._keeper is not None and self._keeper.saved is not None:
            run.end_with(self._keeper.saved)

    def summary(self) -> str | None:
        if self.best is None:
            return f"{self.monitor} was never {'a finite number' if self.waited else 'logged'}"
        return self.describe_best()
