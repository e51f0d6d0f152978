"""Delivery of events to callbacks, in order, with timing, error handling and state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any
from weakref import ref

from ms_gan_callbacks.errors import GanError, annotate, describe, extract_message, warn
from ms_gan_callbacks.events.as_made import lend, record_state
from ms_gan_callbacks.events.bus_checks import (
    check_kinds,
    check_names,
    check_states,
    is_stateful,
    number_names,
    read_state,
    restore_tuples,
    warn_of_shared,
)
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.run import Run


@dataclass(eq=False)
class _Attached:
    """A callback on the bus, with its label, time and fault."""

    callback: Callback
    label: str
    seconds: float = 0.0
    fault: str | None = None


class CallbackBus:
    """Delivers every event to the callbacks that handle it; an event without handlers costs nothing.

    Use it as a context manager: it calls ``__enter__`` of all callbacks on entry and ``__exit__`` on exit, also
    after an exception. An exception in a hook ends the run with its original type and a note that names the
    callback. An exception in an ``optional`` callback detaches it, with a warning and a row in the summary.

    Args:
        callbacks: the callbacks; the companions of each are attached after it.
        owner: the owner of the run. Callbacks used by another owner's bus are reset to their initial state; those
            of the same owner keep their state. Without an owner callbacks are not reset.

    Raises:
        CallbackError: an entry is not a callback or is attached twice, two stateful callbacks share a name, a
            state cannot be stored as JSON, or a callback was used in another run and cannot be reset.
    """

    def __init__(self, callbacks: Iterable[Callback], owner: object | None = None) -> None:
        callbacks = list(callbacks)
        callbacks = [one for each in callbacks for one in (each, *getattr(each, "companions", ()))]
        check_kinds(callbacks)
        # A weak reference: the owner holds the bus, and a cycle would delay the release of both.
        self._owner = None if owner is None else ref(owner)
        self._callbacks = callbacks
        self._lend()
        check_states(callbacks)
        ordered = sorted(callbacks, key=lambda callback: callback.order)
        self._attached = [_Attached(*pair) for pair in zip(ordered, number_names(ordered), strict=True)]
        self._listeners: dict[Event, list[tuple[_Attached, Callable[[Run], None]]]] = {}
        self._subscribe()
        self._exits = ExitStack()
        self._record_states()

    @property
    def callbacks(self) -> Sequence[Callback]:
        """All attached callbacks in their original order, including companions."""
        return self._callbacks

    def _lend(self) -> None:
        if self._owner is not None and (owner := self._owner()) is not None:
            for callback in self._callbacks:
                lend(callback, owner, callback.name)

    def _record_states(self) -> None:
        for callback in self._callbacks if self._owner is not None else ():
            record_state(callback)

    def _subscribe(self) -> None:
        active = [one for one in self._attached if one.fault is None]
        for event in Event:
            listeners = [one for one in active if one.callback.listens(event)]
            self._listeners[event] = [(one, getattr(one.callback, event.value)) for one in listeners]
        self._readers = [one for one in active if type(one.callback).see_logged is not Callback.see_logged]

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
        try:
            self._exits.__exit__(kind, error, trace)
        finally:
            self._record_states()

    def _release(self, one: _Attached, *failure: Any) -> None:
        # Returns None, so that a callback whose __exit__ returns True cannot suppress an exception.
        self._guard(one, "__exit__", partial(one.callback.__exit__, *failure))

    def emit(self, event: Event, run: Run, note: Callable[[Event], None] | None = None) -> None:
        """Call the event's hooks, then ``see_logged`` if values were logged, and clear the logged values.

        Args:
            event: the event.
            run: the run.
            note: called with the event before the logged values are cleared.
        """
        # Not by way of _guard: this code runs with cold processor caches eight times per step, where an extra call
        # is measurable.
        try:
            ended = perf_counter()
            for one, hook in self._listeners[event]:
                began = ended
                try:
                    hook(run)
                except Exception as error:
                    self._answer_for(one, event.value, run, error)
                finally:
                    ended = perf_counter()
                    one.seconds += ended - began
        except Exception:
            with suppress(Exception):  # logged values may show the cause of the failure
                self._show_logged(run)
            raise
        logged = bool(run.logged or run.images)
        if logged:
            self._show_logged(run)
        if note is not None:
            note(event)
        if logged:
            run.forget_logged()

    def _show_logged(self, run: Run) -> None:
        for one in self._readers:
            self._guard(one, "see_logged", partial(one.callback.see_logged, run))

    def _guard(self, one: _Attached, hook: str, call: Callable[[], object]) -> None:
        began = perf_counter()
        try:
            call()
        except Exception as error:
            self._answer_for(one, hook, None, error)
        finally:
            one.seconds += perf_counter() - began

    def _answer_for(self, one: _Attached, hook: str, run: Run | None, error: Exception) -> None:
        """Detach an optional callback; raise the error of any other, with a note that names the callback."""
        where = f"{one.label}.{hook}" + (f" at step {run.step}" if run else "")
        if not one.callback.optional:
            if not isinstance(error, GanError):  # messages of a GanError are complete
                annotate(error, f"raised by {where}")
            raise error
        if one.fault is None:
            one.fault = f"{where} raised {type(error).__name__}: {extract_message(error)}"
            self._subscribe()
            warn(f"{one.fault}; the run continues without it")

    def check(self, run: Run) -> list[str]:
        """Call ``check`` of every callback; return the warnings.

        Raises:
            CallbackError: a callback cannot work in this run.
        """
        found: list[str] = []
        self._lend()  # again: another run may have used them between two calls of Model.train
        try:
            check_names(self._callbacks, run)
            for one in self._attached:
                self._guard(one, "check", lambda one=one: found.extend(one.callback.check(run)))  # type: ignore[misc]
        finally:
            self._record_states()
        found += warn_of_shared([one.label for one in self._attached], [one.callback for one in self._attached])
        return found

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the state of every stateful callback, by name.

        Raises:
            CallbackError: a state cannot be stored as JSON.
        """
        states: dict[str, dict[str, Any]] = {}
        for one in self._attached:
            if one.fault is None and is_stateful(one.callback):
                self._guard(one, "state", partial(_collect_state, one.callback, states))
        return states

    def stateful(self) -> frozenset[str]:
        """Return the names of the stateful callbacks."""
        return frozenset(one.callback.name for one in self._attached if is_stateful(one.callback))

    def load_state(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Restore the state of every callback; one without a saved state keeps its initial state."""
        for one in self._attached:
            if one.callback.name in states and is_stateful(one.callback):
                one.callback.load_state(restore_tuples(one.callback, states[one.callback.name]))
        self._record_states()

    def publishes(self) -> frozenset[str]:
        """Return the names that callbacks declare in ``publishes``."""
        return frozenset(name for one in self._attached for name in one.callback.publishes)

    def writes(self) -> frozenset[str]:
        """Return the paths that callbacks write, as patterns relative to the run directory."""
        return frozenset(path for one in self._attached for path in one.callback.writes)

    def costs(self) -> dict[str, float]:
        """Return the seconds spent in each callback, by label."""
        return {one.label: one.seconds for one in self._attached}

    def faults(self) -> list[str]:
        """Return the errors of the detached callbacks."""
        return [one.fault for one in self._attached if one.fault]

    def summaries(self) -> dict[str, str]:
        """Return the summary line of every callback that has one, by label."""
        lines: dict[str, str] = {}
        for one in self._attached:
            try:
                line = one.callback.summary()
            except Exception as error:  # an error in a summary must not fail a run that is complete
                line = f"summary() raised {describe(error)}"
            if line:
                lines[one.label] = line
        self._record_states()
        return lines

    def table(self) -> dict[Event, list[str]]:
        """Return the labels of the callbacks that handle each event."""
        return {event: [one.label for one, _ in self._listeners[event]] for event in Event}


def _collect_state(callback: Callback, states: dict[str, dict[str, Any]]) -> None:
    if state := read_state(callback):
        states[callback.name] = state
