"""Lets an object serve one run after another: each finds it as it was made, not as the run before left it."""

from __future__ import annotations

import sys
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from copy import deepcopy
from functools import partial
from inspect import ismemberdescriptor
from io import IOBase
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

from ms_gan_callbacks.errors import CallbackError

CONTAINERS = (list, dict, set, deque, bytearray)

MEMORY = "_as_made"
"""The attribute in which an object keeps what it was made as, so that its copies know, too."""

UNCHANGING = (type(None), bool, int, float, complex, str, bytes, type, FunctionType, BuiltinFunctionType)
SHARED = (ModuleType, IOBase, type(threading.Lock()), type(threading.RLock()))
"""What no run changes in a way that the next one could notice, and what cannot be copied."""


class AsMade:
    """What an object was made as. Whatever is set while no run has it counts as made.

    Attributes:
        made: copies of its attributes.
        kept: the objects in them that are no copies; see :func:`_survey`.
        stuck: names of those that cannot be copied.
        left: the attributes as the newest run left them, themselves.
        parts: the callbacks that it holds, each with a memory of its own.
        used: whether a run has had it.
    """

    owner: ref[Any] | None = None  # the run that has it
    of: int = 0  # the object's id: a shallow copy of it has the same memory

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.kept: list[Any] = []
        self.stuck: set[str] = set()
        self.left: dict[str, Any] = {}
        self.parts: list[Any] = []
        self.used = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has in common with it: the run is no part of that."""
        return {name: value for name, value in vars(self).items() if name not in ("owner", "of")}


def lend(thing: Any, owner: object, label: str) -> None:
    """Give a callback, and the callbacks that it holds, to a run: as made, unless this run has had it before.

    Args:
        thing: the callback.
        owner: whose run it is.
        label: how messages call it.

    Raises:
        CallbackError: another run has had it, and it cannot be put back.
    """
    waiting, done = [thing], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in done:
            done.add(id(one))
            waiting += _lend(one, owner, label)


def _lend(thing: Any, owner: object, label: str) -> list[Any]:
    memory, now = _memory_of(thing), _attributes(thing)
    changed = {name: now[name] for name in now if name not in memory.left or _differ(memory.left[name], now[name])}
    other = memory.used and (memory.owner is None or memory.owner() is not owner)
    gone = memory.left.keys() - now.keys()
    for name in sorted(memory.stuck - changed.keys() - gone) if other else ():
        raise CallbackError(
            f"{label} was in another run and keeps {name}, which cannot be put back: make a new one for each run"
        )
    memory.stuck -= gone
    for name in gone:
        memory.made.pop(name, None)
    memory.left = {}  # which holds what is to be found out to be nobody else's
    del now
    _remember(thing, memory, changed)
    if other:
        _put_back(thing, memory, changed)
    memory.owner, memory.used = ref(owner), True
    memory.left = _attributes(thing)
    return memory.parts


def _differ(then: Any, now: Any) -> bool:
    same = type(then) is type(now) and isinstance(now, UNCHANGING) and then == now
    return then is not now and not same


def note_left(thing: Any) -> None:
    """Take down how a run leaves a callback, so that what is set from now on is known to be another's doing."""
    waiting, done = [thing], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in done and MEMORY in vars(one):
            done.add(id(one))
            memory = _memory_of(one)
            memory.left = _attributes(one)
            waiting += memory.parts


def _memory_of(thing: Any) -> AsMade:
    """Return an object's memory, a new one each time: a copy of the object must not be told what becomes of it."""
    then, memory = vars(thing).get(MEMORY), AsMade()
    if then is not None:
        vars(memory).update(then.__getstate__())
        memory.made, memory.stuck = dict(then.made), set(then.stuck)
        if then.of == id(thing):
            memory.owner = then.owner
    memory.of = id(thing)
    vars(thing)[MEMORY] = memory
    return memory


def _remember(thing: Any, memory: AsMade, changed: dict[str, Any]) -> None:
    if not changed:
        return
    kept, parts, live = _survey(thing, changed)
    memory.parts = [*(part for part in memory.parts if not any(part is other for other in parts)), *parts]
    memory.kept += kept
    copies = {id(one): one for one in (thing, *memory.kept)}
    for name, value in changed.items():
        memory.stuck.discard(name)
        try:
            memory.made[name] = deepcopy(value, copies)
        except Exception:  # whatever its own way of being copied raises
            memory.made[name] = value
            memory.stuck.add(name)
        if name in live:
            memory.stuck.add(name)


def _put_back(thing: Any, memory: AsMade, changed: Collection[str]) -> None:
    slots, attributes = _slots(thing), vars(thing)
    copies = {id(one): one for one in (thing, *memory.kept)}
    for name in _attributes(thing).keys() - memory.made.keys():
        slots[name].__delete__(thing) if name in slots else attributes.pop(name)
    for name in memory.made.keys() - changed:
        again = deepcopy(memory.made[name], copies)
        if name in slots:
            slots[name].__set__(thing, again)
        else:
            attributes[name] = again


def _attributes(thing: Any) -> dict[str, Any]:
    """Return what may differ between two runs: all but what the class says is carried over."""
    carried = {MEMORY, *getattr(thing, "carried_over", ())}
    found = vars(thing)
    # A list that stands in the class is every object's, until one has been put back to a copy of its own.
    of_class = {name: value for name, value in _class_attributes(thing) if isinstance(value, CONTAINERS)}
    slotted = {name: getattr(thing, name) for name in _slots(thing) if hasattr(thing, name)}
    return {name: value for name, value in {**of_class, **found, **slotted}.items() if name not in carried}


def _class_attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    for kind in reversed(type(thing).__mro__):
        yield from ((name, value) for name, value in vars(kind).items() if not name.startswith("__"))


def _slots(thing: Any) -> dict[str, Any]:
    slotted = (kind for kind in type(thing).__mro__ if "__slots__" in vars(kind))
    described = (pair for kind in slotted for pair in vars(kind).items())
    return {name: slot for name, slot in described if ismemberdescriptor(slot)}


def _survey(thing: Any, changed: dict[str, Any]) -> tuple[list[Any], list[Any], set[str]]:
    """Look through attributes; return what is not to be copied, the callbacks, and the names that hold threads.

    Copied is what the callback alone has. A network, another callback, a file, and whatever somebody else holds as
    well, such as a list that was passed in, are not its own: they stay what they are.
    """
    held, seen = Counter[int](), dict[int, Any]()
    kept: dict[int, Any] = {}
    parts: list[Any] = []
    live = set[str]()
    for name in list(changed):
        held[id(changed[name])] += 1  # by the argument of this function
        waiting = [changed[name]]
        while waiting:
            one = waiting.pop()
            held[id(one)] += 1
            if one is thing or isinstance(one, UNCHANGING) or id(one) in kept or id(one) in seen:
                pass
            elif is_callback(one):
                kept[id(one)] = one
                parts.append(one)
            elif isinstance(one, SHARED) or _of_mindspore(one):
                kept[id(one)] = one
            else:
                seen[id(one)] = one
                waiting += _inside(one)
            if isinstance(one, threading.Thread):
                live.add(name)
            del one
    for key in seen:
        # One more is `seen` itself, and one the argument of getrefcount.
        if not isinstance(seen[key], (tuple, frozenset, MethodType, partial)) and (
            sys.getrefcount(seen[key]) - held[key] > ALONE
        ):
            kept[key] = seen[key]
    return list(kept.values()), parts, live


def _inside(one: Any) -> Iterator[Any] | Iterable[Any]:
    """Return what an object is made of, as far as a copy of it would have to copy."""
    if isinstance(one, dict):
        yield from one.keys()
        yield from one.values()
    elif isinstance(one, (list, set, deque, tuple, frozenset)):
        yield from one
    elif isinstance(one, MethodType):
        yield one.__self__
    elif isinstance(one, partial):
        yield from (one.func, *one.args, *one.keywords.values())
    yield from getattr(one, "__dict__", {}).values()
    for name in _slots(one):
        if hasattr(one, name):
            yield getattr(one, name)


def is_callback(one: Any) -> bool:
    """Whether an object is told of a run's events: one of ours, or one of MindSpore's."""
    return callable(getattr(type(one), "on_train_begin", None))


def _of_mindspore(one: Any) -> bool:
    """Whether an object is what a run trains, or trains on; a tensor is a number like any other."""
    named = (kind for kind in type(one).__mro__ if kind.__module__.partition(".")[0] == "mindspore")
    return any(kind.__name__ in ("Cell", "Parameter", "Dataset", "Model") for kind in named)


def _count_alone() -> int:
    """Return how many references to an object that is held once are seen in :func:`_survey`."""
    seen = {0: []}  # type: ignore[var-annotated]
    return sys.getrefcount(seen[0])


ALONE = _count_alone()
