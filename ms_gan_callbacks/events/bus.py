"""Tells callbacks what happens, in order, and answers for what they do: time, errors, state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Any
from weakref import ref

from ms_gan_callbacks.errors import GanError, annotate, describe, first_sentence, warn
from ms_gan_callbacks.events.as_made import lend, note_left
from ms_gan_callbacks.events.bus_checks import (
    check_kinds,
    check_names,
    check_states,
    is_stateful,
    number_names,
    state_of,
    warn_of_shared,
    with_tuples,
)
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.run import Run


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

    Args:
        callbacks: who is told; the companions of each are attached after it.
        owner: whose run it is. Callbacks that another owner's bus has had are put back to what they were made as;
            those of the same owner go on. Without one nothing of them is touched.

    Raises:
        CallbackError: something in the list is no callback, is attached twice, keeps state under a name that
            another one uses, or keeps state that JSON cannot hold; or it was in another run and cannot be
            put back.
    """

    def __init__(self, callbacks: Iterable[Callback], owner: object | None = None) -> None:
        callbacks = list(callbacks)
        callbacks = [one for each in callbacks for one in (each, *getattr(each, "companions", ()))]
        check_kinds(callbacks)
        # Weakly: an owner holds its bus, and what it made is to go when it does.
        self._owner = None if owner is None else ref(owner)
        self._callbacks = callbacks
        self._lend()
        check_states(callbacks)
        ordered = sorted(callbacks, key=lambda callback: callback.order)
        self._attached = [_Attached(*pair) for pair in zip(ordered, number_names(ordered), strict=True)]
        self._listeners: dict[Event, list[tuple[_Attached, Callable[[Run], None]]]] = {}
        self._subscribe()
        self._exits = ExitStack()
        self._note_left()

    @property
    def callbacks(self) -> Sequence[Callback]:
        """All that are attached, companions included, as they were given."""
        return self._callbacks

    def _lend(self) -> None:
        if self._owner is not None and (owner := self._owner()) is not None:
            for callback in self._callbacks:
                lend(callback, owner, callback.name)

    def _note_left(self) -> None:
        for callback in self._callbacks if self._owner is not None else ():
            note_left(callback)

    def _subscribe(self) -> None:
        for event in Event:
            self._listeners[event] = [
                (one, getattr(one.callback, event.value))
                for one in self._attached
                if one.fault is None and one.callback.listens(event)
            ]
        self._readers = [
            one
            for one in self._attached
            if one.fault is None and type(one.callback).see_logged is not Callback.see_logged
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
        try:
            self._exits.__exit__(kind, error, trace)
        finally:
            self._note_left()

    def _release(self, one: _Attached, *failure: Any) -> None:
        # Returns nothing, so that a callback whose __exit__ returns True cannot swallow a failure.
        self._guard(one, "__exit__", partial(one.callback.__exit__, *failure))

    def emit(self, event: Event, run: Run, note: Callable[[Event], None] | None = None) -> None:
        """Call the event's hook on everybody who overrides it; then let go of what was logged in it.

        Before that, those that read what others log see what was logged after their turn.

        Args:
            event: what happens.
            run: where it happens.
            note: what is called with the event before what was logged is gone.
        """
        # Written out, not by way of _guard: after a step nothing of this is in the processor's caches, and every
        # call more, made eight times a step, shows.
        try:
            for one, hook in self._listeners[event]:
                began = perf_counter()
                try:
                    hook(run)
                except Exception as error:
                    self._answer_for(one, event.value, run, error)
                finally:
                    one.seconds += perf_counter() - began
        except Exception:
            with suppress(Exception):  # what was logged may tell why the run fails
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
        """Detach an optional callback; raise the error of another, with a note of whose it is."""
        where = f"{one.label}.{hook}" + (f" at step {run.step}" if run else "")
        if not one.callback.optional:
            if not isinstance(error, GanError):  # ours say what is wrong themselves
                annotate(error, f"raised by {where}")
            raise error
        self._detach(one, f"{where} raised {type(error).__name__}: {first_sentence(error)}")

    def _detach(self, one: _Attached, fault: str) -> None:
        if one.fault is None:
            one.fault = fault
            self._subscribe()
            warn(f"{fault}; the run goes on without it")

    def check(self, run: Run) -> list[str]:
        """Ask every callback whether it can work in this run; return the warnings.

        Raises:
            CallbackError: a callback says that it cannot.
        """
        found: list[str] = []
        self._lend()  # again: between two trainings of a Model another run may have had them
        try:
            check_names(self._callbacks, run)
            for one in self._attached:
                self._guard(one, "check", lambda one=one: found.extend(one.callback.check(run)))  # type: ignore[misc]
        finally:
            self._note_left()
        found += warn_of_shared([one.label for one in self._attached], [one.callback for one in self._attached])
        return found

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the state of every callback that keeps some, by name.

        Raises:
            CallbackError: a state has become something that JSON cannot hold.
        """
        states: dict[str, dict[str, Any]] = {}
        for one in self._attached:
            if one.fault is None and is_stateful(one.callback):
                self._guard(one, "state", partial(_collect_state, one.callback, states))
        return states

    def stateful(self) -> frozenset[str]:
        """Return the names of the callbacks that keep state."""
        return frozenset(one.callback.name for one in self._attached if is_stateful(one.callback))

    def load_state(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Hand every callback its state back; one that is new to the run starts afresh."""
        for one in self._attached:
            if one.callback.name in states and is_stateful(one.callback):
                one.callback.load_state(with_tuples(one.callback, states[one.callback.name]))
        self._note_left()

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
        self._note_left()
        return {label: line for label, line in lines.items() if line}

    def table(self) -> dict[Event, list[str]]:
        """Return who listens to what."""
        return {event: [one.label for one, _ in self._listeners[event]] for event in Event}


def _summary(callback: Callback) -> str | None:
    try:
        return callback.summary()
    except Exception as error:  # the run is over and its result must not be lost to a line about it
        return f"summary() raised {describe(error)}"


def _collect_state(callback: Callback, states: dict[str, dict[str, Any]]) -> None:
    if state := state_of(callback):
        states[callback.name] = state
