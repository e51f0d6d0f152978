"""Notices that training has come apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from ms_gan_callbacks.callbacks.guard import Guard
from ms_gan_callbacks.errors import CallbackError, DivergenceError
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run

LOSSES = ("d_loss", "g_loss", "loss")


class DivergenceGuard(Guard):
    """Ends a run, or rolls it back, once a loss or a weight is NaN or infinite, or a loss has exploded.

    Attached to every run in this form, in which it costs next to nothing: it reads the losses at the steps that
    the metrics log reads them at. The weights are looked at when an epoch ends or a checkpoint is asked for, so
    that what has diverged is not saved; a loss need not show them, since a ReLU makes 0 of NaN.

    Args:
        every: when to read the losses; at the end of an epoch their means are, too.
        action: "stop" raises DivergenceError; "roll back" returns to the newest checkpoint from before, and goes
            on with other noise.
        limit: how far from 0 a loss may be.
        tries: how often the run may be rolled back in all; then it is stopped.
        learning_rate: what every rollback multiplies both learning rates by, more than 0, at most 1.
        name: tells two of a run apart.

    Raises:
        CallbackError: a number is out of its range.
        DivergenceError: in training, as told.
    """

    order = 110  # after those that write, for the log to tell what ended a run, and that ask for checkpoints

    def __init__(
        self,
        every: Every = Every.steps(50),
        *,
        action: Literal["stop", "roll back"] = "stop",
        limit: float = 1e5,
        tries: int = 3,
        learning_rate: float = 1.0,
        name: str = "DivergenceGuard",
    ) -> None:
        super().__init__(
            every=every,
            action=action,
            actions=("stop", "roll back"),
            patience=1,
            tries=tries,
            learning_rate=learning_rate,
            name=name,
        )
        if not limit > 0:
            raise CallbackError(f"{name} takes a limit of more than 0, got {limit!r}")
        self.limit = limit

    def due(self, run: Run) -> bool:
        return super().due(run) or bool(run.requests.checkpoints)

    def on_eval_end(self, run: Run) -> None:
        self._look_before_saving(run)

    def on_train_end(self, run: Run) -> None:
        self._look_before_saving(run)

    def _look_before_saving(self, run: Run) -> None:
        if run.requests.checkpoints and not run.requests.roll_back:
            self.look(run)

    def examine(self, run: Run) -> str | None:
        trouble = self._of(run.scalars)
        if trouble is None and run.progress.ends_epoch:
            trouble = self._of(run.epoch_means, "on average over the epoch")
        if trouble is None and (run.progress.ends_epoch or run.requests.checkpoints):
            trouble = _broken_weight(run)
        return trouble

    def give_up(self, run: Run, reason: str) -> None:
        saved = f"the newest checkpoint is {run.checkpoint.name}" if run.checkpoint else "no checkpoint was saved"
        raise DivergenceError(f"{reason}; {saved}; a lower learning rate may help")

    def _of(self, scalars: Mapping[str, float], when: str = "") -> str | None:
        for name in LOSSES:
            value = scalars.get(name, 0.0)
            if not abs(value) <= self.limit:  # NaN is not, either
                beyond = f", beyond {self.limit:g}," if math.isfinite(value) else ""
                return f"{name} is {value:.4g}{beyond} {when}".rstrip(" ,")
        return None


def _broken_weight(run: Run) -> str | None:
    players = (run.generator, run.discriminator)
    for network in players if run.generator is not None else (run.train_network,):
        for parameter in network.get_parameters() if network is not None else ():
            if not np.isfinite(parameter.asnumpy()).all():
                return f"{parameter.name} holds NaN or infinity"
    return None
