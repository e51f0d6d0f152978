"""Player: the networks that one optimizer trains, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ms_gan_callbacks.errors import RecipeError, is_whole

if TYPE_CHECKING:
    from ms_gan_callbacks.models.networks import OptimizerFactory


@dataclass(frozen=True)
class Player:
    """A player of a game: an optimizer over the networks it trains.

    Several players may train the same network; each has its own optimizer.

    Attributes:
        trains: the name of a network, or several names.
        optimizer: builds the optimizer from the networks' trainable parameters.
        every: the player is updated every N steps, at least 1. Its loss is computed in the other steps, too.
        clip_norm: maximum norm of the player's gradient as one vector, above 0; None does not clip.
        clip: c, to clip the trained weights to [-c, c] after each update, above 0; None does not clip.
        ema: decay of the moving averages of the trained networks, between 0 and 1. The averages replace these
            networks whenever images are generated outside of the training step.

    Raises:
        RecipeError: a name or a number is out of range, or the optimizer is not callable.
    """

    trains: str | tuple[str, ...]
    optimizer: OptimizerFactory
    every: int = 1
    clip_norm: float | None = None
    clip: float | None = None
    ema: float | None = None

    def __post_init__(self) -> None:
        names = (self.trains,) if isinstance(self.trains, str) else self.trains
        strings = isinstance(names, (tuple, list)) and all(isinstance(name, str) for name in names)
        if not strings or not names or len(set(names)) < len(names):
            raise RecipeError(f"Player: trains must be the names of different networks, got {self.trains!r}")
        object.__setattr__(self, "trains", tuple(names))
        if not is_whole(self.every, 1):
            raise RecipeError(f"every must be a whole number of at least 1, got {self.every!r}")
        for name, most in (("clip_norm", math.inf), ("clip", math.inf), ("ema", 1.0)):
            check_number(name, getattr(self, name), most)


def check_number(name: str, value: object, most: float) -> None:
    """Raise RecipeError unless a value is None or a number above 0 and below ``most``."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < most:
        within = "above 0" if most == math.inf else f"between 0 and {most:g}"
        raise RecipeError(f"{name} must be a number {within}, or None, got {value!r}")
