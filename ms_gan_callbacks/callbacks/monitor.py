"""A number to watch, which way is better, and the best it has been."""

from __future__ import annotations

import math
from typing import Literal

from ms_gan_callbacks.errors import CallbackError, choices
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run

RAW_LOSSES = ("d_loss", "g_loss", "value")


class Watcher(Callback):
    """Judges one number whenever it is new; its subclasses do something about it.

    The number is a quality metric where one of that name exists, judged after every evaluation; else, at the end
    of every epoch, the scalar's mean over the epoch, else what another callback logged last. ``mode`` or
    ``target`` says what better means, or else the metric itself (:func:`lower_is_better`); nothing is guessed from
    a name.

    Args:
        monitor: the name of a metric or scalar.
        mode: ``"min"`` where lower is better, ``"max"`` where higher is. A metric may say so itself.
        target: where nearer to this value is better, such as 0.5 for D(x).
        min_delta: what counts as better must be so by more than this, 0 or more, in the units of the number; None
            for twice the standard error of a metric (0 for a scalar).
        allow_raw_loss: the losses of a GAN do not measure quality: they rise and fall with the other player's.
            Watching one all the same takes this opt-in.
        name: what messages and checkpoints call the callback.

    Raises:
        CallbackError: the settings contradict each other, or (before the first step) nobody publishes ``monitor``.
    """

    order = 50  # after those that log what it may monitor
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
        _check_goal(f"{name}({monitor!r})", monitor, mode, target)
        _check_limits(f"{name}({monitor!r})", monitor, min_delta, allow_raw_loss)
        self.monitor, self.mode, self.target, self.min_delta = monitor, mode, target, min_delta
        self.best: float | None = None
        self.best_epoch = 0
        self.newest: float | None = None

    def judge(self, run: Run, value: float, better: bool) -> None:
        """Do something about a new value, ``better`` telling whether it is the best so far."""
        raise NotImplementedError

    def check_published(self, run: Run) -> None:
        """Raise CallbackError unless somebody publishes the number, and it is known what better means."""
        if self.monitor not in run.monitors:
            raise CallbackError(
                f"{self.name} monitors {self.monitor!r}, which nobody publishes; "
                + choices(self.monitor, sorted(run.monitors))
            )
        if self.target is None:
            self.mode = self.mode or run.better.get(self.monitor)
            if self.mode is None:
                raise CallbackError(
                    f"{self.name}({self.monitor!r}) takes one of mode='min', mode='max' and target=<value>: "
                    f"nobody says which way {self.monitor} is better"
                )

    def count_looks(self, run: Run, after_epoch: int = 0, after_step: int = 0) -> int:
        """Return how often, at most, the number is looked at after an epoch and a step, up to the run's end."""
        every: Every | None = run.evaluate_every if self.monitor in run.metric_names else None
        if every is None or every.by_epoch:
            return (every or Every.epochs(1)).count(after_epoch, run.epochs)
        # Counted from the run's end: its first epochs may have had another length.
        end = run.steps - (run.epochs - after_epoch) * run.steps_per_epoch if after_epoch else 0
        return every.count(max(after_step, end), run.steps)

    def see_logged(self, run: Run) -> None:
        self._note(run)

    def on_train_step_end(self, run: Run) -> None:
        self._note(run)

    def on_eval_end(self, run: Run) -> None:
        self._note(run)
        if self.monitor in run.metrics:
            self._judge(run, run.metrics[self.monitor])

    def on_train_epoch_end(self, run: Run) -> None:
        self._note(run)
        value = run.epoch_means.get(self.monitor, self.newest)
        if value is not None and self.monitor not in run.metrics:
            self._judge(run, value)

    def _judge(self, run: Run, value: float) -> None:
        better = self._is_better(run, value)
        if better:
            self.best, self.best_epoch = value, run.epoch
        self.judge(run, value, better)

    def _note(self, run: Run) -> None:
        self.newest = run.newest_logged.get(self.monitor, self.newest)

    def _is_better(self, run: Run, value: float) -> bool:
        if self.best is None:
            return math.isfinite(value)
        gain = self._badness(self.best) - self._badness(value)
        if gain <= 0 or self.min_delta is not None:
            return gain > (self.min_delta or 0)
        return gain > 2 * run.metric_noise(self.monitor)  # which takes time to find out

    def _badness(self, value: float) -> float:
        """Map the number to one that is lower where the number is better; NaN is worse than anything."""
        if not math.isfinite(value):
            return math.inf
        if self.target is not None:
            return abs(value - self.target)
        return value if self.mode == "min" else -value

    def standing(self) -> str:
        """Tell the best so far, in words."""
        goal = f", target {self.target:g}" if self.target is not None else ""
        return f"{self.monitor} was best at epoch {self.best_epoch}: {self.best:.4g}{goal}"


def _check_goal(who: str, monitor: object, mode: str | None, target: float | None) -> None:
    if not isinstance(monitor, str) or not monitor:
        raise CallbackError(
            f"{who.split('(', maxsplit=1)[0]} takes the name of a metric or scalar, not {monitor!r}"
        )
    if mode is not None and target is not None:
        raise CallbackError(f"{who} takes mode or target, not both")
    if mode not in (None, "min", "max"):
        raise CallbackError(f"{who} takes mode 'min' or 'max', not {mode!r}")
    if target is not None and not math.isfinite(target):
        raise CallbackError(f"{who} takes a finite target, got {target!r}")


def _check_limits(who: str, monitor: str, min_delta: float | None, allow_raw_loss: bool) -> None:
    if min_delta is not None and not (math.isfinite(min_delta) and min_delta >= 0):
        raise CallbackError(f"{who} takes a min_delta of 0 or more, got {min_delta!r}")
    if monitor in RAW_LOSSES and not allow_raw_loss:
        raise CallbackError(
            f"{who} watches a raw loss, which says little about quality in a GAN; "
            "watch d_real with target=0.5, or pass allow_raw_loss=True"
        )
