"""Checks of what a callback promises: that it goes on as it was, and that it does not meddle."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.testing.script import EQUILIBRIUM, Script
from ms_gan_callbacks.testing.trace import Trace, first_difference


def assert_state_round_trips(callback: Callback | Callable[[], Callback], **script: Any) -> None:
    """Fail unless a run that is interrupted after any of its steps goes on as if it had not been.

    A copy of the callback is driven through the script in one go. Then, for each step, what a checkpoint holds of
    it is loaded into another copy, which is driven through the rest: it must log, ask and keep the same.

    Args:
        callback: as a recipe makes it, to be copied, not used; or a function that makes one.
        **script: what happens, as for :class:`Script`; choose it so that the callback has something to do.

    Raises:
        AssertionError: says after which step it goes on differently, and how.
        TypeError: it cannot be copied.
    """
    make = partial(_copied, callback) if isinstance(callback, Callback) else callback
    plan = Script(**{"epochs": 3, "scalars": EQUILIBRIUM, **script})
    whole, name = plan.play(make()), make().name
    for step in sorted(whole.states)[1:-1]:
        try:
            rest = plan.play(make(), start=step, states=whole.states[step])
        except Exception as error:
            raise AssertionError(f"{name} cannot go on after step {step}: {error!r}") from error
        if difference := _difference(whole, rest, step):
            raise AssertionError(
                f"{name}, interrupted after step {step}, does not go on as it would have; {difference}"
            )


def _copied(callback: Callback) -> Callback:
    try:
        return deepcopy(callback)
    except TypeError as error:
        raise TypeError(f"{callback.name} cannot be copied, {error}; pass a function that makes one") from error


def _difference(whole: Trace, rest: Trace, step: int) -> str:
    return first_difference(
        whole.after(step), rest.after(step), show=lambda value: json.dumps(value, default=repr)
    )


def assert_leaves_training_alone(*callbacks: Callback, epochs: int = 2) -> None:
    """Fail unless a tiny GAN, trained for real, has the same parameters to the bit with callbacks and without.

    Args:
        *callbacks: used once, all together, in a run of five steps an epoch.
        epochs: how long the run is.

    Raises:
        AssertionError: says at which step which parameter first differs, or that the run was cut short.
    """
    from ms_gan_callbacks.testing.tiny import Snapshots, snapshots_without

    names = " and ".join(callback.name for callback in callbacks)
    watched = Snapshots.of_a_run(*callbacks, epochs=epochs)
    for step, expected in snapshots_without(epochs).items():
        if step not in watched:
            raise AssertionError(f"{names} ends the run before step {step}")
        for name, digest in expected.items():
            if watched[step][name] != digest:
                raise AssertionError(f"{names} changes training: at step {step} {name} is not what it was")
