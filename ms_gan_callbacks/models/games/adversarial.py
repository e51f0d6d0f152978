"""The game of two players: a generator against a discriminator, with an objective and a penalty."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.models.games.chance import Chance, Normal
from ms_gan_callbacks.models.games.game import Game
from ms_gan_callbacks.models.losses.objective import critic_value, game_value
from ms_gan_callbacks.models.settings import Method

SCALARS = ("d_loss", "g_loss", "d_real", "d_fake", "value")
"""Scalars of a step: both losses, the mean of D(x), the mean of D(G(z)), and V(D, G) =
E[log D(x)] + E[log(1 - D(G(z)))]. All are computed before the discriminator's update, except g_loss, which
is computed after it. For a critic, the means are those of its raw scores, and value is E[D(x)] - E[D(G(z))]."""


class PenaltyDraw(NamedTuple):
    """The random numbers of a penalty, for images of a shape (C, H, W); an array of any shape."""

    function: Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float32]]
    image_shape: tuple[int, ...]

    @property
    def rows(self) -> bool:
        """Return False: the array does not need one row per image."""
        return False

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return the random numbers for ``count`` images."""
        return np.ascontiguousarray(self.function(rng, (count, *self.image_shape)), np.float32)


class Adversarial(Game):
    """A generator, player ``g``, against a discriminator, player ``d``, which is updated first.

    Both updates use one forward pass of the generator, which does not change between them. (The moving statistics
    of its BatchNorm layers are therefore updated once per step.) If the discriminator processes images
    independently, real and fake images are passed to it as one batch.

    A penalty adds a pass of the discriminator and a second derivative. A generator loss that uses real scores adds
    a forward pass of the updated discriminator on real images.

    In a step that updates only the discriminator, g_loss is computed from scores before its update.

    Args:
        method: objective, penalty, number of classes and length of the noise.

    Attributes:
        joined: whether real and fake images are passed to the discriminator as one batch.
        labelled: whether the discriminator takes labels.
        image_shape: shape of one image, (C, H, W).
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.joined = self.labelled = False
        self.image_shape: tuple[int, ...] = ()
        self.noise_dim, self.conditional = int(method.noise_dim or 0), int(method.classes is not None)
        # Bound methods of the settings: the graph compiler cannot follow nested objects.
        traits = method.traits
        self.d_loss_of, self.g_loss_of = traits.discriminator_loss, traits.generator_loss
        self.probability: Any = traits.probability
        self.class_loss_of: Any = traits.class_loss
        self.critic, self.classifies = traits.probability is None, traits.class_loss is not None
        self.sees_real = bool(traits.generator_sees_real)
        self.penalty_of: Any = None if method.penalty is None else method.penalty.loss
        self.draw_penalty: Any = None if method.penalty is None else method.penalty.draw

    @property
    def chance(self) -> Mapping[str, Chance]:  # type: ignore[override]
        """The noise, and the random numbers of the penalty."""
        chance: dict[str, Chance] = {"noise": Normal(self.noise_dim)}
        if self.draw_penalty is not None:
            chance["penalty"] = PenaltyDraw(self.draw_penalty, self.image_shape)
        return chance

    def get_inputs(self, method: str) -> tuple[str, ...]:
        """Return the names of the inputs of a method, without ``made``."""
        labels = ("labels",) if self.conditional else ()
        drawn = () if self.penalty_of is None else ("penalty",)
        return {"make": ("noise", *labels), "g_loss": ("real", *labels), "picture": ()}.get(
            method, ("real", *labels, *drawn)
        )

    def takes_made(self, method: str) -> bool:
        """Return whether ``made`` is an argument of a method."""
        return method != "make"

    def get_loss(self, player: str, idle: Collection[str]) -> str:
        """Return the name of the method that computes a player's loss, in a step that does not update ``idle``."""
        return "both_losses" if player == "d" and "g" in idle else f"{player}_loss"

    def score(self, images: Tensor, labels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return (scores,), or (scores, class logits) if the discriminator classifies."""
        outputs = self.discriminator(images, *labels) if self.labelled else self.discriminator(images)
        return outputs if self.classifies else (outputs,)

    def score_both(self, real: Tensor, fake: Tensor, labels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the outputs of :meth:`score` for real images, followed by those for fakes."""
        if not self.joined:
            return (*self.score(real, labels), *self.score(fake, labels))
        twice = (ops.concat((labels[0], labels[0]), 0),) if self.labelled else labels
        outputs = self.score(ops.concat((real, fake), 0), twice)
        real_scores, fake_scores = ops.split(outputs[0], real.shape[0], 0)
        if self.classifies:
            real_logits, fake_logits = ops.split(outputs[1], real.shape[0], 0)
            return real_scores, real_logits, fake_scores, fake_logits
        return real_scores, fake_scores

    def compute_penalty(self, real: Tensor, fake: Tensor, labels: tuple[Tensor, ...], drawn: Tensor) -> Tensor:
        """Return the penalty of the discriminator."""

        def critic(images: Tensor) -> Tensor:
            return self.score(images, labels)[0]

        return self.penalty_of(critic, real, fake, drawn)

    def summarize(self, real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return d_real, d_fake and value."""
        if self.critic:
            return real_scores.mean(), fake_scores.mean(), critic_value(real_scores, fake_scores)
        d_real, d_fake = self.probability(real_scores), self.probability(fake_scores)
        return d_real.mean(), d_fake.mean(), game_value(d_real, d_fake)

    def judge(self, fake: Tensor, real: Tensor, rest: tuple[Tensor, ...]) -> tuple[Any, ...]:
        """Return the discriminator's loss, and its outputs as :meth:`score_both` does."""
        labels, drawn = rest[: self.conditional], rest[self.conditional :]
        outputs = self.score_both(real, fake, labels)
        if self.classifies:
            real_scores, real_logits, fake_scores, fake_logits = outputs
            loss = self.d_loss_of(real_scores, fake_scores)
            loss = loss + self.class_loss_of(real_logits, labels[0]) + self.class_loss_of(fake_logits, labels[0])
        else:
            loss = self.d_loss_of(outputs[0], outputs[1])
        if self.penalty_of is not None:
            loss = loss + self.compute_penalty(real, fake, labels, drawn[0])
        return loss, outputs

    def compute_g_loss(self, fake: tuple[Tensor, ...], real_scores: Tensor, labels: tuple[Tensor, ...]) -> Tensor:
        """Return the generator's loss from the outputs of :meth:`score` for fakes."""
        loss = self.g_loss_of(fake[0], real_scores) if self.sees_real else self.g_loss_of(fake[0])
        return loss + self.class_loss_of(fake[1], labels[0]) if self.classifies else loss

    def make(self, noise: Tensor, *labels: Tensor) -> Tensor:
        """Return generated images."""
        return self.generator(noise, *labels)

    def d_loss(self, made: Tensor, real: Tensor, *rest: Tensor) -> Any:
        """Return the discriminator's loss, with d_real, d_fake and value."""
        loss, outputs = self.judge(made, real, rest)
        d_real, d_fake, value = self.summarize(outputs[0], outputs[len(outputs) // 2])
        return loss, {"d_real": d_real, "d_fake": d_fake, "value": value}

    def both_losses(self, made: Tensor, real: Tensor, *rest: Tensor) -> Any:
        """Return what :meth:`d_loss` does, with g_loss from the same scores."""
        loss, outputs = self.judge(made, real, rest)
        half = len(outputs) // 2
        g_loss = self.compute_g_loss(outputs[half:], outputs[0], rest[: self.conditional])
        d_real, d_fake, value = self.summarize(outputs[0], outputs[half])
        return loss, {"g_loss": g_loss, "d_real": d_real, "d_fake": d_fake, "value": value}

    def g_loss(self, made: Tensor, real: Tensor, *labels: Tensor) -> Tensor:
        """Return the generator's loss."""
        real_scores = real
        if self.sees_real:
            real_scores = ops.stop_gradient(self.score(real, labels)[0])
        return self.compute_g_loss(self.score(made, labels), real_scores, labels)
