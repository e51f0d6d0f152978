"""DivergenceGuard: detects NaN, infinite or exploding losses and weights."""

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
    """Stops or rolls back a run if a loss or weight is NaN or infinite, or a loss explodes.

    Attached to every run with its defaults, at negligible cost: the losses are read at the same steps as by the
    metrics log. Weights are checked at the end of an epoch and before every checkpoint, so diverged weights are
    never saved. The losses alone are not sufficient, since a ReLU maps NaN to 0.

    Args:
        every: when to check the losses; their epoch means are also checked at the end of every epoch.
        action: "stop" raises DivergenceError; "roll back" returns to the newest checkpoint before the divergence
            and continues with different noise.
        limit: maximum absolute value of a loss.
        tries: maximum number of rollbacks in the run; then it is stopped.
        learning_rate: factor for both learning rates at every rollback, greater than 0 and at most 1.
        name: name of the callback; required to be unique in a run.

    Raises:
        CallbackError: an argument is out of range.
        DivergenceError: during training, if it diverges and is not rolled back.
    """

    order = 110  # after loggers, so that the log shows the divergence, and after requests for checkpoints

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
            raise CallbackError(f"{name}: limit must be greater than 0, got {limit!r}")
        self.limit = limit

    def due(self, run: Run) -> bool:
        return super().due(run) or bool(run.requests.checkpoints)

    def on_eval_end(self, run: Run) -> None:
        self._check_before_saving(run)

    def on_train_end(self, run: Run) -> None:
        self._check_before_saving(run)

    def _check_before_saving(self, run: Run) -> None:
        if run.requests.checkpoints and not run.requests.roll_back:
            self.look(run)

    def examine(self, run: Run) -> str | None:
        fault = self._examine_losses(run, run.scalars)
        if fault is None and run.progress.ends_epoch:
            fault = self._examine_losses(run, run.epoch_means, "on average over the epoch")
        if fault is None and (run.progress.ends_epoch or run.requests.checkpoints):
            fault = _examine_weights(run)
        return fault

    def give_up(self, run: Run, reason: str) -> None:
        saved = f"the newest checkpoint is {run.checkpoint.name}" if run.checkpoint else "no checkpoint was saved"
        raise DivergenceError(f"{reason}; {saved}; a lower learning rate may help")

    def _examine_losses(self, run: Run, scalars: Mapping[str, float], when: str = "") -> str | None:
        for name in run.losses or LOSSES:
            value = scalars.get(name, 0.0)
            if not abs(value) <= self.limit:  # also true for NaN
                beyond = f", beyond {self.limit:g}," if math.isfinite(value) else ""
                return f"{name} is {value:.4g}{beyond} {when}".rstrip(" ,")
        return None


def _examine_weights(run: Run) -> str | None:
    for network in run.networks.values() or (run.generator, run.discriminator, run.train_network):
        for parameter in network.get_parameters() if network is not None else ():
            if not np.isfinite(parameter.asnumpy()).all():
                return f"{parameter.name} contains NaN or infinity"
    return None
