"""Checks that a callback's state is restored on resume, and that it does not affect training."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.testing.script import Script
from ms_gan_callbacks.testing.simulated_run import EQUILIBRIUM
from ms_gan_callbacks.testing.trace import find_difference


def assert_state_round_trips(callback: Callback | Callable[[], Callback], **script: Any) -> None:
    """Check that a run resumed after any step gives the same results as an uninterrupted run.

    A copy of the callback is driven through the whole simulated run. Then, for each step, its state is loaded into
    another copy, which is driven through the rest. Logged values, requests and states must be equal.

    Args:
        callback: a callback, which is copied, or a function that returns one.
        **script: arguments of :class:`Script`; choose them so that the callback acts during the run.

    Raises:
        AssertionError: the results differ; the message names the step and the difference.
        TypeError: the callback cannot be copied.
    """
    make = partial(_copy, callback) if isinstance(callback, Callback) else callback
    plan = Script(**{"epochs": 3, "scalars": EQUILIBRIUM, **script})
    whole, name = plan.play(make()), make().name
    for step in sorted(whole.states)[1:-1]:
        try:
            rest = plan.play(make(), start=step, states=whole.states[step])
        except Exception as error:
            raise AssertionError(f"{name} cannot be resumed after step {step}: {error!r}") from error
        if difference := find_difference(whole.after(step), rest.after(step)):
            raise AssertionError(
                f"{name}, resumed after step {step}, differs from an uninterrupted run: {difference}"
            )


def _copy(callback: Callback) -> Callback:
    try:
        return deepcopy(callback)
    except TypeError as error:
        raise TypeError(f"{callback.name} cannot be copied, {error}; pass a function that returns one") from error


def assert_leaves_training_alone(*callbacks: Callback, epochs: int = 2) -> None:
    """Check that the parameters of a tiny GAN are bitwise identical when trained with and without the callbacks.

    Args:
        *callbacks: the callbacks, used together in a run of five steps per epoch.
        epochs: number of epochs.

    Raises:
        AssertionError: a parameter differs, or the run was stopped early; the message names the first step.
    """
    from ms_gan_callbacks.testing.tiny import Snapshots, record_baseline

    names = " and ".join(callback.name for callback in callbacks)
    watched = Snapshots.record(*callbacks, epochs=epochs)
    for step, expected in record_baseline(epochs).items():
        if step not in watched:
            raise AssertionError(f"{names} ends the run before step {step}")
        for name, digest in expected.items():
            if watched[step][name] != digest:
                raise AssertionError(f"{names} changes training: {name} differs at step {step}")
