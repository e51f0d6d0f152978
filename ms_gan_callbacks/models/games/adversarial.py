"""The game of two players: a generator against a discriminator, with an objective and penalties."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.models.games.chance import Chance, Normal
from ms_gan_callbacks.models.games.game import Game
from ms_gan_callbacks.models.losses.objective import critic_value, game_value
from ms_gan_callbacks.models.losses.penalties import GradientBased, list_penalties
from ms_gan_callbacks.models.settings import Method
from ms_gan_callbacks.models.world import get_world

SCALARS = ("d_loss", "g_loss", "d_real", "d_fake", "value")
"""Scalars of a step: both losses, the mean of D(x), the mean of D(G(z)), and V(D, G) =
E[log D(x)] + E[log(1 - D(G(z)))]. All are computed before the discriminator's update, except g_loss, which
is computed after it. For a critic, the means are those of its raw scores, and value is E[D(x)] - E[D(G(z))]."""
AUGMENT_P = "augment_p"
"""Scalar of an adaptive augmentation: the probability of its changes."""


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

    A penalty adds a pass of the discriminator and a second derivative; one with ``every`` above 1 is a term. A
    generator loss that uses real scores adds a forward pass of the updated discriminator on real images. An
    augmentation changes the images before the discriminator and penalties get them, for both players in the same
    way.

    In a step that updates only the discriminator, g_loss is computed from scores before its update.

    Args:
        method: objective, penalties, augmentation, number of classes and length of the noise.

    Attributes:
        joined: whether real and fake images are passed to the discriminator as one batch.
        labelled: whether the discriminator takes labels.
        pack: number of images that share a score of the discriminator.
        image_shape: shape of one image, (C, H, W).
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.joined = self.labelled = False
        self.pack = 1
        self.image_shape: tuple[int, ...] = ()
        self.noise_dim, self.conditional = int(method.noise_dim or 0), int(method.classes is not None)
        # Bound methods of the settings: the graph compiler cannot follow nested objects.
        traits = method.traits
        self.d_loss_of, self.g_loss_of = traits.discriminator_loss, traits.generator_loss
        self.probability: Any = traits.probability
        self.class_loss_of: Any = traits.class_loss
        self.critic, self.classifies = traits.probability is None, traits.class_loss is not None
        self.sees_real, self.boundary = bool(traits.generator_sees_real), traits.boundary
        self.penalties = {_name(place): one for place, one in enumerate(list_penalties(method.penalty))}
        augment: Any = method.augment
        self.draw_augment: Any = None if augment is None else augment.draw
        self.augment_of: Any = None if augment is None else augment.apply
        self.adapt_of: Any = getattr(augment, "adapt", None)
        self.ranks = get_world().size

    @property
    def chance(self) -> Mapping[str, Chance]:  # type: ignore[override]
        """The noise, and the random numbers of penalties and augmentations."""
        chance: dict[str, Chance] = {"noise": Normal(self.noise_dim)}
        chance |= {name: PenaltyDraw(one.draw, self.image_shape) for name, one in self.penalties.items()}
        return chance | dict.fromkeys(self._list_augments(real=True), self.draw_augment)

    @property
    def terms(self) -> Mapping[str, int]:  # type: ignore[override]
        """The penalties that are not computed in every step."""
        every = {name: getattr(one, "every", 1) for name, one in self.penalties.items()}
        return {name: steps for name, steps in every.items() if steps > 1}

    @property
    def scalars(self) -> tuple[str, ...]:
        """The names of the scalars of a step."""
        return SCALARS if self.adapt_of is None else (*SCALARS, AUGMENT_P)

    def _list_augments(self, real: bool) -> tuple[str, ...]:
        if self.augment_of is None:
            return ()
        return ("augment_fake", "augment_real") if real else ("augment_fake",)

    def get_inputs(self, method: str) -> tuple[str, ...]:
        """Return the names of the inputs of a method, without ``made``."""
        labels = ("labels",) if self.conditional else ()
        if method in ("make", "picture", "select_images"):
            return ("noise", *labels) if method == "make" else ()
        if method == "g_loss":
            return ("real", *labels, *self._list_augments(self.sees_real))
        return ("real", *labels, *self._list_augments(real=True), *self.penalties)

    def takes_made(self, method: str) -> bool:
        """Return whether ``made`` is an argument of a method."""
        return method != "make"

    def get_loss(self, player: str, idle: Collection[str]) -> str:
        """Return the name of a player's loss in a step without ``idle`` players and penalties."""
        if player == "g":
            return "g_loss"
        return " without ".join(
            ["both_losses" if "g" in idle else "d_loss", *(n for n in self.terms if n in idle)]
        )

    def get_function(self, method: str) -> Callable[..., Any]:
        """Return a loss of :meth:`get_loss`, or a method."""
        name, *idle = method.split(" without ")
        if name not in ("d_loss", "both_losses"):
            return super().get_function(method)
        due = [one for one in self.penalties if one not in idle]
        return DiscriminatorLoss(self, due, both=name == "both_losses")

    def get_keys(self, method: str) -> tuple[str, ...]:
        """Return the names of the further scalars of a loss."""
        if method == "g_loss":
            return ()
        first = ("g_loss",) if method.startswith("both_losses") else ()
        return (*first, *self.scalars[2:])

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
        half = real.shape[0] // self.pack
        real_scores, fake_scores = ops.split(outputs[0], half, 0)
        if self.classifies:
            real_logits, fake_logits = ops.split(outputs[1], half, 0)
            return real_scores, real_logits, fake_scores, fake_logits
        return real_scores, fake_scores

    def augment(self, images: Tensor, drawn: tuple[Tensor, ...], place: int) -> Tensor:
        """Return images as the discriminator sees them, with the random numbers at a place: 0 fake, 1 real."""
        return images if self.augment_of is None else self.augment_of(images, drawn[place])

    def summarize(self, real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return d_real, d_fake and value."""
        if self.critic:
            return real_scores.mean(), fake_scores.mean(), critic_value(real_scores, fake_scores)
        d_real, d_fake = self.probability(real_scores), self.probability(fake_scores)
        return d_real.mean(), d_fake.mean(), game_value(d_real, d_fake)

    def compute_g_loss(self, fake: tuple[Tensor, ...], real_scores: Tensor, labels: tuple[Tensor, ...]) -> Tensor:
        """Return the generator's loss from the outputs of :meth:`score` for fakes."""
        loss = self.g_loss_of(fake[0], real_scores) if self.sees_real else self.g_loss_of(fake[0])
        return loss + self.class_loss_of(fake[1], labels[0]) if self.classifies else loss

    def make(self, noise: Tensor, *labels: Tensor) -> Tensor:
        """Return generated images."""
        return self.generator(noise, *labels)

    def g_loss(self, made: Tensor, real: Tensor, *rest: Tensor) -> Tensor:
        """Return the generator's loss."""
        labels, drawn = rest[: self.conditional], rest[self.conditional :]
        real_scores = real
        if self.sees_real:
            real_scores = ops.stop_gradient(self.score(self.augment(real, drawn, 1), labels)[0])
        return self.compute_g_loss(self.score(self.augment(made, drawn, 0), labels), real_scores, labels)


class DiscriminatorLoss(nn.Cell):  # type: ignore[misc]
    """The loss of the discriminator: its objective, and the penalties that are due in a step.

    Args:
        game: the game.
        due: the names of the penalties.
        both: whether to return g_loss, too, from the same scores.
    """

    def __init__(self, game: Adversarial, due: Sequence[str], both: bool) -> None:
        super().__init__(auto_prefix=False)
        self.game, self.both = game, both
        penalties: list[Any] = [game.penalties[name] for name in due]
        self.penalties = tuple([one.loss for one in penalties])
        self.labelled = game.labelled and all(isinstance(one, GradientBased) for one in penalties)
        self.choose = tuple([one.choose for one in penalties if self.labelled])
        self.penalise = tuple([one.penalise for one in penalties if self.labelled])
        self.weights = tuple([float(game.terms.get(name, 1)) for name in due])
        self.places = tuple([list(game.penalties).index(name) for name in due])
        self.labels, self.augments = game.conditional, 0 if game.augment_of is None else 2
        self.pack = game.pack

    def construct(self, made: Tensor, real: Tensor, *rest: Tensor) -> Any:
        """Return the loss, and a dict with d_real, d_fake, value and the other scalars."""
        game, labels = self.game, rest[: self.labels]
        drawn = rest[self.labels :]
        real, fake = game.augment(real, drawn, 1), game.augment(made, drawn, 0)
        outputs = game.score_both(real, fake, labels)
        half = len(outputs) // 2
        loss = game.d_loss_of(outputs[0], outputs[half])
        if game.classifies:
            loss = loss + game.class_loss_of(outputs[1], labels[0]) + game.class_loss_of(outputs[3], labels[0])
        loss = self._add_penalties(loss, real, fake, labels, drawn[self.augments :])
        d_real, d_fake, value = game.summarize(outputs[0], outputs[half])
        told = {"d_real": d_real, "d_fake": d_fake, "value": value}
        if self.both:
            told["g_loss"] = game.compute_g_loss(outputs[half:], outputs[0], labels)
        if game.adapt_of is not None:
            count = real.shape[0] * game.ranks
            told["augment_p"] = game.adapt_of(outputs[0], outputs[half], game.boundary, count).reshape(())
        return loss, told

    def _add_penalties(
        self, loss: Tensor, real: Tensor, fake: Tensor, labels: tuple[Tensor, ...], drawn: tuple[Tensor, ...]
    ) -> Tensor:
        def critic(images: Tensor) -> Tensor:
            if self.pack > 1:
                return self.game.discriminator.network(images)
            return self.game.score(images, labels)[0]

        if self.pack > 1:
            real, fake = self.game.discriminator.join(real), self.game.discriminator.join(fake)
        for place in range(len(self.penalties)):
            if self.labelled:
                # MindSpore cannot differentiate fast layers in a function that uses labels from around it. They
                # are an argument instead, and the gradient with respect to them, which is not used, is asked for.
                images = self.choose[place](real, fake, drawn[self.places[place]])
                term = self.penalise[place](ms.grad(self._score, (0, 1))(images, labels[0])[0])
            else:
                term = self.penalties[place](critic, real, fake, drawn[self.places[place]])
            loss = loss + (term if self.weights[place] == 1 else self.weights[place] * term)
        return loss

    def _score(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.game.score(images, (labels,))[0]


def _name(place: int) -> str:
    """Return the name of a penalty's random numbers."""
    return f"penalty_{place + 1}" if place else "penalty"
