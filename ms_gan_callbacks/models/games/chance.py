"""Distributions of the random inputs of a game, drawn once per step on the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import GanError, RecipeError, describe, is_whole

TYPES = {"f": np.float32, "i": np.int32, "u": np.int32, "b": np.bool_}
"""The types of random inputs by the kind of the drawn array."""


class Distribution(Protocol):
    """A random input of a game; any object with this method is accepted, or a function with its arguments."""

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[Any]:
        """Return ``count`` values, an array (count, ...), from this generator only."""
        ...


Chance: TypeAlias = Distribution | Callable[[np.random.Generator, int], NDArray[Any]]


def _check_shape(kind: object, shape: tuple[int, ...]) -> None:
    if not all(is_whole(length, 1) for length in shape):
        raise RecipeError(f"{type(kind).__name__}: a length must be a whole number of at least 1, got {shape}")


@dataclass(frozen=True, init=False)
class Normal:
    """N(0, 1) for each value, an array (count, *shape) of float32.

    Args:
        *shape: ``Normal(62)`` for noise vectors of length 62, ``Normal(1, 8, 8)`` for noise images.

    Raises:
        RecipeError: a length is not a whole number of at least 1.
    """

    shape: tuple[int, ...]

    def __init__(self, *shape: int) -> None:
        _check_shape(self, shape)
        object.__setattr__(self, "shape", shape)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return values, (count, *shape)."""
        return rng.standard_normal((count, *self.shape), dtype=np.float32)


@dataclass(frozen=True, init=False)
class Uniform:
    """Uniform in [low, high) for each value, an array (count, *shape) of float32.

    Args:
        *shape: ``Uniform(2)`` for two continuous codes per image, ``Uniform()`` for one number, (count,).
        low: lower limit.
        high: upper limit, more than ``low``.

    Raises:
        RecipeError: a length is not a whole number of at least 1, or the limits are not finite and in order.
    """

    shape: tuple[int, ...]
    low: float
    high: float

    def __init__(self, *shape: int, low: float = -1.0, high: float = 1.0) -> None:
        _check_shape(self, shape)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise RecipeError(f"Uniform: low must be less than high, got low={low!r} and high={high!r}")
        for name, value in (("shape", shape), ("low", low), ("high", high)):
            object.__setattr__(self, name, value)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return values, (count, *shape)."""
        return rng.uniform(self.low, self.high, (count, *self.shape)).astype(np.float32)


@dataclass(frozen=True)
class Categorical:
    """Classes 0 to ``classes`` - 1 with equal probability, an array (count,) of int32.

    Args:
        classes: number of classes, at least 2.

    Raises:
        RecipeError: ``classes`` is not a whole number of at least 2.
    """

    classes: int

    def __post_init__(self) -> None:
        if not is_whole(self.classes, 2):
            raise RecipeError(f"Categorical: classes must be a whole number of at least 2, got {self.classes!r}")

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Return classes, (count,)."""
        return rng.integers(0, self.classes, count).astype(np.int32)


def draw(name: str, chance: Chance, rng: np.random.Generator, count: int) -> NDArray[Any]:
    """Return ``count`` values of a random input, contiguous, as float32, int32 or bool.

    A distribution with an attribute ``rows = False`` may return an array of any shape.

    Raises:
        RecipeError: the distribution fails, or does not return an array of ``count`` numbers or rows.
    """
    function: Any = getattr(chance, "draw", chance)
    try:
        values = np.asarray(function(rng, count))
    except GanError:
        raise
    except Exception as error:
        raise RecipeError(f"drawing the random input {name!r} raised {describe(error)}") from error
    rows = getattr(chance, "rows", True)
    if (rows and (values.ndim == 0 or len(values) != count)) or values.dtype.kind not in TYPES:
        found = f"{values.dtype} of shape {values.shape}"
        raise RecipeError(
            f"the random input {name!r} must be numbers, one row for each of {count} images, not {found}"
        )
    return np.ascontiguousarray(values, TYPES[values.dtype.kind])


def draw_all(
    chance: Mapping[str, Chance], seed: int, index: int, count: int, *, purpose: str = "", again: str = ""
) -> dict[str, NDArray[Any]]:
    """Return the random inputs of a game by name; each is a function of (seed, its name, purpose, index).

    Args:
        chance: the distributions by name.
        seed: the run's seed.
        index: the step, or 0.
        count: number of rows.
        purpose: what the inputs are for, such as "preview"; by default a training step.
        again: distinguishes repetitions of a step after a rollback.
    """
    drawn = {}
    for name, one in chance.items():
        # The noise of a purpose has its name alone, as before games had other random inputs.
        stream_name = f"{name}{again}" if not purpose else purpose if name == "noise" else f"{purpose} {name}"
        drawn[name] = draw(name, one, stream(seed, stream_name, index), count)
    return drawn


def check_chance(game: str, chance: object) -> None:
    """Raise RecipeError unless an object is a mapping of names to distributions."""
    if not isinstance(chance, Mapping):
        raise RecipeError(f"{game}.chance must be a dict of distributions by name, got {chance!r}")
    for name, one in chance.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise RecipeError(f"{game}.chance: {name!r} cannot be the name of an argument")
        if isinstance(one, type) or not (callable(one) or callable(getattr(one, "draw", None))):
            raise RecipeError(
                f"{game}.chance[{name!r}] must be a distribution such as Normal(62), or a function "
                f"(rng, count) -> array, got {one!r}"
            )
