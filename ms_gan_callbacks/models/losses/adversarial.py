"""Objectives from the literature."""

from __future__ import annotations

from dataclasses import dataclass

from mindspore import Tensor, ops

from ms_gan_callbacks.errors import RecipeError
from ms_gan_callbacks.models.losses.objective import TRAITS, Losses, Objective, complete_objective


def _cross_entropy(scores: Tensor, label: float, from_logits: bool) -> Tensor:
    labels = ops.full_like(scores, label)
    if from_logits:
        return ops.binary_cross_entropy_with_logits(scores, labels, ops.ones_like(scores), ops.ones_like(scores))
    return ops.binary_cross_entropy(scores, labels)


@dataclass(frozen=True)
class NonSaturating(Objective):
    """The non-saturating loss of Goodfellow et al., 2014 (arXiv:1406.2661), section 3, the usual choice.

    The discriminator minimises -E[log D(x)] - E[log(1 - D(G(z)))]. The generator minimises -E[log D(G(z))], which
    has the fixed point of the minimax game, but stronger gradients while the discriminator is superior.

    Args:
        from_logits: whether scores are logits (numerically more stable) or probabilities.
        smoothing: one-sided label smoothing, at least 0 and below 1: real images have the label 1 - smoothing
            (Salimans et al., 2016, arXiv:1606.03498, section 3.4).

    Raises:
        RecipeError: ``smoothing`` is out of range.
    """

    from_logits: bool = True
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            kind = type(self).__name__
            raise RecipeError(f"{kind}(smoothing=...) must be at least 0 and below 1, got {self.smoothing!r}")
        object.__setattr__(self, "boundary", 0.0 if self.from_logits else 0.5)

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the cross entropy of real scores, label 1 - smoothing, plus that of fake scores, label 0."""
        real = _cross_entropy(real_scores, 1.0 - self.smoothing, self.from_logits)
        return real + _cross_entropy(fake_scores, 0.0, self.from_logits)

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return the cross entropy of fake scores with label 1."""
        return _cross_entropy(fake_scores, 1.0, self.from_logits)

    def probability(self, scores: Tensor) -> Tensor:
        """Return D(x), the sigmoid of logits."""
        return ops.sigmoid(scores) if self.from_logits else scores


@dataclass(frozen=True)
class Minimax(NonSaturating):
    """The minimax game, min_G max_D E[log D(x)] + E[log(1 - D(G(z)))] (arXiv:1406.2661, equation 1).

    The generator minimises E[log(1 - D(G(z)))], whose gradient vanishes while the discriminator is superior;
    :class:`NonSaturating` does not have this problem.
    """

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return E[log(1 - D(G(z)))], which is never positive."""
        return -_cross_entropy(fake_scores, 0.0, self.from_logits)


@dataclass(frozen=True)
class LeastSquares(Objective):
    """LSGAN, Mao et al., 2016 (arXiv:1611.04076), equation 9, with targets 1 for real images and 0 for fakes.

    Scores are unbounded; at equilibrium both means are 0.5.
    """

    boundary = 0.5

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return (E[(D(x) - 1)^2] + E[D(G(z))^2]) / 2."""
        return (ops.square(real_scores - 1).mean() + ops.square(fake_scores).mean()) / 2

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return E[(D(G(z)) - 1)^2] / 2."""
        return ops.square(fake_scores - 1).mean() / 2


@dataclass(frozen=True)
class Hinge(Objective):
    """Lim & Ye, 2017 (arXiv:1705.02894), as in Miyato et al., 2018 (arXiv:1802.05957), equations 16 and 17.

    Scores beyond the margin do not contribute to the discriminator's loss.
    """

    unbounded = True
    boundary = 0.0

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
        return ops.relu(1 - real_scores).mean() + ops.relu(1 + fake_scores).mean()

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return -E[D(G(z))]."""
        return -fake_scores.mean()


@dataclass(frozen=True)
class Wasserstein(Objective):
    """WGAN, Arjovsky et al., 2017 (arXiv:1701.07875): the critic's scores estimate the Wasserstein distance.

    This requires a critic with bounded gradients: use ``clip``, or ``Recipe(penalty=GradientPenalty())``. The
    paper updates the generator every 5 steps: ``Recipe(generator_every=5)``.

    Args:
        clip: the critic's trainable weights are clipped to [-clip, clip] after each of its updates; 0.01 in the
            paper. None disables clipping.
    """

    clip: float | None = None
    unbounded = True

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return E[D(G(z))] - E[D(x)]."""
        return fake_scores.mean() - real_scores.mean()

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return -E[D(G(z))]."""
        return -fake_scores.mean()


@dataclass(frozen=True)
class RelativisticAverage(Objective):
    """Relativistic average GAN, Jolicoeur-Martineau, 2018 (arXiv:1807.00734), equations 13 and 14.

    The discriminator estimates whether a real image is more realistic than the average fake. Scores are logits
    C(x) of which only differences are meaningful. The losses of both players use real and fake scores.
    """

    generator_sees_real = True
    unbounded = True

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the cross entropy of C(x) - E[C(G(z))], label 1, plus that of C(G(z)) - E[C(x)], label 0."""
        real = _cross_entropy(real_scores - fake_scores.mean(), 1.0, True)
        return real + _cross_entropy(fake_scores - real_scores.mean(), 0.0, True)

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor) -> Tensor:
        """Return the discriminator's loss with exchanged labels."""
        fake = _cross_entropy(fake_scores - real_scores.mean(), 1.0, True)
        return fake + _cross_entropy(real_scores - fake_scores.mean(), 0.0, True)


@dataclass(frozen=True)
class RelativisticPairing(Objective):
    """Relativistic pairing: RSGAN of Jolicoeur-Martineau, 2018 (arXiv:1807.00734).

    The discriminator estimates whether a real image is more realistic than one fake, its pair. Scores are logits
    C(x) of which only differences are meaningful. The losses of both players use real and fake scores.

    With the penalties :class:`R1` and :class:`R2` it is the objective of R3GAN (Huang et al., 2024,
    arXiv:2501.05441), who prove that this game converges locally.
    """

    generator_sees_real = True
    unbounded = True

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return E[softplus(C(G(z)) - C(x))], the cross entropy of C(x) - C(G(z)) with label 1."""
        return _cross_entropy(real_scores - fake_scores, 1.0, True)

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor) -> Tensor:
        """Return E[softplus(C(x) - C(G(z)))], the cross entropy of C(G(z)) - C(x) with label 1."""
        return _cross_entropy(fake_scores - real_scores, 1.0, True)


@dataclass(frozen=True)
class AuxiliaryClassifier(Objective):
    """AC-GAN, Odena et al., 2016 (arXiv:1610.09585): both players also minimise the cross entropy of the classes.

    The discriminator returns (scores, class logits (N, classes)); taking labels is optional. The run must be
    conditional: ``Recipe(classes=10)``.

    Args:
        base: objective of the scores.
        weight: weight of the cross entropy of the classes, more than 0.

    Raises:
        RecipeError: ``weight`` is out of range.
    """

    base: Losses
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise RecipeError(f"AuxiliaryClassifier(weight=...) must be more than 0, got {self.weight!r}")
        base = complete_objective(self.base)
        # Bound methods of the base: MindSpore's compiler cannot follow self.base in a method.
        vars(self).update({name: getattr(base, name) for name in TRAITS if name != "class_loss"})

    def class_loss(self, class_logits: Tensor, labels: Tensor) -> Tensor:
        """Return weight times the cross entropy of class logits (N, classes) with labels (N,)."""
        return self.weight * ops.cross_entropy(class_logits, labels)
