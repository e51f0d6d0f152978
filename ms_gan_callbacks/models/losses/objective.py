"""The base class of objectives, and functions of scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, warn
from ms_gan_callbacks.models.settings import check_methods


class Losses(Protocol):
    """Any object with the two losses of a GAN, not only an :class:`Objective`."""

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        ...

    @property
    def generator_loss(self) -> Any:
        """Return the scalar that the generator minimises, from fake scores."""
        ...


class Objective:
    """Base class of objectives: the two losses of a GAN, and options of the training step.

    Subclasses define both losses and override other attributes as required. Any other object with both losses is
    accepted, too, with these defaults for missing attributes.

    Attributes that are Parameters, such as the k of BEGAN (arXiv:1703.10717), are state that the losses update
    with ``ops.assign``. It is reset to its initial value at the beginning of a run, saved in checkpoints, and not
    changed by evaluation.

    Attributes:
        discriminator_loss: method of (real scores, fake scores) that returns the discriminator's loss, a scalar.
        generator_loss: method of fake scores that returns the generator's loss, a scalar.
        probability: method of scores that returns the probability, in [0, 1], that each image is real. None for a
            critic, whose raw scores are published instead.
        class_loss: method of (class logits, labels) that returns a scalar, added to both losses, or None. If it is
            defined, the discriminator returns (scores, class logits).
        generator_sees_real: whether ``generator_loss`` takes real scores as a second argument.
        clip: c, to clip the discriminator's weights to [-c, c] after each of its updates, or None.
        from_logits: whether scores are logits (True) or probabilities (False); None if neither applies.
        boundary: the score between those of real and of generated images, for :class:`AdaptiveAugment`; None if
            only differences of scores are meaningful.
        unbounded: whether scores are unbounded; a warning is issued if all of them are within [0, 1].
    """

    discriminator_loss: Callable[..., Any]
    generator_loss: Callable[..., Any]
    probability: Callable[..., Any] | None = None
    class_loss: Callable[..., Any] | None = None
    generator_sees_real: bool = False
    clip: float | None = None
    from_logits: bool | None = None
    unbounded: bool = False
    boundary: float | None = None
    _name: str  # class name in messages about scores

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._name = cls.__name__


TRAITS = tuple(Objective.__annotations__)


def complete_objective(objective: object) -> Objective:
    """Return an objective unchanged, or convert an object with both losses to an :class:`Objective`.

    Raises:
        RecipeError: a loss is missing, or ``clip`` is not a number above 0.
    """
    check_methods("objective", objective, ("discriminator_loss", "generator_loss"))
    if isinstance(objective, Objective):
        completed = objective
    else:
        completed = Objective()
        present = {name: getattr(objective, name) for name in TRAITS if hasattr(objective, name)}
        vars(completed).update(present, _name=type(objective).__name__)
    clip = completed.clip
    if clip is not None and (isinstance(clip, bool) or not isinstance(clip, (int, float)) or not clip > 0):
        raise RecipeError(f"an objective's clip must be a number above 0, got {clip!r}")
    return completed


def game_value(d_real: Tensor, d_fake: Tensor) -> Tensor:
    """Return V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))] (arXiv:1406.2661, equation 1) from probabilities."""
    # By cross entropy, because the rounding of ops.log depends on the memory address of its input on a CPU.
    real = ops.binary_cross_entropy(d_real, ops.ones_like(d_real))
    return -(real + ops.binary_cross_entropy(d_fake, ops.zeros_like(d_fake)))


def critic_value(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return E[D(x)] - E[D(G(z))] from scores, the distance estimated by a Wasserstein critic."""
    return real_scores.mean() - fake_scores.mean()


def check_scores(objective: Objective, scores: NDArray[np.float32]) -> None:
    """Check that a discriminator's scores match the objective.

    Warns:
        GanWarning: the objective requires logits or unbounded scores, but all scores are within [0, 1].

    Raises:
        RecipeError: the objective requires probabilities, but scores are outside [0, 1].
    """
    if np.all(scores == scores[0]):
        return  # undecidable; probe_networks warns about constant scores
    kind, from_logits = objective._name, objective.from_logits
    # Extreme weights may overflow: NaN is neither inside of the range nor outside.
    inside = bool(((scores >= 0) & (scores <= 1)).all())
    outside = bool(((scores < 0) | (scores > 1)).any())
    if from_logits and inside:
        warn(
            f"{kind}(from_logits=True) requires logits, but all scores are between 0 and 1: "
            f"remove the sigmoid at the end of the discriminator, or use {kind}(from_logits=False)"
        )
    if objective.unbounded and inside:
        warn(
            f"{kind} requires unbounded scores, but all scores are between 0 and 1: remove the sigmoid at the end "
            "of the discriminator"
        )
    if from_logits is False and outside:
        raise RecipeError(
            f"{kind}(from_logits=False) requires probabilities, but scores are outside [0, 1]: "
            f"add a sigmoid at the end of the discriminator, or use {kind}(from_logits=True)"
        )
