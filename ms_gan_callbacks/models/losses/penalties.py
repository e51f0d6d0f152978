"""Gradient penalties, compiled into the discriminator's loss.

They require second derivatives, which MindSpore supports in compiled graphs, but not for some layers (ELU, GELU,
GroupNorm, pooling); with these the training step raises RecipeError.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, is_whole
from ms_gan_callbacks.models.settings import check_methods

Floats = NDArray[np.float32]
Critic = Callable[[Tensor], Tensor]


class Penalty(Protocol):
    """A term added to the discriminator's loss, with optional random numbers.

    Any object with both methods is a penalty. Subclasses override ``draw`` only if the loss uses random numbers.

    An attribute ``every``, if there is one, is a number N of steps: the penalty is computed in every N-th step
    only, multiplied by N, which saves most of its time (lazy regularisation: Karras et al., 2019,
    arXiv:1912.04958, appendix B). In that paper the penalty has separate updates, and the settings of the
    optimizer are adapted to their number; here it is part of the loss of one update, and the settings do not
    change.
    """

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Return the random numbers of ``loss`` for a batch of shape (N, C, H, W), as one float32 array."""
        return np.zeros(1, np.float32)

    @abstractmethod
    def loss(self, critic: Critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the penalty, a scalar; ``critic`` maps images (N, C, H, W) to scores."""


class GradientBased(Penalty):
    """A penalty with a weight, of the gradients of scores with respect to images.

    Its repr leaves out ``every`` if it is 1, as in runs of earlier versions.
    """

    every: int

    def __post_init__(self) -> None:
        kind, weight = type(self).__name__, getattr(self, fields(self)[0].name)  # type: ignore[arg-type]
        if isinstance(weight, bool) or not 0 <= weight < float("inf"):
            raise RecipeError(f"{kind}: the weight must be 0 or more, got {weight!r}")
        if not is_whole(self.every, 1):
            raise RecipeError(f"{kind}: every must be a whole number of at least 1, got {self.every!r}")

    def __repr__(self) -> str:
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        shown = [f"{name}={value!r}" for name, value in values.items() if (name, value) != ("every", 1)]
        return f"{type(self).__name__}({', '.join(shown)})"

    def loss(self, critic: Critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the penalty."""
        return self.penalise(ms.grad(critic)(self.choose(real, fake, drawn)))

    @abstractmethod
    def choose(self, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the images at which gradients are penalised, (N, C, H, W)."""

    @abstractmethod
    def penalise(self, gradients: Tensor) -> Tensor:
        """Return the penalty of the gradients of scores with respect to these images, (N, C, H, W)."""


def compute_squared_norms(gradients: Tensor) -> Tensor:
    """Return the squared norm (N,) of each image's gradient."""
    return ops.square(gradients).reshape(gradients.shape[0], -1).sum(1)


def compute_norms(gradients: Tensor) -> Tensor:
    """Return the norm (N,) of each image's gradient."""
    return ops.sqrt(compute_squared_norms(gradients) + 1e-12)  # sqrt has no derivative at 0


@dataclass(frozen=True, repr=False)
class GradientPenalty(GradientBased):
    """WGAN-GP, Gulrajani et al., 2017 (arXiv:1704.00028), equation 3: gradient norm 1 between real and fake.

    weight * E[(|grad D(x')| - 1)^2] at x' = u x + (1 - u) G(z), with u uniform in [0, 1] for each image.

    Args:
        weight: lambda, 0 or more.
        one_sided: whether to penalise only norms above 1.
        every: see :class:`Penalty`.
    """

    weight: float = 10.0
    one_sided: bool = False
    every: int = 1

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Return u, (N, 1, 1, 1)."""
        return rng.random((shape[0], *(1 for _ in shape[1:])), dtype=np.float32)

    def choose(self, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return x'."""
        return fake + drawn * (real - fake)

    def penalise(self, gradients: Tensor) -> Tensor:
        """Return the penalty."""
        excess = compute_norms(gradients) - 1
        if self.one_sided:
            excess = ops.relu(excess)
        return self.weight * ops.square(excess).mean()


@dataclass(frozen=True, repr=False)
class DRAGAN(GradientBased):
    """DRAGAN, Kodali et al., 2017 (arXiv:1705.07215), section 2.3: gradient norm 1 around real images.

    weight * E[(|grad D(x')| - 1)^2] at x' = x + a u s / 2, as in the authors' code: u uniform in [0, 1] for each
    pixel, a uniform in [0, 1] for each image, s the standard deviation of the batch.

    Args:
        weight: lambda, 0 or more.
        every: see :class:`Penalty`.
    """

    weight: float = 10.0
    every: int = 1

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Return a * u, (N, C, H, W)."""
        along = rng.random((shape[0], *(1 for _ in shape[1:])), dtype=np.float32)
        return along * rng.random(shape, dtype=np.float32)

    def choose(self, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return x'."""
        spread = ops.sqrt(ops.square(real - real.mean()).mean())
        return real + drawn * (0.5 * spread)

    def penalise(self, gradients: Tensor) -> Tensor:
        """Return the penalty."""
        return self.weight * ops.square(compute_norms(gradients) - 1).mean()


@dataclass(frozen=True, repr=False)
class R1(GradientBased):
    """Mescheder et al., 2018 (arXiv:1801.04406), equation 9: gamma / 2 * E[|grad D(x)|^2] at real images.

    Args:
        gamma: weight, 0 or more.
        every: see :class:`Penalty`.
    """

    gamma: float = 10.0
    every: int = 1

    def choose(self, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the real images."""
        return real

    def penalise(self, gradients: Tensor) -> Tensor:
        """Return the penalty."""
        return self.gamma / 2 * compute_squared_norms(gradients).mean()


@dataclass(frozen=True, repr=False)
class R2(GradientBased):
    """Mescheder et al., 2018 (arXiv:1801.04406), equation 10: gamma / 2 * E[|grad D(G(z))|^2] at generated images.

    Together with :class:`R1` it makes relativistic pairing converge (Huang et al., 2024, arXiv:2501.05441).

    Args:
        gamma: weight, 0 or more.
        every: see :class:`Penalty`.
    """

    gamma: float = 10.0
    every: int = 1

    def choose(self, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the generated images."""
        return fake

    def penalise(self, gradients: Tensor) -> Tensor:
        """Return the penalty."""
        return self.gamma / 2 * compute_squared_norms(gradients).mean()


def list_penalties(penalty: object) -> tuple[Penalty, ...]:
    """Return the penalties of a recipe: one, several, or none.

    Raises:
        RecipeError: one of them lacks a method, or its ``every`` is out of range.
    """
    if penalty is None:
        return ()
    several = tuple(penalty) if isinstance(penalty, (list, tuple)) else (penalty,)
    for one in several:
        check_methods("penalty", one, ("draw", "loss"))
        if not is_whole(every := getattr(one, "every", 1), 1):
            raise RecipeError(f"a penalty's every must be a whole number of at least 1, got {every!r}")
    return several
