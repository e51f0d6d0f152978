"""BestCheckpoint: keeps the checkpoint of the epoch that is best by a monitored number."""

from __future__ import annotations

from typing import Literal

from ms_gan_callbacks.callbacks.monitor import Monitor
from ms_gan_callbacks.events.run import Run


class BestCheckpoint(Monitor):
    """Saves a checkpoint when the monitored number improves; checkpoints of other callbacks are retained.

    Args:
        monitor: name of a metric or scalar; of a scalar, the mean over the epoch is used.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is; optional for metrics that declare it.
        target: alternative to ``mode``: values closer to the target are better, such as 0.5 for D(x).
        min_delta: minimum change that counts as an improvement, in the units of the number.
        allow_raw_loss: allow a loss as ``monitor``, although GAN losses do not measure quality.
        name: name of the callback; required to be unique in a run.

    Raises:
        CallbackError: the settings are invalid, or (before the first step) ``monitor`` is unknown.
    """

    order = 100
    persistent = (*Monitor.persistent, "saved")

    def __init__(
        self,
        monitor: str,
        *,
        mode: Literal["min", "max"] | None = None,
        target: float | None = None,
        min_delta: float = 0.0,
        allow_raw_loss: bool = False,
        name: str = "BestCheckpoint",
    ) -> None:
        super().__init__(
            monitor, mode=mode, target=target, min_delta=min_delta, allow_raw_loss=allow_raw_loss, name=name
        )
        self.saved: int | None = None

    def handle_value(self, run: Run, value: float, better: bool) -> None:
        if better:
            self.saved = run.step
            run.request_checkpoint(keep=1, owner=self.name)

    def summary(self) -> str | None:
        if self.saved is None:
            return f"{self.monitor} was never a finite number"
        return f"checkpoints/step-{self.saved:08d}, {self.describe_best()}"
