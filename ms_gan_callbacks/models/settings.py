"""How both players are trained: one value that a recipe is made with and a runner trains by."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ms_gan_callbacks.errors import RecipeError, is_whole

if TYPE_CHECKING:
    from ms_gan_callbacks.models.losses.objective import Losses, Objective
    from ms_gan_callbacks.models.losses.penalties import Penalty
    from ms_gan_callbacks.models.networks import OptimizerFactory

RECORDED_SETTINGS = ("objective", "penalty", "generator_every", "clip_norm", "ema", "classes")
"""What of a method decides the bytes of a run and can be recorded in ``run.json``."""


def check_whole_number(name: str, value: object, least: int) -> None:
    """Raise RecipeError unless a value is an int of at least ``least``."""
    if not is_whole(value, least):
        raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Method:
    """How both players are trained.

    Attributes:
        objective: the losses.
        optimizer: makes an optimizer from a player's parameters; called once for each player.
        noise_dim: length of a noise vector, at least 1.
        seed: what every random number of the run follows from, 0 or more.
        discriminator_optimizer: the discriminator's, where it is another (two time scales, arXiv:1706.08500).
        penalty: what is added to the discriminator's loss, such as ``GradientPenalty(10.0)``.
        generator_every: the generator is updated in every so many steps, 1 or more: a critic's ``n_critic``. The
            discriminator is updated in all.
        clip_norm: the greatest length of either player's gradient as one vector, more than 0; None leaves it.
        ema: the decay of the generator's moving average, which then draws all pictures, between 0 and 1.
        classes: of a conditional run: labels 0 to classes - 1 go to both networks; at least 2.
        accelerate: whether stock layers are replaced, on a CPU, by their fast equals.

    Raises:
        RecipeError: a number is out of its range, or a part is not what it should be.
    """

    objective: Losses
    optimizer: OptimizerFactory
    noise_dim: int
    seed: int = 0
    discriminator_optimizer: OptimizerFactory | None = None
    penalty: Penalty | None = None
    generator_every: int = 1
    clip_norm: float | None = None
    ema: float | None = None
    classes: int | None = None
    accelerate: bool = True

    def __post_init__(self) -> None:
        for name, least in (("noise_dim", 1), ("seed", 0), ("generator_every", 1)):
            check_whole_number(name, getattr(self, name), least)
        if self.classes is not None:
            check_whole_number("classes", self.classes, 2)
        for name, most in (("clip_norm", math.inf), ("ema", 1.0)):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < most
            ):
                within = "above 0" if most == math.inf else f"between 0 and {most:g}"
                raise RecipeError(f"{name} must be a number {within}, or None, got {value!r}")
        self._check_objective()

    def _check_objective(self) -> None:
        if self.traits.class_loss is not None and self.classes is None:
            raise RecipeError(f"{type(self.objective).__name__} needs labels: say how many with classes=...")
        if self.penalty is not None:
            from ms_gan_callbacks.models.losses.penalties import check_penalty

            check_penalty(self.penalty)

    @property
    def traits(self) -> Objective:
        """The objective, with a default for each attribute that it does not have."""
        # Whoever has made an objective has imported MindSpore; nobody else should wait for that.
        from ms_gan_callbacks.models.losses.objective import complete_objective

        return complete_objective(self.objective)

    def settings(self) -> dict[str, Any]:
        """Return every field by name: what another method like this one is made from."""
        return {field.name: getattr(self, field.name) for field in fields(Method)}

    def facts(self) -> dict[str, Any]:
        """Return what ``run.json`` records of a method: numbers as they are, objects as text."""
        return {name: _describe_value(getattr(self, name)) for name in RECORDED_SETTINGS}


def _describe_value(value: object) -> object:
    if value is None or isinstance(value, (int, float)):
        return value
    if type(value).__repr__ is object.__repr__:
        return type(value).__qualname__
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # an address is another one in every process
