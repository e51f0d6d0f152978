"""What an objective is: two losses of scores, and what the training step does beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, warn


class Losses(Protocol):
    """Any object with the two losses of a GAN, whether or not it is an :class:`Objective`."""

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        ...

    @property
    def generator_loss(self) -> Any:
        """Return the scalar that the generator minimises, from fake scores."""
        ...


class Objective:
    """The two losses of a GAN, and what the training step does beside.

    A subclass has both losses, and overrides what else it needs. Any other object with both losses is taken in its
    place, with these defaults for the attributes that it does not have.

    Attributes that are Parameters, such as the k of BEGAN (arXiv:1703.10717), are state that the losses move by
    ``ops.assign``. It begins every run as it was made, is kept in checkpoints, and stays as it is where a run is
    only evaluated.

    Attributes:
        discriminator_loss: a method of (real scores, fake scores): the scalar that the discriminator minimises.
        generator_loss: a method of fake scores: the scalar that the generator minimises.
        probability: a method of scores: the probability, in [0, 1], that each image is real. Where it is None the
            discriminator is a critic, whose scores are not probabilities and are published as they are.
        class_loss: a method of (class logits, labels): a scalar that both players minimise, too. Where there is
            one the discriminator returns (scores, class logits).
        generator_sees_real: whether ``generator_loss`` takes real scores behind the fake ones.
        clip: c, where the discriminator's weights are clipped to [-c, c] after each of its updates, or None.
        from_logits: whether scores are logits (True) or probabilities (False); None says neither.
        unbounded: whether scores have no bounds; all of them within [0, 1] are then warned about.
    """

    discriminator_loss: Callable[..., Any]
    generator_loss: Callable[..., Any]
    probability: Callable[..., Any] | None = None
    class_loss: Callable[..., Any] | None = None
    generator_sees_real: bool = False
    clip: float | None = None
    from_logits: bool | None = None
    unbounded: bool = False
    _name: str  # of the class, in messages about scores

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._name = cls.__name__


TRAITS = tuple(Objective.__annotations__)


def complete_objective(objective: object) -> Objective:
    """Return an objective as it is, and any other object with both losses as an :class:`Objective`.

    Raises:
        RecipeError: it does not have both losses, or its ``clip`` is not a number above 0.
    """
    for method in ("discriminator_loss", "generator_loss"):
        if isinstance(objective, type) or not callable(getattr(objective, method, None)):
            raise RecipeError(f"objective must be an object with a method {method}, not {objective!r}")
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
    # Through the cross entropy: ops.log's last bit depends on where in memory its input lies, on CPU.
    real = ops.binary_cross_entropy(d_real, ops.ones_like(d_real))
    return -(real + ops.binary_cross_entropy(d_fake, ops.zeros_like(d_fake)))


def critic_value(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return E[D(x)] - E[D(G(z))] from scores: for a Wasserstein critic, its estimate of the distance."""
    return real_scores.mean() - fake_scores.mean()


def check_scores(objective: Objective, scores: NDArray[np.float32]) -> None:
    """Check that a discriminator's scores are of the kind that an objective is written for.

    Warns:
        GanWarning: logits or unbounded scores are expected, and every score is a probability.

    Raises:
        RecipeError: probabilities are expected, and scores lie outside of [0, 1].
    """
    if np.all(scores == scores[0]):
        return  # a constant says nothing about its kind; check_fit warns about it
    kind, from_logits = objective._name, objective.from_logits
    inside = bool(((scores >= 0) & (scores <= 1)).all())
    if from_logits and inside:
        warn(
            f"{kind}(from_logits=True) takes logits, but all scores lie between 0 and 1: "
            f"take the sigmoid off the discriminator's end, or use {kind}(from_logits=False)"
        )
    if objective.unbounded and inside:
        warn(
            f"{kind} takes scores without bounds, but all lie between 0 and 1: take the sigmoid off the "
            "discriminator's end"
        )
    if from_logits is False and not inside:
        raise RecipeError(
            f"{kind}(from_logits=False) takes probabilities, but scores lie outside of [0, 1]: "
            f"end the discriminator in a sigmoid, or use {kind}(from_logits=True)"
        )
