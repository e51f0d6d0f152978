"""The training step: one compiled graph that updates both players.

::

    real, noise ──> fake = G(noise)                      the generator's only forward pass
                    D's loss on real and fake ──> D's optimizer
                    G's loss on D(fake)       ──> G's optimizer ──> G's EMA
                    ──> d_loss, g_loss, d_real, d_fake, value   (on the device)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import mindspore as ms
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.layers.primitives import add_n, each
from ms_gan_callbacks.models.losses.objective import critic_value, game_value
from ms_gan_callbacks.models.mindspore_private import list_graph_parameters
from ms_gan_callbacks.models.networks import graph_mode
from ms_gan_callbacks.models.probe import ProbeResult
from ms_gan_callbacks.models.settings import Method

SCALARS = ("d_loss", "g_loss", "d_real", "d_fake", "value")
"""Scalars of a step: both losses, the mean of D(x), the mean of D(G(z)), and V(D, G) =
E[log D(x)] + E[log(1 - D(G(z)))]. All are computed before the discriminator's update, except g_loss, which
is computed after it. For a critic, the means are those of its raw scores, and value is E[D(x)] - E[D(G(z))]."""


def _sum_squares(tensor: Tensor) -> Tensor:
    return ops.square(tensor).sum()


def _scale(factor: Tensor, tensor: Tensor) -> Tensor:
    return factor * tensor


def _clip(limit: float, parameter: ms.Parameter) -> Tensor:
    return ops.assign(parameter, ops.clip_by_value(parameter, -limit, limit))


class Cells(Protocol):
    """Both networks, their optimizers, and the generator's EMA or None."""

    generator: nn.Cell
    discriminator: nn.Cell
    g_optimizer: nn.Optimizer
    d_optimizer: nn.Optimizer
    ema: EMA | None


class TrainingStep(nn.Cell):  # type: ignore[misc]
    """One update of each player with one real batch, as one graph.

    Both updates use one forward pass of the generator, which does not change between them. (The moving statistics
    of its BatchNorm layers are therefore updated once per step.) If the discriminator processes images
    independently, real and fake images are passed to it as one batch.

    A penalty adds a pass of the discriminator and a second derivative. A generator loss that uses real scores adds
    a forward pass of the updated discriminator on real images.

    In a step that updates only the discriminator, g_loss is computed from scores before its update.

    Args:
        players: the networks and optimizers.
        method: losses and other settings.
        probed: results of probing the networks.
        both: whether the generator is updated.
    """

    def __init__(self, players: Cells, method: Method, probed: ProbeResult, both: bool = True) -> None:
        super().__init__(auto_prefix=False)
        self.generator, self.discriminator = players.generator, players.discriminator
        self.g_optimizer, self.d_optimizer = players.g_optimizer, players.d_optimizer
        self.ema = players.ema
        self.joined, self.labelled, self.both = probed.joined, probed.labelled, both
        self.shapes: tuple[Any, ...] = ()
        self.conditional = int(method.classes is not None)
        self.clip_norm = method.clip_norm
        self._bind(method)
        self.d_gradient = ms.value_and_grad(self._compute_d_step, None, self.d_optimizer.parameters, has_aux=True)
        self.g_gradient = ms.value_and_grad(self._compute_g_step, None, self.g_optimizer.parameters, has_aux=True)

    def _bind(self, method: Method) -> None:
        """Store bound methods of the settings: the graph compiler cannot follow nested objects."""
        traits = method.traits
        self.d_loss_of, self.g_loss_of = traits.discriminator_loss, traits.generator_loss
        self.probability: Any = traits.probability
        self.class_loss_of: Any = traits.class_loss
        self.critic, self.classifies = traits.probability is None, traits.class_loss is not None
        self.sees_real, self.clip = bool(traits.generator_sees_real), traits.clip
        self.penalty_of: Any = None if method.penalty is None else method.penalty.loss

    def _score(self, images: Tensor, labels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return (scores,), or (scores, class logits) if the discriminator classifies."""
        outputs = self.discriminator(images, *labels) if self.labelled else self.discriminator(images)
        return outputs if self.classifies else (outputs,)

    def _score_both(self, real: Tensor, fake: Tensor, labels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the outputs of :meth:`_score` for real images, followed by those for fakes."""
        if not self.joined:
            return (*self._score(real, labels), *self._score(fake, labels))
        twice = (ops.concat((labels[0], labels[0]), 0),) if self.labelled else labels
        outputs = self._score(ops.concat((real, fake), 0), twice)
        real_scores, fake_scores = ops.split(outputs[0], real.shape[0], 0)
        if self.classifies:
            real_logits, fake_logits = ops.split(outputs[1], real.shape[0], 0)
            return real_scores, real_logits, fake_scores, fake_logits
        return real_scores, fake_scores

    def _compute_penalty(self, real: Tensor, fake: Tensor, labels: tuple[Tensor, ...], drawn: Tensor) -> Tensor:
        def critic(images: Tensor) -> Tensor:
            return self._score(images, labels)[0]

        return self.penalty_of(critic, real, fake, drawn)

    def _compute_d_step(self, real: Tensor, fake: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        labels, drawn = rest[: self.conditional], rest[self.conditional :]
        outputs = self._score_both(real, fake, labels)
        if self.classifies:
            real_scores, real_logits, fake_scores, fake_logits = outputs
            loss = self.d_loss_of(real_scores, fake_scores)
            loss = loss + self.class_loss_of(real_logits, labels[0]) + self.class_loss_of(fake_logits, labels[0])
        else:
            loss = self.d_loss_of(outputs[0], outputs[1])
        if self.penalty_of is not None:
            loss = loss + self._compute_penalty(real, fake, labels, drawn[0])
        return (loss, *outputs)

    def _update(self, optimizer: nn.Optimizer, gradients: tuple[Tensor, ...]) -> Tensor:
        """Apply the gradients; return a value that the loss must depend on."""
        if self.clip_norm is not None:
            length = ops.sqrt(add_n(each(_sum_squares, gradients)))
            shrink = self.clip_norm / ops.maximum(length, self.clip_norm)
            gradients = each(ops.partial(_scale, shrink), gradients)
        return optimizer(gradients)

    def _update_discriminator(self, real: Tensor, fake: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Update D; return its loss and its outputs before the update, see :meth:`_score_both`."""
        (loss, *outputs), gradients = self.d_gradient(real, fake, *rest)
        loss = ops.depend(loss, self._update(self.d_optimizer, gradients))
        if self.clip is not None:
            loss = ops.depend(loss, each(ops.partial(_clip, self.clip), self.d_optimizer.parameters))
        return (loss, *outputs)

    def _compute_g_loss(self, fake: Sequence[Tensor], real_scores: Tensor, labels: tuple[Tensor, ...]) -> Tensor:
        loss = self.g_loss_of(fake[0], real_scores) if self.sees_real else self.g_loss_of(fake[0])
        return loss + self.class_loss_of(fake[1], labels[0]) if self.classifies else loss

    def _summarize(self, real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.critic:
            return real_scores.mean(), fake_scores.mean(), critic_value(real_scores, fake_scores)
        d_real, d_fake = self.probability(real_scores), self.probability(fake_scores)
        return d_real.mean(), d_fake.mean(), game_value(d_real, d_fake)

    def _compute_g_step(self, real: Tensor, noise: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        labels = rest[: self.conditional]
        fake = self.generator(noise, *labels)
        d_loss, *outputs = self._update_discriminator(real, ops.stop_gradient(fake), *rest)
        real_scores = outputs[0]
        if self.sees_real:
            real_scores = ops.stop_gradient(self._score(real, labels)[0])
        g_loss = self._compute_g_loss(self._score(fake, labels), real_scores, labels)
        return (g_loss, d_loss, *self._summarize(outputs[0], outputs[len(outputs) // 2]))

    def _update_discriminator_only(self, real: Tensor, noise: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        labels = rest[: self.conditional]
        fake = ops.stop_gradient(self.generator(noise, *labels))
        d_loss, *outputs = self._update_discriminator(real, fake, *rest)
        half = len(outputs) // 2
        g_loss = self._compute_g_loss(outputs[half:], outputs[0], labels)
        return (g_loss, d_loss, *self._summarize(outputs[0], outputs[half]))

    def construct(self, real: Tensor, noise: Tensor, *rest: Tensor) -> Tensor:
        """Update both players, or D only; return the scalars, (5,), in the order of ``SCALARS``.

        ``rest`` contains the labels (N,) of a conditional run, followed by the random draw of a penalty.
        """
        if self.both:
            (g_loss, d_loss, d_real, d_fake, value), gradients = self.g_gradient(real, noise, *rest)
            g_loss = ops.depend(g_loss, self._update(self.g_optimizer, gradients))
            if self.ema is not None:
                g_loss = ops.depend(g_loss, self.ema())
        else:
            g_loss, d_loss, d_real, d_fake, value = self._update_discriminator_only(real, noise, *rest)
        return ops.stack((d_loss, g_loss, d_real, d_fake, value))

    def run(self, *inputs: Tensor) -> Tensor:
        """Run :meth:`construct` as a compiled graph."""
        shapes = tuple([one.shape for one in inputs])
        if shapes == self.shapes:
            # Equivalent to a call in this phase, without switching to graph mode and back, which costs 5 % of a
            # small step.
            compiled, scalars = self._predict(*inputs)
            if compiled:
                return scalars
        with graph_mode():
            if shapes != self.shapes:
                self._prepare(shapes)
            return self(*inputs)

    def compile_for(self, *inputs: Tensor) -> list[str]:
        """Compile for inputs of these shapes without running; return the names of the graph's Parameters."""
        with graph_mode():
            self._prepare(tuple([one.shape for one in inputs]))
            self.compile(*inputs)
        return list_graph_parameters(self.current_phase)

    def _prepare(self, shapes: tuple[Any, ...]) -> None:
        # The networks are compiled in training mode at the first call for each shape.
        self.set_train(True)
        self.shapes = shapes
        self.phase_cache.clear()
        if ms.get_context("device_target") == "CPU":
            # MindSpore checks the arguments before every call, which costs 10 % of a small step. In this phase,
            # intended for inference, it does not.
            self.phase = "prefill"
