"""Both networks, both optimizers, and the one compiled graph that updates them.

::

    real, noise ──> fake = G(noise)                      the only generator forward
                    D's loss on real and fake ──> D's optimizer
                    G's loss on D(fake)       ──> G's optimizer
                    ──> d_loss, g_loss, d_real, d_fake, value   (left on the device)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError, annotate
from ms_gan_callbacks.layers import accelerate
from ms_gan_callbacks.networks import (
    Floats,
    Forward,
    Network,
    OptimizerFactory,
    build_network,
    build_optimizer,
    check_fit,
    graph_mode,
)
from ms_gan_callbacks.objectives import Objective, check_scores

SCALARS = ("d_loss", "g_loss", "d_real", "d_fake", "value")
"""What a step publishes: both losses, the mean of D(x), the mean of D(G(z)), and V(D, G) =
E[log D(x)] + E[log(1 - D(G(z)))], all taken where the tutorial takes them: D's before its update, G's after it."""


def game_value(d_real: Tensor, d_fake: Tensor) -> Tensor:
    """Return V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))] (arXiv:1406.2661, equation 1) from probabilities."""
    # Through the cross entropy: ops.log's last bit depends on where in memory its input lies, on CPU.
    real = ops.binary_cross_entropy(d_real, ops.ones_like(d_real))
    return -(real + ops.binary_cross_entropy(d_fake, ops.zeros_like(d_fake)))


class TrainingStep(nn.Cell):  # type: ignore[misc]
    """One real batch, one update of each player, as one graph.

    One generator forward serves both players: the generator does not change between the two, so its images for
    the same noise are the same. (Its BatchNorm averages then move once a step.) Where the discriminator treats
    every image by itself, real and fake go through it as one batch.

    Args:
        players: the networks and optimizers.
        objective: the losses.
        joined: whether the discriminator may see real and fake as one batch.
    """

    def __init__(self, players: Players, objective: Objective, joined: bool) -> None:
        super().__init__(auto_prefix=False)
        self.generator, self.discriminator = players.generator, players.discriminator
        self.g_optimizer, self.d_optimizer = players.g_optimizer, players.d_optimizer
        self.joined = joined
        self.shapes: tuple[Any, ...] = ()
        self.d_loss_of = objective.discriminator_loss
        self.g_loss_of = objective.generator_loss
        self.probability = objective.probability
        self.d_gradient = ms.value_and_grad(self._d_loss, None, self.d_optimizer.parameters, has_aux=True)
        self.g_gradient = ms.value_and_grad(self._g_loss, None, self.g_optimizer.parameters, has_aux=True)

    def _scores(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        if self.joined:
            real_scores, fake_scores = ops.split(self.discriminator(ops.concat((real, fake), 0)), real.shape[0], 0)
            return real_scores, fake_scores
        return self.discriminator(real), self.discriminator(fake)

    def _d_loss(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real_scores, fake_scores = self._scores(real, fake)
        loss = self.d_loss_of(real_scores, fake_scores)
        return loss, self.probability(real_scores), self.probability(fake_scores)

    def _g_loss(self, real: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        fake = self.generator(noise)
        (d_loss, d_real, d_fake), gradients = self.d_gradient(real, ops.stop_gradient(fake))
        d_loss = ops.depend(d_loss, self.d_optimizer(gradients))
        g_loss = self.g_loss_of(self.discriminator(fake))
        return g_loss, d_loss, d_real.mean(), d_fake.mean(), game_value(d_real, d_fake)

    def construct(self, real: Tensor, noise: Tensor) -> Tensor:
        """Update both players; return the scalars, shape (5,), in the order of ``SCALARS``."""
        (g_loss, d_loss, d_real, d_fake, value), gradients = self.g_gradient(real, noise)
        g_loss = ops.depend(g_loss, self.g_optimizer(gradients))
        return ops.stack((d_loss, g_loss, d_real, d_fake, value))

    def run(self, real: Tensor, noise: Tensor) -> Tensor:
        """Update both players on one batch as :meth:`construct` says, as a compiled graph."""
        shapes = (real.shape, noise.shape)
        if shapes != self.shapes:
            # What the networks are compiled as is decided by this flag at the first call for each shape.
            self.set_train(True)
            self.shapes = shapes
            self.phase_cache.clear()
            if ms.get_context("device_target") == "CPU":
                # Before every call MindSpore holds the arguments against its graphs, for a tenth of the time of a
                # small step. In this phase, made for inference, it trusts us and goes straight to the graph.
                self.phase = "prefill"
        return self(real, noise)


class Players:
    """A generator against a discriminator, each with an optimizer of its own.

    Parameters are named ``generator.*``, ``discriminator.*``, ``g_optimizer.*`` and ``d_optimizer.*``, so that no
    two share a name whatever their authors called them.

    Args:
        generator: maps noise (N, noise_dim) to images (N, C, H, W); a cell, or a factory called with the seed set.
        discriminator: maps images to scores (N, 1) or (N,); likewise.
        optimizer: makes an optimizer from a list of parameters; called once for each player.
        seed: what the initial weights follow from.
        fast_layers: whether stock layers are replaced by their fast equals, on a CPU; see :func:`accelerate`.

    Attributes:
        accelerated: how many layers of each kind were replaced.

    Raises:
        RecipeError: a factory returns something else than it should.
    """

    def __init__(
        self,
        generator: Network,
        discriminator: Network,
        optimizer: OptimizerFactory,
        seed: int,
        fast_layers: bool = True,
    ) -> None:
        self.generator = build_network(generator, "generator", seed)
        self.discriminator = build_network(discriminator, "discriminator", seed)
        self.accelerated: dict[str, int] = {}
        if fast_layers and ms.get_context("device_target") == "CPU":
            both = Counter(accelerate(self.generator)) + Counter(accelerate(self.discriminator))
            self.accelerated = dict(sorted(both.items()))
        self.g_optimizer = build_optimizer(optimizer, self.generator, "g_optimizer")
        self.d_optimizer = build_optimizer(optimizer, self.discriminator, "d_optimizer")
        self._generate = Forward(self.generator)
        self._judge = Forward(self.discriminator)
        self._step: TrainingStep | None = None

    def parameters(self) -> dict[str, Parameter]:
        """Return every parameter of the four by its unique name, moving statistics and counters included."""
        cells = (self.generator, self.discriminator, self.g_optimizer, self.d_optimizer)
        return {parameter.name: parameter for cell in cells for parameter in cell.get_parameters()}

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return a copy of every parameter's value."""
        return {name: parameter.asnumpy().copy() for name, parameter in self.parameters().items()}

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Set every parameter, by name; names, shapes and types must be those of :meth:`parameters`."""
        for name, parameter in self.parameters().items():
            # Not set_data, which cuts a parameter off from a graph that has run already.
            ops.assign(parameter, Tensor(weights[name]))

    def compile_for(self, objective: Objective, real: Floats, noise: Floats) -> None:
        """Fit the training step to a first batch, once; see :func:`check_fit` for what it may raise."""
        if self._step is None:
            fit = check_fit(self.generator, self.discriminator, real, noise)
            check_scores(objective, fit.scores)
            self._step = TrainingStep(self, objective, fit.joined)

    @property
    def step(self) -> nn.Cell | None:
        """The cell that a training step runs, once it has been fitted to a first batch."""
        return self._step

    def train_step(self, real: Floats, noise: Floats) -> Tensor:
        """Update both players on one batch; return the scalars on the device, shape (5,).

        Args:
            real: images, (N, C, H, W), in [-1, 1].
            noise: (N, noise_dim).
        """
        if self._step is None:
            raise RuntimeError("compile_for comes before train_step")
        try:
            with graph_mode():
                return self._step.run(Tensor.from_numpy(real), Tensor.from_numpy(noise))
        except Exception as error:
            annotate(error, "raised by the compiled training step")
            raise

    def generate(self, noise: Floats) -> Floats:
        """Return images, (N, C, H, W), for noise (N, noise_dim), with the generator in evaluation mode."""
        return self._generate.all(np.ascontiguousarray(noise, np.float32))

    def judge(self, images: Floats) -> Floats:
        """Return the discriminator's scores for images (N, C, H, W), in evaluation mode."""
        return self._judge.all(np.ascontiguousarray(images, np.float32))

    def evaluate(self, objective: Objective, real: Floats, fake: Floats) -> dict[str, float]:
        """Return ``SCALARS`` for real and generated images, (N, C, H, W), both players in evaluation mode."""
        real_scores, fake_scores = Tensor(self.judge(real)), Tensor(self.judge(fake))
        d_real, d_fake = objective.probability(real_scores), objective.probability(fake_scores)
        losses = (
            objective.discriminator_loss(real_scores, fake_scores),
            objective.generator_loss(fake_scores),
        )
        values = (*losses, d_real.mean(), d_fake.mean(), game_value(d_real, d_fake))
        return {name: float(value.asnumpy()) for name, value in zip(SCALARS, values, strict=True)}

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate that each player's next update will use, a group's behind its number."""
        return {**rates("discriminator", self.d_optimizer), **rates("generator", self.g_optimizer)}

    def scale_learning_rates(self, factor: float) -> None:
        """Multiply both players' learning rates, all that are still to come, by a factor.

        Raises:
            UsageError: a player's follows a formula, which has no values to multiply.
        """
        for optimizer in (self.g_optimizer, self.d_optimizer):
            for rate in optimizer.learning_rate if optimizer.is_group_lr else [optimizer.learning_rate]:
                values = rate if isinstance(rate, Parameter) else getattr(rate, "learning_rate", None)
                if not isinstance(values, Parameter):
                    raise UsageError(f"a learning rate that follows {type(rate).__name__} cannot be scaled")
                ops.assign(values, values * factor)


def rates(player: str, optimizer: nn.Optimizer) -> dict[str, float]:
    """Return the learning rate that an optimizer's next update will use, a group's behind its number."""
    groups = optimizer.learning_rate if optimizer.is_group_lr else [optimizer.learning_rate]
    names = [player] if len(groups) == 1 else [f"{player}_{number}" for number in range(len(groups))]
    rates = [rate(optimizer.global_step) if isinstance(rate, nn.Cell) else rate for rate in groups]
    values = [float(np.asarray(rate.asnumpy()).reshape(-1)[0]) for rate in rates]
    return dict(zip(names, values, strict=True))
