"""Gradient penalties, compiled into the discriminator's loss.

They require second derivatives, which MindSpore supports in compiled graphs, but not for some layers (ELU, GELU,
GroupNorm, pooling); with these the training step raises RecipeError.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError

Floats = NDArray[np.float32]
Critic = Callable[[Tensor], Tensor]


class Penalty(Protocol):
    """A term added to the discriminator's loss, with optional random numbers.

    Any object with both methods is a penalty. Subclasses override ``draw`` only if the loss uses random numbers.
    """

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Return the random numbers of ``loss`` for a batch of shape (N, C, H, W), as one float32 array."""
        return np.zeros(1, np.float32)

    @abstractmethod
    def loss(self, critic: Critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the penalty, a scalar; ``critic`` maps images (N, C, H, W) to scores."""


def compute_squared_norms(critic: Critic, images: Tensor) -> Tensor:
    """Return the squared norm (N,) of each score's gradient with respect to its image."""
    gradients = ms.grad(critic)(images)
    return ops.square(gradients).reshape(images.shape[0], -1).sum(1)


def compute_norms(critic: Critic, images: Tensor) -> Tensor:
    """Return the norm (N,) of each score's gradient with respect to its image."""
    return ops.sqrt(compute_squared_norms(critic, images) + 1e-12)  # sqrt has no derivative at 0


@dataclass(frozen=True)
class GradientPenalty(Penalty):
    """WGAN-GP, Gulrajani et al., 2017 (arXiv:1704.00028), equation 3: gradient norm 1 between real and fake.

    weight * E[(|grad D(x')| - 1)^2] at x' = u x + (1 - u) G(z), with u uniform in [0, 1] for each image.

    Args:
        weight: lambda, 0 or more.
        one_sided: whether to penalise only norms above 1.
    """

    weight: float = 10.0
    one_sided: bool = False

    def __post_init__(self) -> None:
        _check_weight(self, self.weight)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Return u, (N, 1, 1, 1)."""
        return rng.random((shape[0], *(1 for _ in shape[1:])), dtype=np.float32)

    def loss(self, critic: Critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the penalty."""
        excess = compute_norms(critic, fake + drawn * (real - fake)) - 1
        if self.one_sided:
            excess = ops.relu(excess)
        return self.weight * ops.square(excess).mean()


@dataclass(frozen=True)
class DRAGAN(Penalty):
    """DRAGAN, Kodali et al., 2017 (arXiv:1705.07215), section 2.3: gradient norm 1 around real images.

    weight * E[(|grad D(x')| - 1)^2] at x' = x + a u s / 2, as in the authors' code: u uniform in [0, 1] for each
    pixel, a uniform in [0, 1] for each image, s the standard deviation of the batch.

    Args:
        weight: lambda, 0 or more.
    """

    weight: float = 10.0

    def __post_init__(self) -> None:
        _check_weight(self, self.weight)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Return a * u, (N, C, H, W)."""
        along = rng.random((shape[0], *(1 for _ in shape[1:])), dtype=np.float32)
        return along * rng.random(shape, dtype=np.float32)

    def loss(self, critic: Critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the penalty."""
        spread = ops.sqrt(ops.square(real - real.mean()).mean())
        return self.weight * ops.square(compute_norms(critic, real + drawn * (0.5 * spread)) - 1).mean()


@dataclass(frozen=True)
class R1(Penalty):
    """Mescheder et al., 2018 (arXiv:1801.04406), equation 9: gamma / 2 * E[|grad D(x)|^2] at real images.

    Args:
        gamma: weight, 0 or more.
    """

    gamma: float = 10.0

    def __post_init__(self) -> None:
        _check_weight(self, self.gamma)

    def loss(self, critic: Critic, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        """Return the penalty."""
        return self.gamma / 2 * compute_squared_norms(critic, real).mean()


def check_penalty(penalty: object) -> None:
    """Raise RecipeError unless an object has both methods of a penalty."""
    for method in ("draw", "loss"):
        if isinstance(penalty, type) or not callable(getattr(penalty, method, None)):
            raise RecipeError(f"penalty must be an object with a method {method}, not {penalty!r}")


def _check_weight(penalty: object, weight: float) -> None:
    if isinstance(weight, bool) or not 0 <= weight < float("inf"):
        raise RecipeError(f"{type(penalty).__name__}: the weight must be 0 or more, got {weight!r}")
