"""The one compiled graph that updates the players.

::

    real, noise ──> fake = G(noise)                      the only generator forward
                    D's loss on real and fake ──> D's optimizer
                    G's loss on D(fake)       ──> G's optimizer ──> G's moving average
                    ──> d_loss, g_loss, d_real, d_fake, value   (left on the device)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import mindspore as ms
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.ema import Average
from ms_gan_callbacks.models.layers.primitives import add_n, each
from ms_gan_callbacks.models.losses.objective import critic_value, game_value
from ms_gan_callbacks.models.mindspore_private import list_graph_parameters
from ms_gan_callbacks.models.networks import graph_mode
from ms_gan_callbacks.models.probe import Fit
from ms_gan_callbacks.models.settings import Method

SCALARS = ("d_loss", "g_loss", "d_real", "d_fake", "value")
"""What a step publishes: both losses, the mean of D(x), the mean of D(G(z)), and V(D, G) =
E[log D(x)] + E[log(1 - D(G(z)))], all taken where the tutorial takes them: D's before its update, G's after it.
Of a critic, the means are of its scores as they are, and value is E[D(x)] - E[D(G(z))]."""


def _square_sum(tensor: Tensor) -> Tensor:
    return ops.square(tensor).sum()


def _times(factor: Tensor, tensor: Tensor) -> Tensor:
    return factor * tensor


def _clip(limit: float, parameter: ms.Parameter) -> Tensor:
    return ops.assign(parameter, ops.clip_by_value(parameter, -limit, limit))


class Cells(Protocol):
    """What is trained: both networks, an optimizer for each, and the generator's moving average or None."""

    generator: nn.Cell
    discriminator: nn.Cell
    g_optimizer: nn.Optimizer
    d_optimizer: nn.Optimizer
    average: Average | None


class TrainingStep(nn.Cell):  # type: ignore[misc]
    """One real batch, one update of each player, as one graph.

    One generator forward serves both players: the generator does not change between the two, so its images for
    the same noise are the same. (Its BatchNorm averages then move once a step.) Where the discriminator treats
    every image by itself, real and fake go through it as one batch.

    What costs more: a penalty, one more pass of the discriminator and the gradient of its gradient; a generator's
    loss that sees real scores, one more forward on real images, since the discriminator has changed meanwhile.

    In a step that updates the discriminator alone, g_loss is that of the scores at hand, from before its update.

    Args:
        players: the networks and optimizers.
        method: the losses, and all that a step does beside.
        fit: what trying the networks has shown.
        both: whether the generator is updated, too.
    """

    def __init__(self, players: Cells, method: Method, fit: Fit, both: bool = True) -> None:
        super().__init__(auto_prefix=False)
        self.generator, self.discriminator = players.generator, players.discriminator
        self.g_optimizer, self.d_optimizer = players.g_optimizer, players.d_optimizer
        self.average = players.average
        self.joined, self.labelled, self.both = fit.joined, fit.labelled, both
        self.shapes: tuple[Any, ...] = ()
        self.conditional = int(method.classes is not None)
        self.clip_norm = method.clip_norm
        self._take(method)
        self.d_gradient = ms.value_and_grad(self._d_loss, None, self.d_optimizer.parameters, has_aux=True)
        self.g_gradient = ms.value_and_grad(self._g_loss, None, self.g_optimizer.parameters, has_aux=True)

    def _take(self, method: Method) -> None:
        """Hold what the graph calls: its compiler follows bound methods, and no objects that hold others."""
        traits = method.traits
        self.d_loss_of, self.g_loss_of = traits.discriminator_loss, traits.generator_loss
        self.probability: Any = traits.probability
        self.class_loss_of: Any = traits.class_loss
        self.critic, self.classifies = traits.probability is None, traits.class_loss is not None
        self.sees_real, self.clip = bool(traits.generator_sees_real), traits.clip
        self.penalty_of: Any = None if method.penalty is None else method.penalty.loss

    def _judge(self, images: Tensor, labels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return (scores,), or (scores, class logits) of a discriminator that classifies."""
        outputs = self.discriminator(images, *labels) if self.labelled else self.discriminator(images)
        return outputs if self.classifies else (outputs,)

    def _judge_both(self, real: Tensor, fake: Tensor, labels: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return what :meth:`_judge` does of real images, and behind it, of fakes."""
        if not self.joined:
            return (*self._judge(real, labels), *self._judge(fake, labels))
        twice = (ops.concat((labels[0], labels[0]), 0),) if self.labelled else labels
        judged = self._judge(ops.concat((real, fake), 0), twice)
        real_scores, fake_scores = ops.split(judged[0], real.shape[0], 0)
        if self.classifies:
            real_logits, fake_logits = ops.split(judged[1], real.shape[0], 0)
            return real_scores, real_logits, fake_scores, fake_logits
        return real_scores, fake_scores

    def _penalty(self, real: Tensor, fake: Tensor, labels: tuple[Tensor, ...], drawn: Tensor) -> Tensor:
        def critic(images: Tensor) -> Tensor:
            return self._judge(images, labels)[0]

        return self.penalty_of(critic, real, fake, drawn)

    def _d_loss(self, real: Tensor, fake: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        labels, drawn = rest[: self.conditional], rest[self.conditional :]
        judged = self._judge_both(real, fake, labels)
        if self.classifies:
            real_scores, real_logits, fake_scores, fake_logits = judged
            loss = self.d_loss_of(real_scores, fake_scores)
            loss = loss + self.class_loss_of(real_logits, labels[0]) + self.class_loss_of(fake_logits, labels[0])
        else:
            loss = self.d_loss_of(judged[0], judged[1])
        if self.penalty_of is not None:
            loss = loss + self._penalty(real, fake, labels, drawn[0])
        return (loss, *judged)

    def _update(self, optimizer: nn.Optimizer, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return what the loss has to wait for."""
        if self.clip_norm is not None:
            length = ops.sqrt(add_n(each(_square_sum, gradients)))
            shrink = self.clip_norm / ops.maximum(length, self.clip_norm)
            gradients = each(ops.partial(_times, shrink), gradients)
        return optimizer(gradients)

    def _update_discriminator(self, real: Tensor, fake: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Update D; return its loss, and what it thought before, as :meth:`_judge_both` does."""
        (loss, *judged), gradients = self.d_gradient(real, fake, *rest)
        loss = ops.depend(loss, self._update(self.d_optimizer, gradients))
        if self.clip is not None:
            loss = ops.depend(loss, each(ops.partial(_clip, self.clip), self.d_optimizer.parameters))
        return (loss, *judged)

    def _loss_of_generator(
        self, fake: Sequence[Tensor], real_scores: Tensor, labels: tuple[Tensor, ...]
    ) -> Tensor:
        loss = self.g_loss_of(fake[0], real_scores) if self.sees_real else self.g_loss_of(fake[0])
        return loss + self.class_loss_of(fake[1], labels[0]) if self.classifies else loss

    def _read(self, real_scores: Tensor, fake_scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.critic:
            return real_scores.mean(), fake_scores.mean(), critic_value(real_scores, fake_scores)
        d_real, d_fake = self.probability(real_scores), self.probability(fake_scores)
        return d_real.mean(), d_fake.mean(), game_value(d_real, d_fake)

    def _g_loss(self, real: Tensor, noise: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        labels = rest[: self.conditional]
        fake = self.generator(noise, *labels)
        d_loss, *judged = self._update_discriminator(real, ops.stop_gradient(fake), *rest)
        real_scores = judged[0]
        if self.sees_real:
            real_scores = ops.stop_gradient(self._judge(real, labels)[0])
        g_loss = self._loss_of_generator(self._judge(fake, labels), real_scores, labels)
        return (g_loss, d_loss, *self._read(judged[0], judged[len(judged) // 2]))

    def _discriminator_alone(self, real: Tensor, noise: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        labels = rest[: self.conditional]
        fake = ops.stop_gradient(self.generator(noise, *labels))
        d_loss, *judged = self._update_discriminator(real, fake, *rest)
        half = len(judged) // 2
        g_loss = self._loss_of_generator(judged[half:], judged[0], labels)
        return (g_loss, d_loss, *self._read(judged[0], judged[half]))

    def construct(self, real: Tensor, noise: Tensor, *rest: Tensor) -> Tensor:
        """Update both players, or D alone; return the scalars, shape (5,), in the order of ``SCALARS``.

        ``rest`` holds labels (N,) of a conditional run, then what a penalty has drawn.
        """
        if self.both:
            (g_loss, d_loss, d_real, d_fake, value), gradients = self.g_gradient(real, noise, *rest)
            g_loss = ops.depend(g_loss, self._update(self.g_optimizer, gradients))
            if self.average is not None:
                g_loss = ops.depend(g_loss, self.average())
        else:
            g_loss, d_loss, d_real, d_fake, value = self._discriminator_alone(real, noise, *rest)
        return ops.stack((d_loss, g_loss, d_real, d_fake, value))

    def run(self, *inputs: Tensor) -> Tensor:
        """Update on one batch as :meth:`construct` says, as a compiled graph."""
        shapes = tuple([one.shape for one in inputs])
        if shapes == self.shapes:
            # What a call does first in graph mode, and in this phase all that it does. Switching to that mode and
            # back for every step costs a twentieth of a small one.
            compiled, scalars = self._predict(*inputs)
            if compiled:
                return scalars
        with graph_mode():
            if shapes != self.shapes:
                self._expect(shapes)
            return self(*inputs)

    def compile_for(self, *inputs: Tensor) -> list[str]:
        """Compile for inputs of these shapes, computing nothing; return the names of the graph's Parameters."""
        with graph_mode():
            self._expect(tuple([one.shape for one in inputs]))
            self.compile(*inputs)
        return list_graph_parameters(self.current_phase)

    def _expect(self, shapes: tuple[Any, ...]) -> None:
        # What the networks are compiled as is decided by this flag at the first call for each shape.
        self.set_train(True)
        self.shapes = shapes
        self.phase_cache.clear()
        if ms.get_context("device_target") == "CPU":
            # Before every call MindSpore holds the arguments against its graphs, for a tenth of the time of a
            # small step. In this phase, made for inference, it trusts us and goes straight to the graph.
            self.phase = "prefill"
