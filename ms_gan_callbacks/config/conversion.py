"""Arguments for parameters: converted from text, bound by name, and encoded for ``run.json``."""

from __future__ import annotations

import ast
import json
import math
import os
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan_callbacks.config.parameters import Tunable
from ms_gan_callbacks.errors import RecipeError, choices


def bind(
    owner: str, tunables: Mapping[str, Tunable], given: Mapping[str, Any], kind: str = "parameter"
) -> dict[str, Any]:
    """Return a value for each parameter: the given one, converted, or the default.

    Args:
        owner: what the parameters belong to, for messages.
        tunables: the parameters.
        given: values or text, by name.
        kind: what messages call a parameter.

    Raises:
        RecipeError: a name is unknown, or a value does not fit its parameter.
    """
    arguments = {name: tunable.default for name, tunable in tunables.items()}
    for name, value in given.items():
        if name not in tunables:
            raise RecipeError(f"{owner} has no {kind} {name!r}; {choices(name, tunables)}")
        arguments[name] = take(tunables[name], value)
    return arguments


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
