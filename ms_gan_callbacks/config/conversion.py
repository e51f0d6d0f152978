"""Arguments for parameters: converted from text, bound by name, and encoded for ``run.json``."""

from __future__ import annotations

import ast
import json
import math
import os
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan_callbacks.config.parameters import Tunable
from ms_gan_callbacks.errors import RecipeError, suggest

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def bind(
    owner: str, tunables: Mapping[str, Tunable], given: Mapping[str, Any], kind: str = "parameter"
) -> dict[str, Any]:
    """Return a value for each parameter: the given one, converted, or the default.

    Messages contain the parameters' owner and kind.

    Raises:
        RecipeError: a name is unknown, or a value does not fit its parameter.
    """
    arguments = {name: tunable.default for name, tunable in tunables.items()}
    for name, value in given.items():
        if name not in tunables:
            raise RecipeError(f"{owner} has no {kind} {name!r}; {suggest(name, tunables)}")
        arguments[name] = take(tunables[name], value)
    return arguments


def convert(tunable: Tunable, text: str) -> Any:
    """Convert text to a value of the parameter's type; raise RecipeError if it is not one."""
    if types.NoneType in tunable.kinds and text.strip().lower() in ("none", ""):
        return None
    for kind in tunable.kinds:
        try:
            value = _read(kind, text)
        except (ValueError, SyntaxError, TypeError):
            continue
        if tunable.allows(value):
            return value
    raise RecipeError(f"{tunable.name} takes {_describe_wanted(tunable)}, not {text!r}")


def take(tunable: Tunable, value: Any) -> Any:
    """Return a parameter's value for text or for a Python value.

    Text is converted. A path becomes text, and a NumPy number a Python number, if the parameter takes those.

    Raises:
        RecipeError: the parameter does not take the value.
    """
    if isinstance(value, str):
        return convert(tunable, value)
    if isinstance(value, np.generic) and not issubclass(np.generic, tunable.kinds):
        value = value.item()
    if isinstance(value, os.PathLike) and str in tunable.kinds and not isinstance(value, tunable.kinds):
        value = os.fspath(value)
    if not tunable.allows(value):
        raise RecipeError(f"{tunable.name} takes {_describe_wanted(tunable)}, not {value!r}")
    return value


def encode_arguments(tunables: Mapping[str, Tunable], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON values, without defaults that are not; raise RecipeError if another one is not."""
    encoded = {}
    for name, value in arguments.items():
        tunable = tunables[name]
        for form in _list_forms(value):
            if _can_restore(tunable, form, value):
                encoded[name] = form
                break
        else:
            if not _is_same(value, tunable.default):
                raise RecipeError(
                    f"{name}={value!r} cannot be restored from run.json, so the run could not be opened "
                    "again: pass a number, text or another Python literal, or make it the parameter's default"
                )
    return encoded


def _list_forms(value: Any) -> Iterator[Any]:
    """Yield candidates for a value's JSON form: the value, and its text."""
    if isinstance(value, Enum):
        yield value.name
        return
    yield value
    if isinstance(value, os.PathLike):
        yield os.fspath(value)
    yield str(value) if callable(getattr(type(value), "parse", None)) else repr(value)


def _can_restore(tunable: Tunable, form: Any, value: Any) -> bool:
    try:
        return _is_same(restore(tunable, json.loads(json.dumps(form))), value)
    except Exception:  # JSON, parsers and comparisons may raise anything for unknown types
        return False


def _is_same(left: Any, right: Any) -> bool:
    """Return whether two values are equal, including their types and those of nested values."""
    if left is right:
        return True
    try:
        if type(left) is not type(right) or repr(left) != repr(right):  # repr() compares nested types and NaN
            return False
        return isinstance(left, float) or bool(left == right)
    except Exception:
        return False


def restore(tunable: Tunable, value: Any) -> Any:
    """Restore a value from JSON: text becomes a path, for example, and a list a tuple."""
    if isinstance(value, str) and (str not in tunable.kinds or not tunable.allows(value)):
        return convert(tunable, value)
    return tuple(value) if isinstance(value, list) and tuple in tunable.kinds else value


def _read(kind: type, text: str) -> Any:
    if kind is float and not math.isfinite(float(text)):
        raise ValueError(text)
    if kind in (str, int, float) or issubclass(kind, Path):
        return kind(text)
    if kind is bool:
        return _get_named(_TRUTH, text.lower())
    if issubclass(kind, Enum):
        return _get_named({**{str(member.value): member for member in kind}, **kind.__members__}, text)
    if callable(parse := getattr(kind, "parse", None)):  # a type with its own text format
        return parse(text)
    value = ast.literal_eval(text)
    if kind is not object and not isinstance(value, kind):
        raise TypeError(text)
    return value


def _get_named(values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise ValueError(name)
    return values[name]


def _describe_wanted(tunable: Tunable) -> str:
    words = {
        object: "a Python literal",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        types.NoneType: "none",
    }
    wanted = ["one of " + ", ".join(map(repr, tunable.choices))] if tunable.choices else []
    for kind in tunable.free if tunable.choices else tunable.kinds:
        if issubclass(kind, Enum):
            wanted.append("one of " + ", ".join(kind.__members__))
        else:
            wanted.append(words.get(kind, getattr(kind, "typed", f"a {kind.__name__}")))
    return " or ".join(wanted)
