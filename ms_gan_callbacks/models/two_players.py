"""The two players of a GAN, a generator and a discriminator, with an objective."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from mindspore import Tensor

from ms_gan_callbacks.data.columns import check_columns
from ms_gan_callbacks.data.labels import check_labels
from ms_gan_callbacks.data.protocol import LABELS, REAL, Source
from ms_gan_callbacks.data.rng import noise, stream
from ms_gan_callbacks.errors import RecipeError, UsageError
from ms_gan_callbacks.models.games.adversarial import SCALARS, Adversarial
from ms_gan_callbacks.models.games.player import Player
from ms_gan_callbacks.models.games.rendering import Inputs
from ms_gan_callbacks.models.games.trial import TrialResult
from ms_gan_callbacks.models.inference import ColumnReader
from ms_gan_callbacks.models.losses.objective import check_scores, critic_value, game_value
from ms_gan_callbacks.models.losses.penalties import GradientBased
from ms_gan_callbacks.models.networks import CHUNK, Floats, Forward, Labels, Network
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.models.probe import ProbeResult, probe_networks, restore_values, takes_labels
from ms_gan_callbacks.models.settings import Method
from ms_gan_callbacks.models.world import name_multiples

TITLES = {"d": "discriminator", "g": "generator"}
"""The players' networks."""


class TwoPlayers(Players):
    """A generator and a discriminator, each with an optimizer: the players of :class:`Adversarial`.

    Parameters are named ``generator.*``, ``discriminator.*``, ``g_optimizer.*``, ``d_optimizer.*``, ``ema.*`` (the
    generator's EMA), ``objective.*``, ``penalty.*`` and ``augment.*``, so that names are unique.

    Args:
        generator: maps noise (N, noise_dim) to images (N, C, H, W); a cell, or a factory called with the seed set.
            In a conditional run it also takes labels (N,), int32, as the second input.
        discriminator: maps images, and labels in a conditional run, to scores (N, 1) or (N,); a cell or a factory.
        method: the settings of the training.

    Raises:
        RecipeError: a factory does not return a network or an optimizer.
    """

    game: Adversarial

    def __init__(self, generator: Network, discriminator: Network, method: Method) -> None:
        self.method = method
        optimizer = method.get_optimizer()
        clip = method.traits.clip
        players = {
            "d": Player("discriminator", method.discriminator_optimizer or optimizer, 1, method.clip_norm, clip),
            "g": Player("generator", optimizer, method.generator_every, method.clip_norm, ema=method.ema),
        }
        super().__init__(
            partial(Adversarial, method),
            {"generator": generator, "discriminator": discriminator},
            players,
            seed=method.seed,
            fast=method.accelerate,
            sync=method.sync_batch_norm,
        )
        self.classes, self.critic = method.classes, method.traits.probability is None
        self.pack = self.game.pack = int(getattr(self.discriminator, "pack", 1))
        if self.pack > 1 and method.classes is not None:
            raise RecipeError("PackedDiscriminator does not take labels: it cannot be used with classes=...")
        self._score = Forward(self.discriminator, pack=self.pack)

    @property
    def generator(self) -> Any:
        """The generator's cell."""
        return self.networks["generator"]

    @property
    def discriminator(self) -> Any:
        """The discriminator's cell."""
        return self.networks["discriminator"]

    def _list_holders(self) -> dict[str, object]:
        return {name: getattr(self.method, name) for name in ("objective", "penalty", "augment")}

    def _get_title(self, player: str) -> str:
        return TITLES[player]

    def _get_average_prefix(self, network: str) -> str:
        return "ema"

    def prepare(self, source: Source) -> None:
        """Probe the networks with random images of a source's shape, once; see :meth:`compile_for`."""
        check_columns(source, [REAL])
        if self.classes is not None:
            check_labels(source, self.classes)
        self._check_packs(source.batch_size)
        draw = stream(self.seed, "probe", 0)
        real = draw.uniform(-1, 1, (source.batch_size, *source.image_shape)).astype(np.float32)
        self.compile_for(real, noise(self.seed, "probe", 1, source.batch_size, self.game.noise_dim))

    def compile_for(self, real: Floats, noise: Floats) -> None:
        """Probe the networks with a first batch, once.

        Warns:
            GanWarning: a resumed run is not exact, because of a network or an optimizer; the scores do not match
                the objective; a penalty is used with a discriminator that couples the images of a batch.

        Raises:
            RecipeError: see :func:`probe_networks`.
        """
        if self._steps is not None:
            return
        traits, classes = self.method.traits, self.method.classes
        probed = probe_networks(
            self.generator, self.discriminator, real, noise, classes, traits.class_loss is not None
        )
        check_scores(traits, probed.scores)
        self.game.joined, self.game.labelled = probed.joined, probed.labelled
        self._check_penalties()
        self.game.image_shape = real.shape[1:]
        columns = (REAL,) if classes is None else (REAL, LABELS)
        tried = TrialResult(frozenset(("generator",)), {"d": self.game.scalars[2:], "g": ()})
        self._adopt(tried._replace(warnings=tuple(self._list_warnings(probed))), columns)
        self.steps.scalars = self.game.scalars

    def _check_penalties(self) -> None:
        for one in self.game.penalties.values() if self.game.labelled and self.accelerated else ():
            if not isinstance(one, GradientBased):
                raise RecipeError(
                    f"{type(one).__name__}: MindSpore cannot compile a custom penalty if the discriminator takes "
                    "labels and has fast layers; set accelerate=False"
                )

    def _check_packs(self, batch_size: int) -> None:
        ranks = self.world.size
        unit = self.pack * ranks
        if self.pack > 1 and batch_size % unit:
            among = f" on each of {ranks} ranks" if ranks > 1 else ""
            raise RecipeError(
                f"a batch of {batch_size} cannot be divided into packs of {self.pack} images{among}: choose a "
                f"batch size of {name_multiples(batch_size, unit)}"
            )

    def _list_warnings(self, probed: ProbeResult) -> Iterator[str]:
        """Yield warnings about probable mistakes and about inexact resuming."""
        if probed.random_layers:
            layers = ", ".join(probed.random_layers)
            yield f"{layers} draws random numbers that MindSpore cannot reproduce: a resumed run is not exact"
        if self.game.penalties and probed.coupled:
            verb = "requires" if len(self.game.penalties) == 1 else "require"
            yield (
                f"{self._name_gradient()} {verb} independent scores, but in this discriminator the score of an "
                "image depends on the other images of its batch: use LayerNorm instead of BatchNorm "
                "(arXiv:1704.00028, section 4)"
            )
        yield from probed.warnings

    def _name_gradient(self) -> str:
        return " and ".join(type(one).__name__ for one in self.game.penalties.values()) or "the game"

    def _explain_owner(self) -> str:
        return "make it an attribute of the generator, the discriminator or the objective"

    def cycle_labels(self, count: int) -> Labels | None:
        """Return labels (count,) that cycle through the classes, or None in an unconditional run."""
        classes = self.method.classes
        return None if classes is None else (np.arange(count) % classes).astype(np.int32)

    def generate(self, noise: Floats, labels: Any = None) -> Floats:
        """Return images, (N, C, H, W), for noise (N, noise_dim), with the generator or its EMA in evaluation mode.

        In a conditional run, labels (N,) select the classes; by default they cycle through all classes. If the
        generator uses batch statistics in evaluation, an image depends on its chunk of up to 64 images.

        Raises:
            UsageError: labels are out of range, not one per noise vector, or the run is not conditional.
        """
        inputs = self._join(noise, self._check_labels(labels, len(noise)))
        return self._renderer.render("select_images", inputs, self.step_number)[0]

    def _join(self, noise: Floats, labels: tuple[Labels, ...]) -> Inputs:
        return {"noise": np.ascontiguousarray(noise, np.float32), **dict(zip((LABELS,), labels, strict=False))}

    @property
    def takes_noise(self) -> bool:
        """Return True: images are made from noise, and labels in a conditional run."""
        return True

    def list_image_columns(self) -> tuple[str, ...]:
        """Return no columns: in a conditional run, labels are chosen instead of read from the data."""
        return ()

    def draw_images(self, count: int, name: str, read: ColumnReader) -> Floats:
        """Return ``count`` generated images; in a conditional run of the classes 0, 1, 2 and so on, repeated."""
        return self.generate(noise(self.seed, name, 0, count, self.game.noise_dim))

    def draw_picture(self, count: int, columns: int, name: str, read: ColumnReader) -> tuple[Floats, ...]:
        """Return the images of :meth:`draw_images`, as a tuple."""
        return (self.draw_images(count, name, read),)

    def _draw_batches(self, count: int) -> Iterator[Inputs]:
        for inputs in super()._draw_batches(count):
            yield self._join(inputs["noise"], self._check_labels(None, CHUNK))

    def sample(self, count: int, name: str, labels: Any, columns: Inputs) -> Floats:
        """Return ``count`` generated images, of these classes in a conditional run."""
        return self.generate(noise(self.seed, name, 0, count, self.noise_dim), labels)

    def score(self, images: Floats, labels: Any = None) -> Floats:
        """Return the discriminator's scores of images (N, C, H, W), or of packs of them, in evaluation mode.

        Raises:
            UsageError: labels do not fit, or the images cannot be divided into packs.
        """
        if len(images) % self.pack:
            raise UsageError(f"{len(images)} images cannot be divided into packs of {self.pack}")
        given = self._check_labels(labels, len(images)) if takes_labels(self.discriminator) else ()
        return self._score.predict(np.ascontiguousarray(images, np.float32), *given)[0]

    def _check_labels(self, labels: Any, count: int) -> tuple[Labels, ...]:
        if labels is None:
            turns = self.cycle_labels(count)
            return () if turns is None else (turns,)
        if (classes := self.method.classes) is None:
            raise UsageError("this run is not conditional: its networks do not take labels")
        given = np.asarray(labels)
        if given.shape != (count,) or given.dtype.kind not in "iu":
            raise UsageError(
                f"{count} images require {count} integers as labels, not {given.dtype} of shape {given.shape}"
            )
        if count and not (given.min() >= 0 and given.max() < classes):
            raise UsageError(f"labels must be from 0 to {classes - 1}, not from {given.min()} to {given.max()}")
        return (np.ascontiguousarray(given, np.int32),)

    def evaluate(self, columns: Inputs) -> dict[str, float]:
        """Return ``SCALARS`` for real images and as many generated ones, with both players in evaluation mode.

        The losses do not include penalties and class loss, and images are not augmented. In a conditional run the
        labels apply to both.
        """
        real, labels = columns[REAL], columns.get(LABELS)
        if self.classes is not None and labels is None:
            raise UsageError("a conditional run needs the labels of the images: eval(images, labels)")
        fake = self.generate(noise(self.seed, "eval", 0, len(real), self.noise_dim), labels)
        return self._summarize(real, fake, labels)

    def _summarize(self, real: Floats, fake: Floats, labels: Any) -> dict[str, float]:
        traits = self.method.traits
        real_scores, fake_scores = Tensor(self.score(real, labels)), Tensor(self.score(fake, labels))
        seen = (fake_scores, real_scores) if traits.generator_sees_real else (fake_scores,)
        with restore_values(self.state):
            d_loss, g_loss = traits.discriminator_loss(real_scores, fake_scores), traits.generator_loss(*seen)
        if traits.probability is None:
            d_real, d_fake, value = real_scores, fake_scores, critic_value(real_scores, fake_scores)
        else:
            d_real, d_fake = traits.probability(real_scores), traits.probability(fake_scores)
            value = game_value(d_real, d_fake)
        values = (d_loss, g_loss, d_real.mean(), d_fake.mean(), value)
        return {name: float(one.asnumpy()) for name, one in zip(SCALARS, values, strict=True)}


def build_players(method: Method, generator: Network | None, discriminator: Network | None) -> Players:
    """Return the players of a game, or of a generator and a discriminator; see the classes for errors raised."""
    if method.game is not None:
        if generator is not None or discriminator is not None:
            raise RecipeError("a game has its own networks: pass them in networks=..., by name")
        return Players(
            method.game,
            method.networks,
            method.players,
            seed=method.seed,
            fast=method.accelerate,
            sync=method.sync_batch_norm,
        )
    if generator is None or discriminator is None:
        missing = "generator" if generator is None else "discriminator"
        raise RecipeError(f"{missing}=... is missing; or pass a game=... with networks and players")
    return TwoPlayers(generator, discriminator, method)
