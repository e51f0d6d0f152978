"""Reset of reused callbacks: every run starts with the attributes that a callback was created with."""

from __future__ import annotations

import sys
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from inspect import ismemberdescriptor
from io import IOBase
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

from ms_gan_callbacks.errors import CallbackError
from ms_gan_callbacks.events.callback import is_callback_class

CONTAINERS = (list, dict, set, deque, bytearray)

MEMORY = "_as_made"
"""The attribute that holds an object's memory, so that copies of the object include it."""

UNCHANGING = (type(None), bool, int, float, complex, str, bytes, type, FunctionType, BuiltinFunctionType)
SHARED = (ModuleType, IOBase, type(threading.Lock()), type(threading.RLock()))
"""Types that are never copied: they are immutable, or cannot be copied."""


@dataclass(eq=False)
class AsMade:
    """The initial state of an object. Attributes set between two runs are part of it.

    Attributes:
        made: copies of the initial attributes.
        kept: objects in them that are not copied; see :func:`_survey`.
        stuck: names of attributes that cannot be copied.
        left: the attributes at the end of the last run, not copied.
        parts: callbacks that the object holds; each has a separate memory.
        used: whether the object has been used in a run.
    """

    made: dict[str, Any] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    left: dict[str, Any] = field(default_factory=dict)
    parts: list[Any] = field(default_factory=list)
    used: bool = False
    owner: ref[Any] | None = None  # the run that uses the object
    of: int = 0  # id of the object: a shallow copy has the same memory

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes that are copied with the object, which exclude the run."""
        return {name: value for name, value in vars(self).items() if name not in ("owner", "of")}


def lend(thing: Any, owner: object, label: str) -> None:
    """Assign a callback, and the callbacks it holds, to a run's owner; reset them if another run has used them.

    Raises:
        CallbackError: another run has used the callback, and it cannot be reset.
    """
    for one in _walk(thing):
        _lend(one, owner, label)


def _walk(thing: Any) -> Iterator[Any]:
    """Yield a callback and the callbacks it holds, which may be recorded while it is visited."""
    waiting, done = [thing], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in done:
            done.add(id(one))
            yield one
            if MEMORY in vars(one):
                waiting += vars(one)[MEMORY].parts


def _lend(thing: Any, owner: object, label: str) -> None:
    memory, now = _get_memory(thing), _list_attributes(thing)
    changed = {
        name: now[name] for name in now if name not in memory.left or _has_changed(memory.left[name], now[name])
    }
    other = memory.used and (memory.owner is None or memory.owner() is not owner)
    gone = memory.left.keys() - now.keys()
    for name in sorted(memory.stuck - changed.keys() - gone) if other else ():
        raise CallbackError(
            f"{label} was used in another run and its attribute {name} cannot be reset: create a new one per run"
        )
    memory.stuck -= gone
    for name in gone:
        memory.made.pop(name, None)
    memory.left = {}  # drop these references before _survey counts references
    del now
    _remember(thing, memory, changed)
    if other:
        _reset(thing, memory, changed)
    memory.owner, memory.used = ref(owner), True
    memory.left = _list_attributes(thing)


def _has_changed(then: Any, now: Any) -> bool:
    same = type(then) is type(now) and isinstance(now, UNCHANGING) and then == now
    return then is not now and not same


def record_state(thing: Any) -> None:
    """Record a callback's attributes at the end of a run; later changes become part of the initial state."""
    for one in _walk(thing):
        if MEMORY in vars(one):
            _get_memory(one).left = _list_attributes(one)


def _get_memory(thing: Any) -> AsMade:
    """Return a new copy of an object's memory: copies of the object must not share it."""
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
        except Exception:  # a custom __deepcopy__ can raise anything
            memory.made[name] = value
            memory.stuck.add(name)
        if name in live:
            memory.stuck.add(name)


def _reset(thing: Any, memory: AsMade, changed: Collection[str]) -> None:
    slots, attributes = _list_slots(thing), vars(thing)
    copies = {id(one): one for one in (thing, *memory.kept)}
    for name in _list_attributes(thing).keys() - memory.made.keys():
        slots[name].__delete__(thing) if name in slots else attributes.pop(name)
    for name in memory.made.keys() - changed:
        again = deepcopy(memory.made[name], copies)
        if name in slots:
            slots[name].__set__(thing, again)
        else:
            attributes[name] = again


def _list_attributes(thing: Any) -> dict[str, Any]:
    """Return the attributes to reset between runs: all except ``carried_over``."""
    carried = {MEMORY, *getattr(thing, "carried_over", ())}
    found = vars(thing)
    # A list in the class is shared by all objects, until a reset replaces it by a copy in the object.
    of_class = {
        name: value
        for kind in reversed(type(thing).__mro__)
        for name, value in vars(kind).items()
        if isinstance(value, CONTAINERS) and not name.startswith("__")
    }
    slotted = {name: getattr(thing, name) for name in _list_slots(thing) if hasattr(thing, name)}
    return {name: value for name, value in {**of_class, **found, **slotted}.items() if name not in carried}


def _list_slots(thing: Any) -> dict[str, Any]:
    slotted = (kind for kind in type(thing).__mro__ if "__slots__" in vars(kind))
    described = (pair for kind in slotted for pair in vars(kind).items())
    return {name: slot for name, slot in described if ismemberdescriptor(slot)}


def _survey(thing: Any, changed: dict[str, Any]) -> tuple[list[Any], list[Any], set[str]]:
    """Return the objects not to copy, the callbacks, and the names of attributes that hold threads.

    Only objects referenced by this callback alone are copied. Networks, other callbacks, files, and objects that
    are referenced elsewhere, such as a list passed to the constructor, are shared.
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
            elif is_callback_class(type(one)):
                kept[id(one)] = one
                parts.append(one)
            elif isinstance(one, SHARED) or _is_mindspore_object(one):
                kept[id(one)] = one
            else:
                seen[id(one)] = one
                waiting += _list_parts(one)
            if isinstance(one, threading.Thread):
                live.add(name)
            del one
    for key in seen:
        # `seen` and the argument of getrefcount are references, too; ALONE includes both.
        if not isinstance(seen[key], (tuple, frozenset, MethodType, partial)) and (
            sys.getrefcount(seen[key]) - held[key] > ALONE
        ):
            kept[key] = seen[key]
    return list(kept.values()), parts, live


def _list_parts(one: Any) -> Iterator[Any] | Iterable[Any]:
    """Yield the objects that a deep copy would copy with an object."""
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
    for name in _list_slots(one):
        if hasattr(one, name):
            yield getattr(one, name)


def _is_mindspore_object(one: Any) -> bool:
    """Return whether an object is a network, parameter, dataset or model of MindSpore. Tensors are copied."""
    named = (kind for kind in type(one).__mro__ if kind.__module__.partition(".")[0] == "mindspore")
    return any(kind.__name__ in ("Cell", "Parameter", "Dataset", "Model") for kind in named)


def _count_alone() -> int:
    """Return the reference count in :func:`_survey` of an object that is referenced once."""
    seen = {0: []}  # type: ignore[var-annotated]
    return sys.getrefcount(seen[0])


ALONE = _count_alone()
