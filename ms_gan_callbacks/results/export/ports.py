"""The inputs and the output of an exported file: names, types, shapes and ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.models.games.chance import Categorical, Chance, Normal, Uniform

IMAGES = "images"
"""Name of the output."""


@dataclass(frozen=True)
class Port:
    """An input or the output of a file.

    Attributes:
        name: its name.
        dtype: the name of its NumPy type.
        shape: its shape without the batch.
        range: a description of its values.
        is_image: whether it is an image.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    range: str
    is_image: bool = False

    def describe(self) -> str:
        """Return type, shape and range in one line."""
        shape = ", ".join(map(str, ("N", *self.shape))) + ("" if self.shape else ",")
        return f"{self.dtype} ({shape}), {self.range}"


def describe_image(name: str, shape: tuple[int, ...], uint8: bool) -> Port:
    """Return the port of images of a shape (C, H, W)."""
    dtype, limits = ("uint8", "images, 0 to 255") if uint8 else ("float32", "images in [-1, 1]")
    return Port(name, dtype, shape, limits, is_image=True)


def describe_labels(name: str, classes: int) -> Port:
    """Return the port of class labels."""
    return Port(name, "int32", (), f"classes, 0 to {classes - 1}")


def describe_chance(name: str, chance: Chance, drawn: NDArray[np.generic]) -> Port:
    """Return the port of a random input of a game, from its distribution and an example."""
    if isinstance(chance, Categorical):
        return describe_labels(name, chance.classes)
    limits = f"as drawn by {name} of the game"
    if isinstance(chance, Normal):
        limits = "standard normal"
    elif isinstance(chance, Uniform):
        limits = f"uniform in [{chance.low:g}, {chance.high:g})"
    return Port(name, str(drawn.dtype), drawn.shape[1:], limits)
