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
    """A parameter of a function, such as ``recipe(...)``, whose value can be given as text.

    Attributes:
        kinds: the types that a value may have, including ``NoneType`` if None is allowed.
        default: the default; ``Tunable.REQUIRED`` without one.
        choices: the values in a ``Literal`` annotation.
        free: the types of which any value is allowed; with ``choices``, those outside of ``Literal``.
    """

    REQUIRED: ClassVar[_Required] = _Required.REQUIRED

    name: str
    kinds: tuple[type, ...]
    default: Any
    choices: tuple[Any, ...] = ()
    free: tuple[type, ...] = ()

    @property
    def type_name(self) -> str:
        """The type as written in an annotation."""
        kinds = self.free if self.choices else self.kinds
        names = ("None" if kind is types.NoneType else kind.__name__ for kind in kinds)
        return " | ".join([*map(repr, self.choices), *names])

    def allows(self, value: Any) -> bool:
        """Return whether a value is one of the choices, if there are choices."""
        if not self.choices:
            return True
        if isinstance(value, self.free):
            return not isinstance(value, bool) or bool in self.free or object in self.free
        return any(type(value) is type(choice) and value == choice for choice in self.choices)


def read_parameters(function: Callable[..., Any], path: Path) -> dict[str, Tunable]:
    """Return the parameters of a recipe's function, in the order of its signature.

    Raises:
        RecipeError: a parameter has neither a default nor an annotation, or cannot be passed by name.
    """
    found = _read_signature(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in found:
            raise RecipeError(f"{path}: recipe({parameter}) cannot be set by name; write its parameters out")
        if not found[name].kinds:
            raise RecipeError(f"{path}: parameter {name} of recipe(...) needs a default or a type")
    return found


def read_settings(function: Callable[..., Any]) -> dict[str, Tunable]:
    """Return the parameters of any function or class that can be passed by name.

    A required parameter of unknown type takes a Python literal, or otherwise text.
    """
    found = _read_signature(function)
    return {name: one if one.kinds else replace(one, kinds=(object, str)) for name, one in found.items()}


def _read_signature(function: Callable[..., Any]) -> dict[str, Tunable]:
    """Return the parameters that can be passed by name; those of unknown type do not have kinds."""
    hints = _read_hints(function.__init__ if isinstance(function, type) else function)  # type: ignore[misc]
    return {
        name: _make_tunable(parameter, hints.get(name))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def _make_tunable(parameter: inspect.Parameter, hint: Any) -> Tunable:
    default = Tunable.REQUIRED if parameter.default is parameter.empty else parameter.default
    if hint is not None:
        parts = _split_union(hint)
        choices = tuple(choice for part in parts if _is_literal(part) for choice in typing.get_args(part))
        free = tuple(kind for part in parts if not _is_literal(part) for kind in _list_kinds(part))
        kinds = tuple(dict.fromkeys(kind for part in parts for kind in _list_kinds(part)))
        return Tunable(parameter.name, kinds, default, choices, free)
    if default is Tunable.REQUIRED:
        return Tunable(parameter.name, (), default)
    return Tunable(parameter.name, (str, types.NoneType) if default is None else (type(default),), default)


def _read_hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the annotations that can be evaluated, each separately.

    An annotation that is only valid for a type checker must not affect the others. The names of ``typing`` are
    available, because they are often imported for type checkers only.
    """
    known = {**vars(typing), "Path": Path, **getattr(function, "__globals__", {})}
    hints: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(alone, known)
        except Exception:  # annotations are arbitrary expressions
            continue
    return hints


def _split_union(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(part for each in typing.get_args(hint) for part in _split_union(each))
    return (hint,)


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal


def _list_kinds(part: Any) -> tuple[type, ...]:
    if _is_literal(part):
        return tuple(dict.fromkeys(type(choice) for choice in typing.get_args(part)))
    origin = typing.get_origin(part) or part
    # Any is a class on some versions of Python, but nothing is an instance of it.
    return (origin,) if isinstance(origin, type) and origin is not Any else (object,)
