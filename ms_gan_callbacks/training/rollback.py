"""Rolls a run back to an earlier checkpoint."""

from __future__ import annotations

import math

import numpy as np

from ms_gan_callbacks.errors import CheckpointError, DivergenceError, warn
from ms_gan_callbacks.events.requests import Requests, RollBack
from ms_gan_callbacks.storage.checkpoints import Checkpoint
from ms_gan_callbacks.storage.environment import get_time
from ms_gan_callbacks.training.loop import TrainingLoop


def roll_back(loop: TrainingLoop, request: RollBack) -> None:
    """Restore the newest good checkpoint of a stopped loop, with different noise from there on.

    The rollback is recorded in that checkpoint and in ``run.json``, so that it is counted even if the process is
    killed. Later checkpoints are set aside.

    Raises:
        DivergenceError: there is no good checkpoint.
        CheckpointError: the checkpoint cannot be written.
    """
    run, before = loop.run, loop.run.rollbacks
    good = _find_good(loop, request)
    entry = {
        "step": run.step,
        "to_step": good.step,
        "reason": request.reason,
        "learning_rate": request.learning_rate,
    }
    loop.store.go_back_to(good.step)
    loop.restore(good)
    # This checkpoint may be older than earlier rollbacks, whose learning rate factors it then does not contain.
    undone = [*before[len(run.rollbacks) :], entry]
    run.scale_learning_rates(math.prod(one["learning_rate"] for one in undone))
    run.rollbacks = [*before, entry]
    run.requests = Requests()
    loop.save()
    run.manifest = run.manifest.add_history({"rolled_back": get_time(), **entry})
    run.manifest.write(run.out_dir)
    factor = f" and {request.learning_rate:g} times the learning rate" if request.learning_rate != 1 else ""
    warn(f"{request.reason}; rollback {len(run.rollbacks)} to step {good.step:,} with new noise{factor}")


def _find_good(loop: TrainingLoop, request: RollBack) -> Checkpoint:
    try:
        found = loop.store.load_newest(loop.players.weights(), until=request.healthy, where=_is_finite)
    except CheckpointError as error:
        raise DivergenceError(f"{request.reason}; {error}") from error
    if found is None:
        raise DivergenceError(f"{request.reason}; there is no good checkpoint to roll back to")
    return found


def _is_finite(checkpoint: Checkpoint) -> bool:
    return all(np.isfinite(values).all() for values in checkpoint.weights.values())
