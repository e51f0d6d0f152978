"""Ends a run that has stopped getting better, by a measure somebody chose."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from ms_gan_callbacks.callback import Callback
from ms_gan_callbacks.errors import CallbackError, choices, counted
from ms_gan_callbacks.run import Run

RAW_LOSSES = ("d_loss", "g_loss", "value")


class EarlyStopping(Callback):
    """Stops once a number has not improved for ``patience`` epochs.

    The number is a quality metric where one of that name exists, else the scalar's mean over the epoch. Exactly
    one of ``mode`` and ``target`` says what improving means; nothing is guessed from a name.

    Args:
        monitor: the name of a metric or scalar.
        mode: ``"min"`` where lower is better, ``"max"`` where higher is.
        target: where nearer to this value is better, such as 0.5 for D(x).
        patience: epochs without improvement that are forgiven, at least 1.
        min_delta: what counts as improvement must exceed this, 0 or more, in the units of the number.
        allow_raw_loss: the losses of a GAN do not measure quality: they rise and fall with the other player's.
            Watching one all the same takes this opt-in.
        name: tells two early stoppings of a run apart.

    Raises:
        CallbackError: the settings contradict each other, or (before the first step) nobody publishes ``monitor``.
    """

    order = 50  # after those that log what it may monitor
    persistent = ("best", "best_epoch", "waited", "newest")

    def __init__(
        self,
        monitor: str,
        *,
        mode: Literal["min", "max"] | None = None,
        target: float | None = None,
        patience: int = 5,
        min_delta: float = 0.0,
        allow_raw_loss: bool = False,
        name: str = "EarlyStopping",
    ) -> None:
        _check_settings(monitor, mode, target, patience, min_delta, allow_raw_loss)
        self.monitor, self.mode, self.target = monitor, mode, target
        self.patience, self.min_delta, self.name = patience, min_delta, name
        self.best: float | None = None
        self.best_epoch, self.waited = 0, 0
        self.newest: float | None = None

    def check(self, run: Run) -> Iterable[str]:
        if self.monitor not in run.monitors:
            raise CallbackError(
                f"{self.name} monitors {self.monitor!r}, which nobody publishes; "
                + choices(self.monitor, sorted(run.monitors))
            )
        if self.patience >= run.epochs:
            yield (
                f"{self.name}: patience={self.patience} cannot run out within this run's "
                f"{counted(run.epochs, 'epochs')}; it will never stop the run"
            )

    def on_train_step_end(self, run: Run) -> None:
        self._note(run)

    def on_eval_end(self, run: Run) -> None:
        self._note(run)

    def on_train_epoch_end(self, run: Run) -> None:
        self._note(run)
        value = self._value(run)
        if value is None:
            return
        if self._improves(value):
            self.best, self.best_epoch, self.waited = value, run.epoch, 0
        else:
            self.waited += 1
        if self.waited >= self.patience:
            run.stop(f"{self.summary()}; no better for {self.waited} epochs, now {value:.4g}")

    def _note(self, run: Run) -> None:
        self.newest = run.logged.get(self.monitor, self.newest)

    def _value(self, run: Run) -> float | None:
        """Return the number as it stands; None if there has never been one."""
        for source in (run.metrics, run.epoch_means):
            if self.monitor in source:
                return source[self.monitor]
        return self.newest

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return math.isfinite(value)
        return self._badness(value) < self._badness(self.best) - self.min_delta

    def _badness(self, value: float) -> float:
        """Map the number to one that is lower where the number is better; NaN is worse than anything."""
        if not math.isfinite(value):
            return math.inf
        if self.target is not None:
            return abs(value - self.target)
        return value if self.mode == "min" else -value

    def summary(self) -> str | None:
        if self.best is None:
            return (
                f"{self.monitor} was never a finite number" if self.waited else f"nobody has logged {self.monitor}"
            )
        goal = f", target {self.target:g}" if self.target is not None else ""
        return f"{self.monitor} was best at epoch {self.best_epoch}: {self.best:.4g}{goal}"


def _check_settings(
    monitor: str,
    mode: str | None,
    target: float | None,
    patience: int,
    min_delta: float,
    allow_raw_loss: bool,
) -> None:
    who = f"EarlyStopping({monitor!r})"
    if not isinstance(monitor, str) or not monitor:
        raise CallbackError(f"EarlyStopping takes the name of a metric or scalar, not {monitor!r}")
    if (mode is None) == (target is None):
        raise CallbackError(f"{who} takes one of mode='min', mode='max' and target=<value>")
    if mode not in (None, "min", "max"):
        raise CallbackError(f"{who} takes mode 'min' or 'max', not {mode!r}")
    if target is not None and not math.isfinite(target):
        raise CallbackError(f"{who} takes a finite target, got {target!r}")
    if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
        raise CallbackError(f"{who} takes a patience of at least 1 epoch, got {patience!r}")
    if not (math.isfinite(min_delta) and min_delta >= 0):
        raise CallbackError(f"{who} takes a min_delta of 0 or more, got {min_delta!r}")
    if monitor in RAW_LOSSES and not allow_raw_loss:
        raise CallbackError(
            f"{who} watches a raw loss, which says little about quality in a GAN; "
            "watch d_real with target=0.5, or pass allow_raw_loss=True"
        )
