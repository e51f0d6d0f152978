"""Both networks, both optimizers: what is trained, what it costs to keep, and what it draws."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, UsageError, annotate, warn
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.models.ema import Average
from ms_gan_callbacks.models.layers import accelerate
from ms_gan_callbacks.models.losses.objective import check_scores, critic_value, game_value
from ms_gan_callbacks.models.losses.state import collect_state
from ms_gan_callbacks.models.networks import Floats, Forward, Labels, Network, build_network, leave_compile_cache
from ms_gan_callbacks.models.optimizers import build_optimizer, check_rates, rates, scale_rates
from ms_gan_callbacks.models.probe import Fit, check_fit, restore_values, takes_labels
from ms_gan_callbacks.models.settings import Method
from ms_gan_callbacks.models.train_step import SCALARS, TrainingStep
from ms_gan_callbacks.storage.source_text import pin_sources

__all__ = ["SCALARS", "Players"]

NO_SECOND_DERIVATIVE = re.compile(
    r"Primitive (\w+?)(?:Grad)+'s bprop not defined|\[(\w+?)(?:Grad)+ does not support"
)


class Players:
    """A generator against a discriminator, each with an optimizer of its own.

    Parameters are named ``generator.*``, ``discriminator.*``, ``g_optimizer.*``, ``d_optimizer.*`` and (of the
    generator's moving average) ``ema.*``, those that the objective and the penalty hold ``objective.*`` and
    ``penalty.*``, so that no two share a name whatever their authors called them.

    Args:
        generator: maps noise (N, noise_dim) to images (N, C, H, W); a cell, or a factory called with the seed set.
            In a conditional run it takes labels (N,), int32, behind the noise.
        discriminator: maps images to scores (N, 1) or (N,); likewise.
        method: how they are trained.

    Attributes:
        accelerated: how many layers of each kind were replaced by their fast equals, on a CPU.
        average: the generator's moving average, or None.

    Raises:
        RecipeError: a factory returns something else than it should.
    """

    def __init__(self, generator: Network, discriminator: Network, method: Method) -> None:
        self.method = method
        pin_sources()
        leave_compile_cache()
        self.generator = build_network(generator, "generator", method.seed)
        self.discriminator = build_network(discriminator, "discriminator", method.seed)
        self.accelerated: dict[str, int] = {}
        if method.accelerate and ms.get_context("device_target") == "CPU":
            both = Counter(accelerate(self.generator)) + Counter(accelerate(self.discriminator))
            self.accelerated = dict(sorted(both.items()))
        self.g_optimizer = build_optimizer(method.optimizer, self.generator, "generator", "g_optimizer")
        of_discriminator = method.discriminator_optimizer or method.optimizer
        self.d_optimizer = build_optimizer(of_discriminator, self.discriminator, "discriminator", "d_optimizer")
        self.average = None if method.ema is None else Average(self.generator, method.ema)
        taken = [*self.generator.get_parameters(), *self.discriminator.get_parameters()]
        self._state = collect_state({"objective": method.objective, "penalty": method.penalty}, taken)
        self._generate = Forward(self.generator if self.average is None else self.average.network)
        self._judge = Forward(self.discriminator)
        self._fit: Fit | None = None
        self._compiled = False
        self._steps: dict[bool, TrainingStep] = {}  # by whether the generator is updated, too

    def parameters(self) -> dict[str, Parameter]:
        """Return every parameter by its unique name, moving statistics, counters and averages included."""
        cells = (self.generator, self.discriminator, self.g_optimizer, self.d_optimizer)
        every = [parameter for cell in cells for parameter in cell.get_parameters()]
        if self.average is not None:
            every += [*self.average.network.get_parameters(), self.average.updates]
        every += self._state
        return {parameter.name: parameter for parameter in every}

    def weights(self, copy: bool = True) -> dict[str, NDArray[Any]]:
        """Return every parameter's value; without ``copy`` only until the next step, which writes over it."""
        values = {name: parameter.asnumpy() for name, parameter in self.parameters().items()}
        return {name: value.copy() for name, value in values.items()} if copy else values

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Set every parameter, by name; names, shapes and types must be those of :meth:`parameters`."""
        for name, parameter in self.parameters().items():
            # Not set_data, which cuts a parameter off from a graph that has run already.
            ops.assign(parameter, Tensor(weights[name]))

    def compile_for(self, real: Floats, noise: Floats) -> None:
        """Fit the training step to a first batch, once.

        Warns:
            GanWarning: a network or an optimizer does what cannot be repeated, so that a resumed run is not exact;
                scores are not of the kind that the objective takes; a penalty looks at the slopes of images whose
                scores depend on others.

        Raises:
            RecipeError: see :func:`check_fit`.
        """
        if self._fit is not None:
            return
        traits, classes = self.method.traits, self.method.classes
        fit = check_fit(self.generator, self.discriminator, real, noise, classes, traits.class_loss is not None)
        check_scores(traits, fit.scores)
        for doubt in self._find_doubts(fit):
            warn(doubt)
        self._fit = fit

    def _find_doubts(self, fit: Fit) -> Iterator[str]:
        """Yield a warning for each thing that will train, but not quite as its author may think."""
        if fit.chancy:
            what = ", ".join(fit.chancy)
            yield f"{what} draws at random in a way that MindSpore cannot repeat: a resumed run is not exact"
        if self.method.penalty is not None and fit.coupled:
            yield (
                f"{type(self.method.penalty).__name__} is about the slope at each image by itself, but in this "
                "discriminator images of one batch change each other's scores: take LayerNorm, not BatchNorm "
                "(arXiv:1704.00028, section 4)"
            )
        yield from fit.doubts
        both = (self.g_optimizer, self.d_optimizer)
        if ms.get_context("device_target") == "CPU" and any(
            isinstance(one, nn.RMSProp) and not one.centered for one in both
        ):
            # Seen from the second resumed step on. It may be that its kernel shares out its work, and with that
            # rounds, by how often it has run in this process.
            yield (
                "nn.RMSProp rounds its last bit differently after a resume, on a CPU, so that a resumed run is "
                "not exact: RMSProp(centered=True), Adam and the others do not"
            )

    def step(self, both: bool = True) -> TrainingStep:
        """Return the cell that is compiled and run for a step in which both players, or one, are updated."""
        if self._fit is None:
            raise RuntimeError("compile_for comes before any step")
        if both not in self._steps:
            self._steps[both] = TrainingStep(self, self.method, self._fit, both)
        return self._steps[both]

    def train_step(
        self,
        real: Floats,
        noise: Floats,
        labels: Labels | None = None,
        drawn: Floats | None = None,
        both: bool = True,
    ) -> Tensor:
        """Update the discriminator and, where ``both``, the generator; return the scalars on the device, (5,).

        Args:
            real: images, (N, C, H, W), in [-1, 1].
            noise: (N, noise_dim).
            labels: those of the real images, (N,), in a conditional run; the fakes are made for them, too.
            drawn: what the penalty has drawn, where there is one.
            both: whether the generator is updated.
        """
        step = self.step(both)
        inputs = [one for one in (real, noise, labels, drawn) if one is not None]
        try:
            if not self._compiled:
                self._compile(both, *map(Tensor.from_numpy, inputs))
            return step.run(*map(Tensor.from_numpy, inputs))
        except Exception as error:
            self._explain(error)
            annotate(error, "raised by the compiled training step")
            raise

    def _compile(self, both: bool, *inputs: Tensor) -> None:
        """Compile the graphs of a run before the first of its steps; all that they move must be in checkpoints.

        Args:
            both: whether the first step updates the generator, too; the others do if all of them do.
            *inputs: those of the first step.

        Raises:
            RecipeError: one holds a Parameter that no checkpoint would keep.
        """
        known = self.parameters()
        for kind in {both} if self.method.generator_every == 1 else {True, False}:
            for name in self.step(kind).compile_for(*inputs):
                if name not in known:
                    raise RecipeError(
                        f"the training step uses a Parameter {name!r} that belongs to neither network, so no "
                        "checkpoint would hold it: make it an attribute of the generator, the discriminator or "
                        "the objective"
                    )
        self._compiled = True

    def _explain(self, error: Exception) -> None:
        """Raise RecipeError where a penalty has met an operation that has no second derivative."""
        found = NO_SECOND_DERIVATIVE.search(str(error))
        if self.method.penalty is not None and found:
            name, kind = found[1] or found[2], type(self.method.penalty).__name__
            raise RecipeError(
                f"{kind} needs the second derivative of {name}, which MindSpore does not have on "
                f"{ms.get_context('device_target')}: build the discriminator from other layers, such as "
                "LeakyReLU, LayerNorm, and convolutions with a stride"
            ) from error

    def labels_for(self, count: int) -> Labels | None:
        """Return labels (count,) that go through the classes in turn; None in a run without them."""
        classes = self.method.classes
        return None if classes is None else (np.arange(count) % classes).astype(np.int32)

    def generate(self, noise: Floats, labels: Any = None) -> Floats:
        """Return images, (N, C, H, W), for noise (N, noise_dim), with the generator in evaluation mode.

        With ``ema`` its moving average draws. In a conditional run, labels (N,) say of which class; by default
        they go through the classes in turn. Where the generator normalises by the batch's statistics in
        evaluation, too, a picture depends on the batch of up to 64 that it is drawn with.

        Raises:
            UsageError: labels are out of range, not one for each noise vector, or of no use.
        """
        return self._generate.all(np.ascontiguousarray(noise, np.float32), *self._check_labels(labels, len(noise)))

    def judge(self, images: Floats, labels: Any = None) -> Floats:
        """Return the discriminator's scores for images (N, C, H, W), in evaluation mode."""
        given = self._check_labels(labels, len(images)) if takes_labels(self.discriminator) else ()
        return self._judge.all(np.ascontiguousarray(images, np.float32), *given)

    def _check_labels(self, labels: Any, count: int) -> tuple[Labels, ...]:
        if labels is None:
            turns = self.labels_for(count)
            return () if turns is None else (turns,)
        if (classes := self.method.classes) is None:
            raise UsageError("this run is not conditional: its networks take no labels")
        given = np.asarray(labels)
        if given.shape != (count,) or given.dtype.kind not in "iu":
            raise UsageError(
                f"{count} images take {count} whole numbers as labels, not {given.dtype} of shape {given.shape}"
            )
        if count and not (given.min() >= 0 and given.max() < classes):
            raise UsageError(f"labels go from 0 to {classes - 1}, not from {given.min()} to {given.max()}")
        return (np.ascontiguousarray(given, np.int32),)

    def evaluate(self, real: Floats, fake: Floats, labels: Any = None) -> dict[str, float]:
        """Return ``SCALARS`` for real and generated images, (N, C, H, W), both players in evaluation mode.

        Losses are those of the scores: without a penalty, and without what a class costs. Labels, in a conditional
        run, are those of both.
        """
        traits = self.method.traits
        real_scores, fake_scores = Tensor(self.judge(real, labels)), Tensor(self.judge(fake, labels))
        seen = (fake_scores, real_scores) if traits.generator_sees_real else (fake_scores,)
        with restore_values(self._state):
            d_loss, g_loss = traits.discriminator_loss(real_scores, fake_scores), traits.generator_loss(*seen)
        if traits.probability is None:
            d_real, d_fake, value = real_scores, fake_scores, critic_value(real_scores, fake_scores)
        else:
            d_real, d_fake = traits.probability(real_scores), traits.probability(fake_scores)
            value = game_value(d_real, d_fake)
        values = (d_loss, g_loss, d_real.mean(), d_fake.mean(), value)
        return {name: float(one.asnumpy()) for name, one in zip(SCALARS, values, strict=True)}

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate that each player's next update will use, a group's behind its number."""
        return {**rates("discriminator", self.d_optimizer), **rates("generator", self.g_optimizer)}

    def check_rates(self, progress: Progress) -> None:
        """Make sure that no list of learning rates is shorter than the run.

        Raises:
            RecipeError: one is.
        """
        check_rates("discriminator", self.d_optimizer, progress.steps)
        check_rates("generator", self.g_optimizer, progress.steps // self.method.generator_every)

    def scale_learning_rates(self, factor: float) -> None:
        """Multiply both players' learning rates, all that are still to come, by a factor.

        Raises:
            UsageError: a player's follows a formula, which has no values to multiply.
        """
        for optimizer in (self.g_optimizer, self.d_optimizer):
            scale_rates(optimizer, factor)
