"""What each player tries to minimise: pure functions of the discriminator's scores.

Scores are what the discriminator returns, of shape ``(N, 1)`` or ``(N,)``: probabilities in (0, 1) where it
ends in a sigmoid, logits where it does not. An objective is any object with the three methods of
:class:`Objective`; they are compiled into the training step, so they may only use MindSpore operations.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import GanWarning, RecipeError


class Objective(Protocol):
    """The two losses of a GAN, and how a score reads as a probability."""

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the scalar that the discriminator minimises."""
        ...

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return the scalar that the generator minimises."""
        ...

    def probability(self, scores: Tensor) -> Tensor:
        """Read scores as the probability, in [0, 1], that an image is real."""
        ...


def check_scores(objective: object, scores: NDArray[np.float32]) -> None:
    """Look whether a discriminator's scores are of the kind that an objective is written for.

    Warns:
        GanWarning: logits are expected, and every score is a probability.

    Raises:
        RecipeError: probabilities are expected, and scores lie outside of [0, 1].
    """
    from_logits = getattr(objective, "from_logits", None)
    kind = type(objective).__name__
    if from_logits and ((scores >= 0) & (scores <= 1)).all():
        warnings.warn(
            f"{kind}(from_logits=True) takes logits, but all scores lie between 0 and 1: "
            f"take the sigmoid off the discriminator's end, or use {kind}(from_logits=False)",
            GanWarning,
            stacklevel=2,
        )
    if from_logits is False and not ((scores >= 0) & (scores <= 1)).all():
        raise RecipeError(
            f"{kind}(from_logits=False) takes probabilities, but scores lie outside of [0, 1]: "
            f"end the discriminator in a sigmoid, or use {kind}(from_logits=True)"
        )


def _cross_entropy(scores: Tensor, label: float, from_logits: bool) -> Tensor:
    labels = ops.full_like(scores, label)
    if from_logits:
        return ops.binary_cross_entropy_with_logits(scores, labels, ops.ones_like(scores), ops.ones_like(scores))
    return ops.binary_cross_entropy(scores, labels)


@dataclass(frozen=True)
class NonSaturating:
    """The form of Goodfellow et al., 2014 (arXiv:1406.2661), section 3, that everybody trains.

    The discriminator minimises -E[log D(x)] - E[log(1 - D(G(z)))]; the generator minimises -E[log D(G(z))],
    which has the minimax game's fixed point but strong gradients while the discriminator still wins.

    Args:
        from_logits: whether scores are logits (the numerically better choice) or probabilities.
    """

    from_logits: bool = True

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the cross entropy of real images called real plus that of fakes called fake."""
        real = _cross_entropy(real_scores, 1.0, self.from_logits)
        return real + _cross_entropy(fake_scores, 0.0, self.from_logits)

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return the cross entropy of fakes called real."""
        return _cross_entropy(fake_scores, 1.0, self.from_logits)

    def probability(self, scores: Tensor) -> Tensor:
        """Return D(x), through the sigmoid where scores are logits."""
        return ops.sigmoid(scores) if self.from_logits else scores


@dataclass(frozen=True)
class Minimax(NonSaturating):
    """The game itself, min_G max_D E[log D(x)] + E[log(1 - D(G(z)))] (arXiv:1406.2661, equation 1).

    The generator minimises E[log(1 - D(G(z)))]; its gradient fades while the discriminator wins outright,
    which is why :class:`NonSaturating` is the usual choice.
    """

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return E[log(1 - D(G(z)))], which is never positive."""
        return -_cross_entropy(fake_scores, 0.0, self.from_logits)
