"""What a list of callbacks must be like before a bus tells them anything."""

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
    """Whether a checkpoint keeps something of a callback."""
    return bool(callback.persistent) or type(callback).state is not Callback.state


def number_names(callbacks: Sequence[Callback]) -> list[str]:
    """Number those that share a name, so that every line of a summary says which one it means."""
    shared = Counter(callback.name for callback in callbacks)
    seen: Counter[str] = Counter()
    labels = []
    for callback in callbacks:
        seen[callback.name] += 1
        number = f" ({seen[callback.name]})" if shared[callback.name] > 1 else ""
        labels.append(callback.name + number)
    return labels


def check_kinds(callbacks: Sequence[Callback]) -> None:
    """Raise CallbackError for what is no callback, is there twice, or publishes what is no name."""
    for position, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            hint = " (the class; call it to make one)" if isinstance(callback, type) else ""
            raise CallbackError(f"callbacks[{position}] is {callback!r}{hint}, not a Callback")
        if any(callback is other for other in callbacks[:position]):
            raise CallbackError(f"callbacks[{position}], {callback.name}, is attached twice")
        for name in callback.publishes:
            if fault := find_name_fault(name):
                raise CallbackError(f"{callback.name} publishes {name!r}: {fault}")


def check_names(callbacks: Sequence[Callback], run: Run) -> None:
    """Raise CallbackError where one says that it publishes what the run itself does."""
    for callback in callbacks:
        for name in callback.publishes:
            if name in run.epoch_means.names:
                raise CallbackError(f"{callback.name} publishes {name!r}, which is a scalar of every step")
            if name in run.metric_names:
                raise CallbackError(f"{callback.name} publishes {name!r}, which is a metric of this run")


def warn_of_shared(labels: Sequence[str], callbacks: Sequence[Callback]) -> Iterator[str]:
    """Tell which callbacks write the same files, or publish the same names."""
    pairs = list(zip(labels, callbacks, strict=True))
    for attribute, what in (("writes", "write the same files"), ("publishes", "publish the same name")):
        claims = Counter(claim for callback in callbacks for claim in dict.fromkeys(getattr(callback, attribute)))
        for claim, count in claims.items():
            if count > 1:
                owners = [label for label, callback in pairs if claim in getattr(callback, attribute)]
                yield f"{' and '.join(owners)} {what}, {claim}: the last one wins"


def check_states(callbacks: Sequence[Callback]) -> None:
    """Raise CallbackError where states would share a name, or cannot be saved."""
    names: set[str] = set()
    for callback in callbacks:
        if not is_stateful(callback):
            continue
        if callback.name in names:
            raise CallbackError(
                f"two callbacks that keep state are named {callback.name!r}; give one of them another name"
            )
        names.add(callback.name)
        state_of(callback)


def state_of(callback: Callback) -> dict[str, Any]:
    """Return what a checkpoint keeps of a callback; raise CallbackError where JSON cannot hold it."""
    try:
        state = callback.state()
        json.dumps(state)
        _check_keys(callback.name, state)
        return state
    except AttributeError as error:
        raise CallbackError(
            f"{callback.name}: persistent names what __init__ did not set: {error.name!r}"
        ) from error
    except (TypeError, ValueError) as error:
        raise CallbackError(f"{callback.name} keeps state that JSON cannot hold: {error}") from error


def _check_keys(name: str, state: Any) -> None:
    """Raise CallbackError where a dict's keys would come back as text."""
    if isinstance(state, dict) and (strange := [key for key in state if not isinstance(key, str)]):
        raise CallbackError(
            f"{name} keeps a dict with the key {strange[0]!r}, which JSON gives back as text: make it text"
        )
    inside = state.values() if isinstance(state, dict) else state if isinstance(state, (list, tuple)) else ()
    for one in inside:
        _check_keys(name, one)


def with_tuples(callback: Callback, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state in which what the callback has as a tuple, and JSON gave back as a list, is a tuple again."""

    def was_tuple(attribute: str) -> bool:
        return attribute in callback.persistent and isinstance(getattr(callback, attribute, None), tuple)

    return {
        attribute: tuple(value) if isinstance(value, list) and was_tuple(attribute) else value
        for attribute, value in state.items()
    }
