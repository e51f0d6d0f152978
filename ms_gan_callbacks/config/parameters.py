"""The parameters of a recipe, or of whatever else can be typed: read off its signature, converted from text."""

from __future__ import annotations

import ast
import inspect
import json
import math
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

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
        if tunable.allows(value):
            return value
    raise RecipeError(f"{tunable.name} takes {_wanted(tunable)}, not {text!r}")


def take(tunable: Tunable, value: Any) -> Any:
    """Return a value for a tunable that was typed or given in Python.

    Text is converted to its type; a path becomes text, and a NumPy number one of Python, where the tunable takes
    those.

    Raises:
        RecipeError: it is none of the values that the tunable takes.
    """
    if isinstance(value, str):
        return convert(tunable, value)
    if isinstance(value, np.generic) and not issubclass(np.generic, tunable.kinds):
        value = value.item()
    if isinstance(value, os.PathLike) and str in tunable.kinds and not isinstance(value, tunable.kinds):
        value = os.fspath(value)
    if not tunable.allows(value):
        raise RecipeError(f"{tunable.name} takes {_wanted(tunable)}, not {value!r}")
    return value


def encode_arguments(tunables: Mapping[str, Tunable], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON keeps them, but for defaults that JSON cannot keep.

    Raises:
        RecipeError: one of the others would not come back equal.
    """
    encoded = {}
    for name, value in arguments.items():
        tunable = tunables[name]
        for form in _forms(value):
            if _comes_back(tunable, form, value):
                encoded[name] = form
                break
        else:
            if not _is_same(value, tunable.default):
                raise RecipeError(
                    f"{name}={value!r} could not be read back from run.json, so the run could not be opened "
                    "again: give a number, text or another Python literal, or make it the parameter's default"
                )
    return encoded


def _forms(value: Any) -> Iterator[Any]:
    """Return what a value could be kept as: itself, and how it would be typed."""
    if isinstance(value, Enum):
        yield value.name
        return
    yield value
    if isinstance(value, os.PathLike):
        yield os.fspath(value)
    yield str(value) if callable(getattr(type(value), "parse", None)) else repr(value)


def _comes_back(tunable: Tunable, form: Any, value: Any) -> bool:
    try:
        return _is_same(as_was(tunable, json.loads(json.dumps(form))), value)
    except Exception:  # what JSON, a parser or a comparison makes of values it does not know
        return False


def _is_same(left: Any, right: Any) -> bool:
    """Whether two values are equal, their types too, and those within them."""
    if left is right:
        return True
    try:
        if type(left) is not type(right) or repr(left) != repr(right):  # by repr those within, and NaN
            return False
        return isinstance(left, float) or bool(left == right)
    except Exception:
        return False


def as_was(tunable: Tunable, value: Any) -> Any:
    """Turn a value that went through JSON into what it was: text of a path, a tuple that became a list."""
    if isinstance(value, str) and (str not in tunable.kinds or not tunable.allows(value)):
        return convert(tunable, value)
    return tuple(value) if isinstance(value, list) and tuple in tunable.kinds else value


def _as(kind: type, text: str) -> Any:
    if kind in _READERS:
        return _READERS[kind](text)
    if issubclass(kind, Path):
        return kind(text)
    if issubclass(kind, Enum):
        return _member(kind, text)
    if callable(parse := getattr(kind, "parse", None)):  # a type that says itself how it is typed
        return parse(text)
    value = ast.literal_eval(text)
    if kind is not object and not isinstance(value, kind):
        raise TypeError(text)
    return value


def _member(kind: type[Enum], text: str) -> Enum:
    """Return a member by its name, or by its value as it is typed."""
    names = {**{str(member.value): member for member in kind}, **kind.__members__}
    if text not in names:
        raise ValueError(text)
    return names[text]


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
    words = {
        object: "a Python literal",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        types.NoneType: "none",
    }
    told = ["one of " + ", ".join(map(repr, tunable.choices))] if tunable.choices else []
    for kind in tunable.free if tunable.choices else tunable.kinds:
        if issubclass(kind, Enum):
            told.append("one of " + ", ".join(kind.__members__))
        else:
            told.append(words.get(kind, getattr(kind, "typed", f"a {kind.__name__}")))
    return " or ".join(told)
