"""The losses people train GANs with."""

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
    """The form of Goodfellow et al., 2014 (arXiv:1406.2661), section 3, that everybody trains.

    The discriminator minimises -E[log D(x)] - E[log(1 - D(G(z)))]; the generator minimises -E[log D(G(z))],
    which has the minimax game's fixed point but strong gradients while the discriminator still wins.

    Args:
        from_logits: whether scores are logits (the numerically better choice) or probabilities.
        smoothing: how far from 1 the label of real images is, 0 or more and below 1: one-sided label smoothing
            (Salimans et al., 2016, arXiv:1606.03498, section 3.4).

    Raises:
        RecipeError: ``smoothing`` is out of its range.
    """

    from_logits: bool = True
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            kind = type(self).__name__
            raise RecipeError(f"{kind}(smoothing=...) takes a number from 0 up to below 1, got {self.smoothing!r}")

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the cross entropy of real images called real plus that of fakes called fake."""
        real = _cross_entropy(real_scores, 1.0 - self.smoothing, self.from_logits)
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


@dataclass(frozen=True)
class LeastSquares(Objective):
    """Mao et al., 2016 (arXiv:1611.04076), equation 9: real images towards 1, fakes towards 0.

    Scores are a critic's, without bounds; at equilibrium both means are 0.5.
    """

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return (E[(D(x) - 1)^2] + E[D(G(z))^2]) / 2."""
        return (ops.square(real_scores - 1).mean() + ops.square(fake_scores).mean()) / 2

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return E[(D(G(z)) - 1)^2] / 2."""
        return ops.square(fake_scores - 1).mean() / 2


@dataclass(frozen=True)
class Hinge(Objective):
    """Lim & Ye, 2017 (arXiv:1705.02894), as in Miyato et al., 2018 (arXiv:1802.05957), equations 16 and 17.

    The discriminator stops caring about what it tells apart by more than the margin.
    """

    unbounded = True

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
        return ops.relu(1 - real_scores).mean() + ops.relu(1 + fake_scores).mean()

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        """Return -E[D(G(z))]."""
        return -fake_scores.mean()


@dataclass(frozen=True)
class Wasserstein(Objective):
    """Arjovsky et al., 2017 (arXiv:1701.07875): the critic's scores estimate the distance to the data.

    That takes a critic whose slope is bounded: by ``clip``, or by ``Recipe(penalty=GradientPenalty())``. The paper
    updates the generator once in five steps: ``Recipe(generator_every=5)``.

    Args:
        clip: after each of its updates the critic's trained weights are clipped to [-clip, clip]; the paper's is
            0.01. None leaves them alone.
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
    """Jolicoeur-Martineau, 2018 (arXiv:1807.00734), equations 13 and 14: is x more real than the average fake?

    Scores are logits C(x) that mean something only next to each other. Both players' losses take both kinds.
    """

    generator_sees_real = True
    unbounded = True

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        """Return the cross entropy of sigmoid(C(x) - E[C(G(z))]) towards 1, and of its counterpart towards 0."""
        real = _cross_entropy(real_scores - fake_scores.mean(), 1.0, True)
        return real + _cross_entropy(fake_scores - real_scores.mean(), 0.0, True)

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor) -> Tensor:
        """Return the same with the labels exchanged."""
        fake = _cross_entropy(fake_scores - real_scores.mean(), 1.0, True)
        return fake + _cross_entropy(real_scores - fake_scores.mean(), 0.0, True)


@dataclass(frozen=True)
class AuxiliaryClassifier(Objective):
    """Odena et al., 2016 (arXiv:1610.09585): both players minimise the cross entropy of an image's class, too.

    The discriminator returns (scores, class logits (N, classes)); it need not take labels. The run must be
    conditional: ``Recipe(classes=10)``.

    Args:
        base: the losses of the scores.
        weight: how much the cross entropy of the classes counts, more than 0.

    Raises:
        RecipeError: ``weight`` is out of its range.
    """

    base: Losses
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise RecipeError(f"AuxiliaryClassifier takes a weight of more than 0, got {self.weight!r}")
        base = complete_objective(self.base)
        # The base's own bound methods: MindSpore's compiler cannot follow self.base from a method.
        vars(self).update({name: getattr(base, name) for name in TRAITS if name != "class_loss"})

    def class_loss(self, class_logits: Tensor, labels: Tensor) -> Tensor:
        """Return weight times the cross entropy of class logits (N, classes) against labels (N,)."""
        return self.weight * ops.cross_entropy(class_logits, labels)
