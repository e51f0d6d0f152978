"""What an objective is: two losses of scores, and a few things it may ask for beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, warn

METHODS = ("discriminator_loss", "generator_loss")


class Objective(Protocol):
    """The two losses of a GAN.

    Any object with these methods will do. It may have more:

    - ``probability(scores)``, where a score reads as the probability, in [0, 1], that an image is real. Without it
      (or where it is None) the discriminator is a critic, whose scores have no such reading, and are published as
      they are;
    - ``generator_sees_real = True``: ``generator_loss(fake_scores, real_scores)`` takes both;
    - ``clip = c``: after each of its updates the discriminator's weights are clipped to [-c, c];
    - ``class_loss(class_logits, labels)``: the discriminator returns (scores, class logits), and both players
      minimise this, too;
    - attributes that are Parameters, such as the k of BEGAN (arXiv:1703.10717): state that the losses move by
      ``ops.assign``. It begins every run as it was made, is kept in checkpoints, and stays as it is where a run is
      only evaluated.
    """

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        ...

    @property
    def generator_loss(self) -> Any:
        """Return the scalar that the generator minimises, from fake scores."""
        ...


@dataclass(frozen=True)
class Reading:
    """What an objective asks for, and how its scores read.

    Attributes:
        critic: whether scores are no probabilities.
        sees_real: whether the generator's loss takes the scores of real images, too.
        clip: what the discriminator's weights are clipped to, or None.
        classifies: whether the discriminator returns class logits, too.
    """

    critic: bool
    sees_real: bool
    clip: float | None
    classifies: bool

    @classmethod
    def of(cls, objective: object) -> Reading:
        """Look at an objective."""
        return cls(
            critic=getattr(objective, "probability", None) is None,
            sees_real=bool(getattr(objective, "generator_sees_real", False)),
            clip=getattr(objective, "clip", None),
            classifies=getattr(objective, "class_loss", None) is not None,
        )


def game_value(d_real: Tensor, d_fake: Tensor) -> Tensor:
    """Return V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))] (arXiv:1406.2661, equation 1) from probabilities."""
    # Through the cross entropy: ops.log's last bit depends on where in memory its input lies, on CPU.
    real = ops.binary_cross_entropy(d_real, ops.ones_like(d_real))
    return -(real + ops.binary_cross_entropy(d_fake, ops.zeros_like(d_fake)))


def critic_value(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return E[D(x)] - E[D(G(z))] from scores: for a Wasserstein critic, its estimate of the distance."""
    return real_scores.mean() - fake_scores.mean()


def check_objective(objective: object) -> None:
    """Look whether an object is an objective.

    Raises:
        RecipeError: it has not the methods of one.
    """
    for method in METHODS:
        if isinstance(objective, type) or not callable(getattr(objective, method, None)):
            raise RecipeError(f"objective must be an object with a method {method}, not {objective!r}")
    clip = getattr(objective, "clip", None)
    if clip is not None and (isinstance(clip, bool) or not isinstance(clip, (int, float)) or not clip > 0):
        raise RecipeError(f"an objective's clip must be a number above 0, got {clip!r}")


def check_scores(objective: object, scores: NDArray[np.float32]) -> None:
    """Look whether a discriminator's scores are of the kind that an objective is written for.

    Warns:
        GanWarning: logits or unbounded scores are expected, and every score is a probability.

    Raises:
        RecipeError: probabilities are expected, and scores lie outside of [0, 1].
    """
    if np.all(scores == scores[0]):
        return  # one number for all images tells nothing of its kind; that it is one is told elsewhere
    from_logits = getattr(objective, "from_logits", None)
    kind = type(getattr(objective, "base", objective)).__name__
    inside = bool(((scores >= 0) & (scores <= 1)).all())
    if from_logits and inside:
        warn(
            f"{kind}(from_logits=True) takes logits, but all scores lie between 0 and 1: "
            f"take the sigmoid off the discriminator's end, or use {kind}(from_logits=False)"
        )
    if getattr(objective, "unbounded", False) and inside:
        warn(
            f"{kind} takes scores without bounds, but all lie between 0 and 1: take the sigmoid off the "
            "discriminator's end"
        )
    if from_logits is False and not inside:
        raise RecipeError(
            f"{kind}(from_logits=False) takes probabilities, but scores lie outside of [0, 1]: "
            f"end the discriminator in a sigmoid, or use {kind}(from_logits=True)"
        )
