"""The parameters of a function or a class, read from its signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from ms_gan_callbacks.errors import RecipeError


class _Required(Enum):
    REQUIRED = "required"


@dataclass(frozen=True)
class Tunable:
    """A parameter that can be typed, of ``recipe(...)`` say.

    Attributes:
        kinds: the types a value may have, ``NoneType`` among them where None is allowed.
        default: its default; ``Tunable.REQUIRED`` where it has none.
        choices: values that its annotation names by ``Literal``.
        free: the types of which it takes any value; with ``choices``, those that no ``Literal`` restricts.
    """

    REQUIRED: ClassVar[_Required] = _Required.REQUIRED

    name: str
    kinds: tuple[type, ...]
    default: Any
    choices: tuple[Any, ...] = ()
    free: tuple[type, ...] = ()

    @property
    def type_name(self) -> str:
        """The type as one writes it."""
        kinds = self.free if self.choices else self.kinds
        names = ("None" if kind is types.NoneType else kind.__name__ for kind in kinds)
        return " | ".join([*map(repr, self.choices), *names])

    def allows(self, value: Any) -> bool:
        """Whether a value is among the choices, where there are any."""
        if not self.choices:
            return True
        if isinstance(value, self.free):
            return not isinstance(value, bool) or bool in self.free or object in self.free
        return any(type(value) is type(choice) and value == choice for choice in self.choices)


def tunables(function: Callable[..., Any], path: Path) -> dict[str, Tunable]:
    """Return the tunables of a recipe's function, in the order of its signature.

    Raises:
        RecipeError: a parameter has neither a default nor an annotation to read its type from, or cannot be
            given by name.
    """
    hints = _hints(function)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise RecipeError(f"{path}: recipe({parameter}) cannot be set by name; write its parameters out")
        found[name] = _tunable(parameter, hints.get(name))
        if not found[name].kinds:
            raise RecipeError(f"{path}: parameter {name} of recipe(...) needs a default or a type")
    return found


def settings(function: Callable[..., Any]) -> dict[str, Tunable]:
    """Return what can be set by name of any function or class, a callback's say, whoever wrote it.

    A required parameter of unknown type takes a Python literal, or else text.
    """
    hints = _hints(function.__init__ if isinstance(function, type) else function)  # type: ignore[misc]
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            tunable = _tunable(parameter, hints.get(name))
            found[name] = tunable if tunable.kinds else replace(tunable, kinds=(object, str))
    return found


def _tunable(parameter: inspect.Parameter, hint: Any) -> Tunable:
    required = parameter.default is parameter.empty
    default = Tunable.REQUIRED if required else parameter.default
    if hint is None:
        return Tunable(parameter.name, () if required else _kinds_of(parameter.default), default)
    parts = _parts(hint)
    choices = tuple(choice for part in parts if _is_literal(part) for choice in typing.get_args(part))
    free = tuple(kind for part in parts if not _is_literal(part) for kind in _kinds(part))
    kinds = tuple(dict.fromkeys(kind for part in parts for kind in _kinds(part)))
    return Tunable(parameter.name, kinds, default, choices, free)


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the annotations that can be evaluated, each by itself.

    One that only a type checker can see must not cost the others their types. The names of ``typing`` are known,
    as they are often imported for a type checker only.
    """
    known = {**vars(typing), "Path": Path, **getattr(function, "__globals__", {})}
    hints: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(alone, known)
        except Exception:  # an annotation is any expression, and may raise anything
            continue
    return hints


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return the types that a union is made of, or the one type."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(part for each in typing.get_args(hint) for part in _parts(each))
    return (hint,)


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal


def _kinds(part: Any) -> tuple[type, ...]:
    if _is_literal(part):
        return tuple(dict.fromkeys(type(choice) for choice in typing.get_args(part)))
    origin = typing.get_origin(part) or part
    # Any is a class on some versions of Python, but nothing is an instance of it.
    return (origin,) if isinstance(origin, type) and origin is not Any else (object,)


def _kinds_of(default: Any) -> tuple[type, ...]:
    return (str, types.NoneType) if default is None else (type(default),)
