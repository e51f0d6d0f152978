"""The settings of the training, which recipes and runners share."""

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
"""Fields that determine the bytes of a run and are recorded in ``run.json``."""


def check_whole_number(name: str, value: object, least: int) -> None:
    """Raise RecipeError unless a value is an int of at least ``least``."""
    if not is_whole(value, least):
        raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Method:
    """The settings of the training of both networks.

    Attributes:
        objective: the losses.
        optimizer: builds an optimizer from a network's parameters; called once for each network.
        noise_dim: length of a noise vector, at least 1.
        seed: determines every random number of the run, 0 or more.
        discriminator_optimizer: builds the discriminator's optimizer; by default ``optimizer`` does (two time
            scales: arXiv:1706.08500).
        penalty: a term of the discriminator's loss, such as ``GradientPenalty(10.0)``.
        generator_every: the generator is updated every N steps, at least 1 (``n_critic`` of a critic). The
            discriminator is updated in every step.
        clip_norm: the maximum norm of each network's gradient as one vector, above 0; None does not clip.
        ema: the decay of the generator's moving average, between 0 and 1; the average then generates all images.
        classes: the number of classes of a conditional run, at least 2; both networks get labels 0 to classes - 1.
        accelerate: whether stock layers are replaced by fast ones on a CPU.

    Raises:
        RecipeError: a number is out of range, or the objective or penalty lacks a method.
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
            raise RecipeError(f"{type(self.objective).__name__} needs labels: pass their number as classes=...")
        if self.penalty is not None:
            from ms_gan_callbacks.models.losses.penalties import check_penalty

            check_penalty(self.penalty)

    @property
    def traits(self) -> Objective:
        """The objective, with a default for each attribute that it does not have."""
        # Imported here: a recipe without an objective must not import MindSpore.
        from ms_gan_callbacks.models.losses.objective import complete_objective

        return complete_objective(self.objective)

    def settings(self) -> dict[str, Any]:
        """Return every field by name."""
        return {field.name: getattr(self, field.name) for field in fields(Method)}

    def facts(self) -> dict[str, Any]:
        """Return what ``run.json`` records of the settings: numbers unchanged, objects as text."""
        return {name: _describe_value(getattr(self, name)) for name in RECORDED_SETTINGS}


def _describe_value(value: object) -> object:
    if value is None or isinstance(value, (int, float)):
        return value
    if type(value).__repr__ is object.__repr__:
        return type(value).__qualname__
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # an address differs between processes
