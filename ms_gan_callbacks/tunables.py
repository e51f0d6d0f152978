"""The parameters of a recipe, or of whatever else can be typed: read off its signature, converted from text."""

from __future__ import annotations

import ast
import inspect
import math
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
        choices: the only values allowed, where its annotation is a ``Literal``.
    """

    REQUIRED: ClassVar[_Required] = _Required.REQUIRED

    name: str
    kinds: tuple[type, ...]
    default: Any
    choices: tuple[Any, ...] = ()

    @property
    def type_name(self) -> str:
        """The type as one writes it."""
        if self.choices:
            return " | ".join(map(repr, self.choices))
        return " | ".join("None" if kind is types.NoneType else kind.__name__ for kind in self.kinds)


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
    kinds = _kinds(hint) if hint is not None else () if required else _kinds_of(parameter.default)
    return Tunable(parameter.name, kinds, default, _choices(hint))


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}  # an annotation that only a type checker can see: the defaults tell the types


def _kinds(hint: Any) -> tuple[type, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(kind for part in typing.get_args(hint) for kind in _kinds(part))
    if typing.get_origin(hint) is typing.Literal:
        return tuple(dict.fromkeys(type(choice) for choice in typing.get_args(hint)))
    origin = typing.get_origin(hint) or hint
    return (origin,) if isinstance(origin, type) else (object,)


def _choices(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _kinds_of(default: Any) -> tuple[type, ...]:
    return (str, types.NoneType) if default is None else (type(default),)


def convert(tunable: Tunable, text: str) -> Any:
    """Turn what was typed into a value of the tunable's type.

    Raises:
        RecipeError: it is none.
    """
    if types.NoneType in tunable.kinds and text.strip().lower() in ("none", ""):
        return None
    for kind in tunable.kinds:
        try:
            value = _as(kind, text)
        except (ValueError, SyntaxError, TypeError):
            continue
        if not tunable.choices or value in tunable.choices:
            return value
    raise RecipeError(f"{tunable.name} takes {_wanted(tunable)}, not {text!r}")


def as_was(tunable: Tunable, value: Any) -> Any:
    """Turn a value that went through JSON into what it was: text of a path, a tuple that became a list."""
    if isinstance(value, str) and str not in tunable.kinds:
        return convert(tunable, value)
    return tuple(value) if isinstance(value, list) and tuple in tunable.kinds else value


def _as(kind: type, text: str) -> Any:
    if kind in _READERS:
        return _READERS[kind](text)
    if issubclass(kind, Path):
        return kind(text)
    if callable(parse := getattr(kind, "parse", None)):  # a type that says itself how it is typed
        return parse(text)
    value = ast.literal_eval(text)
    if kind is not object and not isinstance(value, kind):
        raise TypeError(text)
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _truth(text: str) -> bool:
    if text.lower() in ("true", "yes", "1"):
        return True
    if text.lower() in ("false", "no", "0"):
        return False
    raise ValueError(text)


_READERS: Mapping[type, Callable[[str], Any]] = {str: str, bool: _truth, int: int, float: _finite}


def _wanted(tunable: Tunable) -> str:
    if tunable.choices:
        return "one of " + ", ".join(map(repr, tunable.choices))
    words = {
        object: "a Python literal",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        types.NoneType: "none",
    }
    return " or ".join(words.get(kind, getattr(kind, "typed", f"a {kind.__name__}")) for kind in tunable.kinds)
