"""What each player tries to minimise: pure functions of the discriminator's scores.

Scores are what the discriminator returns, of shape ``(N, 1)`` or ``(N,)``: probabilities in (0, 1) where it
ends in a sigmoid, logits where it does not. An objective is any object with the three methods of
:class:`Objective`; they are compiled into the training step, so they may only use MindSpore operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mindspore import Tensor, ops


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
