"""What can be typed, and what comes back from ``run.json`` as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from enum import Enum, IntEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ms_gan_callbacks import Every, RecipeError
from ms_gan_callbacks.config.conversion import convert, encode_arguments, restore, take
from ms_gan_callbacks.config.parameters import read_parameters

if TYPE_CHECKING:
    from typing import Literal as OnlyForTypes

    from somewhere import Unseen


class Colour(Enum):
    RED = "r"
    GREEN = "g"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(str, Enum):
    FAST = "fast"
    SLOW = "slow"


def function(
    size: Literal[32, 64] = 32,
    maybe: Optional[Literal["a", "b"]] = None,  # noqa: UP045
    mixed: Literal["auto"] | int = "auto",
    rate: Annotated[float, "in steps"] = 1.0,
    colour: Colour = Colour.RED,
    level: Level = Level.LOW,
    mode: Mode = Mode.FAST,
    unseen: Unseen = 3,
    only: OnlyForTypes[1, 2] = 1,
    path: Path = Path("here"),
    sizes: Sequence[int] = (1, 2),
    table: dict[int, str] | None = None,
    every: Every = Every.epochs(1),
    anything: Any = None,
    text: str = "",
    pair: tuple[float, float] = (0.5, 0.999),
    act: Any = len,
    where: Literal["here"] | Path = "here",
) -> Unseen:
    raise NotImplementedError


FOUND = read_parameters(function, Path("r.py"))


def test_an_annotation_that_only_a_type_checker_sees_costs_the_others_nothing() -> None:
    assert FOUND["size"].choices == (32, 64)
    assert FOUND["rate"].kinds == (float,)
    assert FOUND["unseen"].kinds == (int,)  # by its default
    assert FOUND["only"].kinds == (int,)
    assert FOUND["path"].kinds == (Path,)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "64", 64),
        ("maybe", "b", "b"),
        ("maybe", "none", None),
        ("mixed", "auto", "auto"),
        ("mixed", "12", 12),
        ("colour", "GREEN", Colour.GREEN),
        ("colour", "g", Colour.GREEN),
        ("level", "HIGH", Level.HIGH),
        ("level", "2", Level.HIGH),
        ("mode", "slow", Mode.SLOW),
        ("sizes", "3, 4", (3, 4)),
        ("table", "{1: 'one'}", {1: "one"}),
        ("every", "5steps", Every.steps(5)),
    ],
)
def test_what_is_typed_is_read_by_the_annotation(name: str, text: str, value: object) -> None:
    found = convert(FOUND[name], text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("size", "48", "size takes one of 32, 64, not '48'"),
        ("size", 48, "size takes one of 32, 64, not 48"),
        ("size", True, "size takes one of 32, 64, not True"),
        ("maybe", "c", "maybe takes one of 'a', 'b' or none, not 'c'"),
        ("mixed", "manual", "mixed takes one of 'auto' or a whole number, not 'manual'"),
        ("colour", "blue", "colour takes one of RED, GREEN, not 'blue'"),
        ("level", "3", "level takes one of LOW, HIGH, not '3'"),
    ],
)
def test_what_an_annotation_rules_out_is_refused_typed_or_given(name: str, value: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        take(FOUND[name], value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", Colour.GREEN),
        ("level", Level.HIGH),
        ("mode", Mode.SLOW),
        ("path", Path("a/b")),
        ("sizes", (3, 4)),
        ("sizes", [3, 4]),
        ("table", {1: "one"}),
        ("table", {}),
        ("every", Every.steps(5)),
        ("anything", {1, 2}),
        ("anything", b"bytes"),
        ("anything", [1, True, 1.0]),
        ("text", "none"),
        ("text", "{'a': 1}"),
        ("mixed", 7),
        ("maybe", None),
        ("rate", math.inf),
        ("rate", 1),
        ("pair", (0.0, 0.9)),
        ("where", "here"),
        ("where", Path("there")),
    ],
)
def test_what_is_written_comes_back_equal_with_its_type(name: str, value: object) -> None:
    encoded = json.loads(json.dumps(encode_arguments(FOUND, {name: value})))
    back = restore(FOUND[name], encoded[name])
    assert back == value and type(back) is type(value) and repr(back) == repr(value)
    assert "Enum" not in str(type(encoded[name]))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.integers() | st.text(), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_any_literal_comes_back_equal_or_is_refused(value: object) -> None:
    try:
        encoded = encode_arguments(FOUND, {"anything": value})
    except RecipeError:
        assert not isinstance(value, (bool, int, str, bytes, type(None)))
        return
    assert repr(restore(FOUND["anything"], json.loads(json.dumps(encoded["anything"])))) == repr(value)


def test_a_default_that_json_cannot_keep_needs_no_writing_and_anything_else_is_refused() -> None:
    assert encode_arguments(FOUND, {"act": len, "size": 32}) == {"size": 32}
    for name, value in (("act", abs), ("act", partial(len, "")), ("anything", object()), ("text", Path("x"))):
        with pytest.raises(RecipeError, match=rf"{name}=.* cannot be restored from run.json") as caught:
            encode_arguments(FOUND, {name: value})
        assert "\n" not in str(caught.value)


def test_paths_and_numpys_numbers_become_what_the_recipe_takes() -> None:
    assert take(FOUND["text"], Path("a/b")) == "a/b"
    assert take(FOUND["path"], Path("a/b")) == Path("a/b")
    number = take(FOUND["rate"], np.float64(0.5))
    assert number == 0.5 and type(number) is float
    assert type(take(FOUND["unseen"], np.int64(3))) is int
    given = [3, 4]
    assert take(FOUND["sizes"], given) is given
