"""Tells callbacks what happens, in order, and answers for what they do: time, errors, state."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any

from ms_gan_callbacks.callback import Callback, Event
from ms_gan_callbacks.errors import CallbackError, GanError, GanWarning, annotate, describe
from ms_gan_callbacks.run import Run


class _Attached:
    """A callback on the bus, with what the bus keeps about it."""

    def __init__(self, callback: Callback, label: str) -> None:
        self.callback, self.label = callback, label
        self.seconds = 0.0
        self.fault: str | None = None


class CallbackBus:
    """Delivers every event to the callbacks that listen to it; an event nobody listens to costs nothing.

    Use it as a context manager: callbacks acquire on entry, and release on exit whatever happened. An exception
    in a hook ends the run with its own type and a note that names the callback; that of an ``optional`` one
    detaches it, warns once, and is told again in the summary.

    Raises:
        CallbackError: something in the list is no callback, is attached twice, keeps state under a name that
            another one uses, or keeps state that JSON cannot hold.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        callbacks = list(callbacks)
        callbacks = [one for each in callbacks for one in (each, *getattr(each, "companions", ()))]
        _check(callbacks)
        ordered = sorted(callbacks, key=lambda callback: callback.order)
        self._attached = [_Attached(*pair) for pair in zip(ordered, _labels(ordered), strict=True)]
        self._listeners: dict[Event, list[tuple[_Attached, Callable[[Run], None]]]] = {}
        self._subscribe()
        self._exits = ExitStack()

    def _subscribe(self) -> None:
        for event in Event:
            self._listeners[event] = [
                (one, getattr(one.callback, event.value))
                for one in self._attached
                if one.fault is None and one.callback.listens(event)
            ]

    def __enter__(self) -> CallbackBus:
        self._exits = ExitStack()
        with ExitStack() as undo:
            undo.callback(self._exits.close)
            for one in self._attached:
                self._guard(one, "__enter__", one.callback.__enter__)
                if one.fault is None:
                    self._exits.push(partial(self._release, one))
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def _release(self, one: _Attached, *failure: Any) -> None:
        # Returns nothing, so that a callback whose __exit__ returns True cannot swallow a failure.
        self._guard(one, "__exit__", partial(one.callback.__exit__, *failure))

    def emit(self, event: Event, run: Run) -> None:
        """Call the event's hook on everybody who overrides it."""
        # Written out, not by way of _guard: after a step nothing of this is in the processor's caches, and every
        # call more, made eight times a step, shows.
        for one, hook in self._listeners[event]:
            began = perf_counter()
            try:
                hook(run)
            except Exception as error:
                self._answer_for(one, event.value, run, error)
            finally:
                one.seconds += perf_counter() - began

    def _guard(self, one: _Attached, hook: str, call: Callable[[], object]) -> None:
        began = perf_counter()
        try:
            call()
        except Exception as error:
            self._answer_for(one, hook, None, error)
        finally:
            one.seconds += perf_counter() - began

    def _answer_for(self, one: _Attached, hook: str, run: Run | None, error: Exception) -> None:
        """Detach an optional callback; raise the error of another, with a note of whose it is."""
        where = f"{one.label}.{hook}" + (f" at step {run.step}" if run else "")
        if not one.callback.optional:
            if not isinstance(error, GanError):  # ours say what is wrong themselves
                annotate(error, f"raised by {where}")
            raise error
        self._detach(one, f"{where} raised {type(error).__name__}: {error}")

    def _detach(self, one: _Attached, fault: str) -> None:
        if one.fault is None:
            one.fault = fault
            self._subscribe()
            warnings.warn(f"{fault}; the run goes on without it", GanWarning, stacklevel=2)

    def check(self, run: Run) -> list[str]:
        """Ask every callback whether it can work in this run; return the warnings.

        Raises:
            CallbackError: a callback says that it cannot.
        """
        found: list[str] = []
        for one in self._attached:
            self._guard(one, "check", lambda one=one: found.extend(one.callback.check(run)))  # type: ignore[misc]
        claims = Counter(path for one in self._attached for path in set(one.callback.writes))
        for path, count in claims.items():
            if count > 1:
                owners = [one.label for one in self._attached if path in one.callback.writes]
                found.append(f"{' and '.join(owners)} write the same files, {path}: the last one wins")
        return found

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the state of every callback that keeps some, by name.

        Raises:
            CallbackError: a state has become something that JSON cannot hold.
        """
        states: dict[str, dict[str, Any]] = {}
        for one in self._attached:
            if one.fault is None and _stateful(one.callback):
                self._guard(one, "state", partial(_collect_state, one.callback, states))
        return states

    def stateful(self) -> frozenset[str]:
        """Return the names of the callbacks that keep state."""
        return frozenset(one.callback.name for one in self._attached if _stateful(one.callback))

    def load_state(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Hand every callback its state back; one that is new to the run starts afresh."""
        for one in self._attached:
            if one.callback.name in states and _stateful(one.callback):
                one.callback.load_state(states[one.callback.name])

    def publishes(self) -> frozenset[str]:
        """Return all names that callbacks promise to log."""
        return frozenset(name for one in self._attached for name in one.callback.publishes)

    def writes(self) -> frozenset[str]:
        """Return the paths below the run's folder that callbacks write, with ``*`` where they vary."""
        return frozenset(path for one in self._attached for path in one.callback.writes)

    def costs(self) -> dict[str, float]:
        """Return the seconds spent in each callback, by label."""
        return {one.label: one.seconds for one in self._attached}

    def faults(self) -> list[str]:
        """Return what went wrong in callbacks that were detached."""
        return [one.fault for one in self._attached if one.fault]

    def summaries(self) -> dict[str, str]:
        """Return the summary line of every callback that has one, by label."""
        lines = {one.label: _summary(one.callback) for one in self._attached}
        return {label: line for label, line in lines.items() if line}

    def table(self) -> dict[Event, list[str]]:
        """Return who listens to what."""
        return {event: [one.label for one, _ in self._listeners[event]] for event in Event}


def _stateful(callback: Callback) -> bool:
    return bool(callback.persistent) or type(callback).state is not Callback.state


def _labels(callbacks: Sequence[Callback]) -> list[str]:
    """Number those that share a name, so that every line of a summary says which one it means."""
    shared = Counter(callback.name for callback in callbacks)
    seen: Counter[str] = Counter()
    labels = []
    for callback in callbacks:
        seen[callback.name] += 1
        number = f" ({seen[callback.name]})" if shared[callback.name] > 1 else ""
        labels.append(callback.name + number)
    return labels


def _check(callbacks: Sequence[Callback]) -> None:
    names: set[str] = set()
    for position, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            hint = " (the class; call it to make one)" if isinstance(callback, type) else ""
            raise CallbackError(f"callbacks[{position}] is {callback!r}{hint}, not a Callback")
        if any(callback is other for other in callbacks[:position]):
            raise CallbackError(f"callbacks[{position}], {callback.name}, is attached twice")
        if not _stateful(callback):
            continue
        if callback.name in names:
            raise CallbackError(
                f"two callbacks that keep state are named {callback.name!r}; give one of them another name"
            )
        names.add(callback.name)
        _checked_state(callback)


def _summary(callback: Callback) -> str | None:
    try:
        return callback.summary()
    except Exception as error:  # the run is over and its result must not be lost to a line about it
        return f"summary() raised {describe(error)}"


def _collect_state(callback: Callback, states: dict[str, dict[str, Any]]) -> None:
    if state := _checked_state(callback):
        states[callback.name] = state


def _checked_state(callback: Callback) -> dict[str, Any]:
    try:
        state = callback.state()
        json.dumps(state)
        return state
    except AttributeError as error:
        raise CallbackError(
            f"{callback.name}: persistent names what __init__ did not set: {error.name!r}"
        ) from error
    except (TypeError, ValueError) as error:
        raise CallbackError(f"{callback.name} keeps state that JSON cannot hold: {error}") from error
