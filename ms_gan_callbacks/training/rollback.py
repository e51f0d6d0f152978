"""A run that goes back to an older state because the newer one is of no use."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import numpy as np

from ms_gan_callbacks.errors import CheckpointError, DivergenceError, warn
from ms_gan_callbacks.events.run import Requests, RollBack
from ms_gan_callbacks.storage.checkpoints import Checkpoint
from ms_gan_callbacks.training.loop import TrainingLoop


def roll_back(loop: TrainingLoop) -> None:
    """Put a loop that has left off back to its newest good checkpoint, with other noise ahead of it.

    The try is written into that checkpoint and into ``run.json``, so that no kill makes it uncounted; the
    checkpoints after it are set aside.

    Raises:
        DivergenceError: there is no good checkpoint.
        CheckpointError: the disk refuses.
    """
    run, tries, wish = loop.run, loop.run.rollbacks, loop.run.requests.roll_back
    if wish is None:
        raise ValueError("nobody has asked to roll this run back")
    good = _newest_good(loop, wish)
    entry = {
        "step": run.step,
        "to_step": good.step,
        "reason": wish.reason,
        "learning_rate": wish.learning_rate,
    }
    loop.store.go_back_to(good.step)
    loop.restore(good)
    # Those before may have gone back less far: what they did to the learning rates is not in this checkpoint.
    undone = [*tries[len(run.rollbacks) :], entry]
    run.scale_learning_rates(math.prod(one["learning_rate"] for one in undone))
    run.rollbacks = [*tries, entry]
    run.requests = Requests()
    loop.session.save()
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    run.manifest = run.manifest.add_history({"rolled_back": now, **entry})
    run.manifest.write(run.out_dir)
    warn(f"{wish.reason}; {_told(good.step, len(run.rollbacks), entry)}")


def _newest_good(loop: TrainingLoop, wish: RollBack) -> Checkpoint:
    try:
        found = loop.store.newest(loop.players.weights(), until=wish.healthy, where=_is_finite)
    except CheckpointError as error:
        raise DivergenceError(f"{wish.reason}; {error}") from error
    if found is None:
        raise DivergenceError(f"{wish.reason}; there is no good checkpoint to go back to")
    return found


def _is_finite(checkpoint: Checkpoint) -> bool:
    return all(np.isfinite(values).all() for values in checkpoint.weights.values())


def _told(step: int, tries: int, entry: dict[str, object]) -> str:
    slower = f" and {entry['learning_rate']:g} times the learning rate" if entry["learning_rate"] != 1 else ""
    return f"back to step {step:,} with new noise{slower}, rollback {tries}"
