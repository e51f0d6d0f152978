"""Keeps the checkpoint of the epoch that was best by a measure somebody chose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ms_gan_callbacks.callbacks.monitor import Watcher
from ms_gan_callbacks.events.run import Run


class BestCheckpoint(Watcher):
    """Saves whenever a number is the best it has been at an epoch's end; what others keep is not touched.

    Args:
        monitor: the name of a metric or scalar; a scalar counts by its mean over the epoch.
        mode: ``"min"`` where lower is better, ``"max"`` where higher is. A metric may say so itself.
        target: where nearer to this value is better, such as 0.5 for D(x).
        min_delta: what counts as better must be so by more than this, in the units of the number.
        allow_raw_loss: the losses of a GAN do not measure quality; watching one takes this opt-in.
        name: tells two of a run apart.

    Raises:
        CallbackError: the settings contradict each other, or (before the first step) nobody publishes ``monitor``.
    """

    order = 100
    persistent = (*Watcher.persistent, "saved")

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

    def check(self, run: Run) -> Iterable[str]:
        self.check_published(run)
        return ()

    def judge(self, run: Run, value: float, better: bool) -> None:
        if better:
            self.saved = run.step
            run.request_checkpoint(keep=1, owner=self.name)

    def summary(self) -> str | None:
        if self.saved is None:
            return f"{self.monitor} was never a finite number"
        return f"checkpoints/step-{self.saved:08d}, {self.standing()}"
