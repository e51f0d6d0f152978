"""Monitor: base class of callbacks that compare a number with its best value so far."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from ms_gan_callbacks.errors import CallbackError, suggest
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run

RAW_LOSSES = ("d_loss", "g_loss", "value")
"""The losses of a generator and a discriminator, and their value."""


class Monitor(Callback):
    """Compares a number with its best value so far; subclasses implement :meth:`handle_value`.

    A quality metric is checked after every evaluation. Other numbers are checked after every epoch: the epoch mean
    of a scalar, or the last value logged by a callback.

    For its arguments see :class:`EarlyStopping`.

    Raises:
        CallbackError: the settings are invalid, or (before the first step) the number or its direction is unknown.
    """

    order = 50  # after callbacks that log numbers to monitor
    persistent: tuple[str, ...] = ("best", "best_epoch", "newest")

    def __init__(
        self,
        monitor: str,
        *,
        mode: Literal["min", "max"] | None,
        target: float | None,
        min_delta: float | None,
        allow_raw_loss: bool,
        name: str,
    ) -> None:
        self.name = name
        self.monitor, self.mode, self.target, self.min_delta = monitor, mode, target, min_delta
        self.allow_raw_loss = allow_raw_loss
        self._check_settings(allow_raw_loss)
        self.best: float | None = None
        self.best_epoch = 0
        self.newest: float | None = None

    def handle_value(self, run: Run, value: float, better: bool) -> None:
        """Handle a new value; ``better`` is True if it is the best so far."""
        raise NotImplementedError

    def _check_settings(self, allow_raw_loss: bool) -> None:
        who, target, min_delta = f"{self.name}({self.monitor!r})", self.target, self.min_delta
        if not isinstance(self.monitor, str) or not self.monitor:
            raise CallbackError(
                f"{self.name}: monitor must be the name of a metric or scalar, not {self.monitor!r}"
            )
        if self.mode is not None and target is not None:
            raise CallbackError(f"{who}: pass either mode or target, not both")
        if self.mode not in (None, "min", "max"):
            raise CallbackError(f"{who}: mode must be 'min' or 'max', not {self.mode!r}")
        if target is not None and not math.isfinite(target):
            raise CallbackError(f"{who}: target must be finite, got {target!r}")
        if min_delta is not None and not (math.isfinite(min_delta) and min_delta >= 0):
            raise CallbackError(f"{who}: min_delta must be at least 0, got {min_delta!r}")
        if self.monitor in RAW_LOSSES and not allow_raw_loss:
            raise CallbackError(
                f"{who}: GAN losses do not measure quality; "
                "monitor d_real with target=0.5, or pass allow_raw_loss=True"
            )

    def check(self, run: Run) -> Iterable[str]:
        if self.monitor not in run.monitors:
            known = suggest(self.monitor, sorted(run.monitors))
            raise CallbackError(f"{self.name}: unknown monitor {self.monitor!r}; {known}")
        if run.group == "gan" and self.monitor in run.losses and not self.allow_raw_loss:
            raise CallbackError(
                f"{self.name}({self.monitor!r}): a player's loss does not measure quality; monitor a metric, or "
                "pass allow_raw_loss=True"
            )
        if self.target is None:
            self.mode = self.mode or run.better.get(self.monitor)
            if self.mode is None:
                raise CallbackError(
                    f"{self.name}({self.monitor!r}) requires mode='min', mode='max' or target=<value>: "
                    f"{self.monitor} does not declare whether lower or higher is better"
                )
        return ()

    def count_checks(self, run: Run, after_epoch: int = 0, after_step: int = 0) -> int:
        """Return the maximum number of checks after an epoch and a step, up to the end of the run."""
        every: Every | None = run.evaluate_every if self.monitor in run.metric_names else None
        if every is None or every.by_epoch:
            return (every or Every.epochs(1)).count(after_epoch, run.epochs)
        # Counted from the end of the run, because earlier epochs may have a different length.
        end = run.steps - (run.epochs - after_epoch) * run.steps_per_epoch if after_epoch else 0
        return every.count(max(after_step, end), run.steps)

    def see_logged(self, run: Run) -> None:
        self.newest = run.newest_logged.get(self.monitor, self.newest)

    def on_eval_end(self, run: Run) -> None:
        self.see_logged(run)
        if self.monitor in run.metrics:
            self._compare(run, run.metrics[self.monitor])

    def on_train_epoch_end(self, run: Run) -> None:
        self.see_logged(run)
        value = run.epoch_means.get(self.monitor, self.newest)
        if value is not None and self.monitor not in run.metrics:
            self._compare(run, value)

    def _compare(self, run: Run, value: float) -> None:
        better = self._is_better(run, value)
        if better:
            self.best, self.best_epoch = value, run.epoch
        self.handle_value(run, value, better)

    def _is_better(self, run: Run, value: float) -> bool:
        if self.best is None:
            return math.isfinite(value)
        gain = self._compute_cost(self.best) - self._compute_cost(value)
        if gain <= 0 or self.min_delta is not None:
            return gain > (self.min_delta or 0)
        return gain > 2 * run.metric_noise(self.monitor)  # last, because it is slow

    def _compute_cost(self, value: float) -> float:
        """Map a value to a cost, which is lower for better values and infinite for NaN."""
        if not math.isfinite(value):
            return math.inf
        if self.target is not None:
            return abs(value - self.target)
        return value if self.mode == "min" else -value

    def describe_best(self) -> str:
        """Return the best value so far, as a clause."""
        goal = f", target {self.target:g}" if self.target is not None else ""
        return f"{self.monitor} was best at epoch {self.best_epoch}: {self.best:.4g}{goal}"
