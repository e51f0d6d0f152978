"""Validation of a list of callbacks, and of their states."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ms_gan_callbacks.errors import CallbackError
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.events.scalars import find_name_fault


def is_stateful(callback: Callback) -> bool:
    """Return whether a callback has state to save in checkpoints."""
    return bool(callback.persistent) or type(callback).state is not Callback.state


def number_names(callbacks: Sequence[Callback]) -> list[str]:
    """Return a label for each callback: its name, with a number if several callbacks share it."""
    shared = Counter(callback.name for callback in callbacks)
    seen: Counter[str] = Counter()
    labels = []
    for callback in callbacks:
        seen[callback.name] += 1
        number = f" ({seen[callback.name]})" if shared[callback.name] > 1 else ""
        labels.append(callback.name + number)
    return labels


def check_kinds(callbacks: Sequence[Callback]) -> None:
    """Raise CallbackError for objects that are not callbacks, duplicates, and invalid names in ``publishes``."""
    for position, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            hint = " (a class: pass an instance)" if isinstance(callback, type) else ""
            raise CallbackError(f"callbacks[{position}] is {callback!r}{hint}, not a Callback")
        if any(callback is other for other in callbacks[:position]):
            raise CallbackError(f"callbacks[{position}], {callback.name}, is attached twice")
        for name in callback.publishes:
            if fault := find_name_fault(name):
                raise CallbackError(f"{callback.name} publishes {name!r}: {fault}")


def check_names(callbacks: Sequence[Callback], run: Run) -> None:
    """Raise CallbackError if a callback publishes the name of a scalar or metric of the run."""
    for callback in callbacks:
        for name in callback.publishes:
            if name in run.epoch_means.names:
                raise CallbackError(f"{callback.name} publishes {name!r}, which is a scalar of every step")
            if name in run.metric_names:
                raise CallbackError(f"{callback.name} publishes {name!r}, which is a metric of this run")


def warn_of_shared(labels: Sequence[str], callbacks: Sequence[Callback]) -> Iterator[str]:
    """Yield a warning for every file or name that several callbacks write or publish."""
    pairs = list(zip(labels, callbacks, strict=True))
    for attribute, what in (("writes", "write the same files"), ("publishes", "publish the same name")):
        claims = Counter(claim for callback in callbacks for claim in dict.fromkeys(getattr(callback, attribute)))
        for claim, count in claims.items():
            if count > 1:
                owners = [label for label, callback in pairs if claim in getattr(callback, attribute)]
                yield f"{' and '.join(owners)} {what}, {claim}: only the last one is kept"


def check_states(callbacks: Sequence[Callback]) -> None:
    """Raise CallbackError if two stateful callbacks share a name, or a state cannot be saved."""
    names: set[str] = set()
    for callback in callbacks:
        if not is_stateful(callback):
            continue
        if callback.name in names:
            raise CallbackError(f"two stateful callbacks are named {callback.name!r}; rename one of them")
        names.add(callback.name)
        read_state(callback)


def read_state(callback: Callback) -> dict[str, Any]:
    """Return a callback's state; raise CallbackError if it cannot be stored as JSON."""
    try:
        state = callback.state()
        json.dumps(state)
        _check_keys(callback.name, state)
        return state
    except AttributeError as error:
        raise CallbackError(
            f"{callback.name}: persistent lists {error.name!r}, which __init__ does not set"
        ) from error
    except (TypeError, ValueError) as error:
        raise CallbackError(f"{callback.name}: state cannot be stored as JSON: {error}") from error


def _check_keys(name: str, state: Any) -> None:
    """Raise CallbackError if a dict has keys that JSON would convert to strings."""
    if isinstance(state, dict) and (strange := [key for key in state if not isinstance(key, str)]):
        raise CallbackError(
            f"{name}: state has the key {strange[0]!r}, which JSON would convert to a string: use a string"
        )
    inside = state.values() if isinstance(state, dict) else state if isinstance(state, (list, tuple)) else ()
    for one in inside:
        _check_keys(name, one)


def restore_tuples(callback: Callback, state: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the lists of a state read from JSON to tuples, for attributes that are tuples in the callback."""
    tuples = {name for name in callback.persistent if isinstance(getattr(callback, name, None), tuple)}
    return {
        name: tuple(value) if name in tuples and isinstance(value, list) else value
        for name, value in state.items()
    }
