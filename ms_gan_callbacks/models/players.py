"""The players of a GAN: both networks, their optimizers, training and inference."""

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
from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.losses.objective import check_scores, critic_value, game_value
from ms_gan_callbacks.models.losses.state import collect_state
from ms_gan_callbacks.models.networks import (
    Floats,
    Forward,
    Labels,
    Network,
    accelerate_network,
    build_network,
    disable_compile_cache,
)
from ms_gan_callbacks.models.optimizers import build_optimizer, check_rates, read_rates, scale_rates
from ms_gan_callbacks.models.probe import ProbeResult, probe_networks, restore_values, takes_labels
from ms_gan_callbacks.models.settings import Method
from ms_gan_callbacks.models.train_step import SCALARS, TrainingStep
from ms_gan_callbacks.storage.source_text import pin_sources

__all__ = ["SCALARS", "Players"]

NO_SECOND_DERIVATIVE = re.compile(
    r"Primitive (\w+?)(?:Grad)+'s bprop not defined|\[(\w+?)(?:Grad)+ does not support"
)


class Players:
    """A generator and a discriminator, each with an optimizer.

    Parameters are named ``generator.*``, ``discriminator.*``, ``g_optimizer.*``, ``d_optimizer.*``, ``ema.*`` (the
    generator's EMA), ``objective.*`` and ``penalty.*``, so that names are unique.

    Args:
        generator: maps noise (N, noise_dim) to images (N, C, H, W); a cell, or a factory called with the seed set.
            In a conditional run it also takes labels (N,), int32, as the second input.
        discriminator: maps images, and labels in a conditional run, to scores (N, 1) or (N,); a cell or a factory.
        method: the settings of the training.

    Attributes:
        accelerated: number of layers of each type replaced by fast layers, on a CPU.
        ema: the generator's EMA, or None.

    Raises:
        RecipeError: a factory does not return a network or an optimizer.
    """

    def __init__(self, generator: Network, discriminator: Network, method: Method) -> None:
        self.method = method
        pin_sources()
        disable_compile_cache()
        self.generator = build_network(generator, "generator", method.seed)
        self.discriminator = build_network(discriminator, "discriminator", method.seed)
        self.accelerated: dict[str, int] = {}
        if method.accelerate and ms.get_context("device_target") == "CPU":
            counts = Counter(accelerate_network(self.generator, "generator", method.seed))
            counts += Counter(accelerate_network(self.discriminator, "discriminator", method.seed))
            self.accelerated = dict(sorted(counts.items()))
        self.g_optimizer = build_optimizer(method.optimizer, self.generator, "generator", "g_optimizer")
        of_discriminator = method.discriminator_optimizer or method.optimizer
        self.d_optimizer = build_optimizer(of_discriminator, self.discriminator, "discriminator", "d_optimizer")
        self.ema = None if method.ema is None else EMA(self.generator, method.ema)
        taken = [*self.generator.get_parameters(), *self.discriminator.get_parameters()]
        self._state = collect_state({"objective": method.objective, "penalty": method.penalty}, taken)
        self._generate = Forward(self.generator if self.ema is None else self.ema.network)
        self._score = Forward(self.discriminator)
        self._probed: ProbeResult | None = None
        self._compiled = False
        self._steps: dict[bool, TrainingStep] = {}  # by whether the generator is updated

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters by name, including moving statistics, counters and the EMA."""
        cells = (self.generator, self.discriminator, self.g_optimizer, self.d_optimizer)
        every = [parameter for cell in cells for parameter in cell.get_parameters()]
        if self.ema is not None:
            every += [*self.ema.network.get_parameters(), self.ema.updates]
        every += self._state
        return {parameter.name: parameter for parameter in every}

    def weights(self, copy: bool = True) -> dict[str, NDArray[Any]]:
        """Return the values of all parameters; without ``copy`` they are valid until the next step."""
        values = {name: parameter.asnumpy() for name, parameter in self.parameters().items()}
        return {name: value.copy() for name, value in values.items()} if copy else values

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Set all parameters; names, shapes and types must match :meth:`parameters`."""
        for name, parameter in self.parameters().items():
            # Not set_data, which detaches a parameter from graphs that have run.
            ops.assign(parameter, Tensor(weights[name]))

    def compile_for(self, real: Floats, noise: Floats) -> None:
        """Probe the networks with a first batch, once.

        Warns:
            GanWarning: a resumed run is not exact, because of a network or an optimizer; the scores do not match
                the objective; a penalty is used with a discriminator that couples the images of a batch.

        Raises:
            RecipeError: see :func:`probe_networks`.
        """
        if self._probed is not None:
            return
        traits, classes = self.method.traits, self.method.classes
        probed = probe_networks(
            self.generator, self.discriminator, real, noise, classes, traits.class_loss is not None
        )
        check_scores(traits, probed.scores)
        for warning in self._list_warnings(probed):
            warn(warning)
        self._probed = probed

    def _list_warnings(self, probed: ProbeResult) -> Iterator[str]:
        """Yield warnings about probable mistakes and about inexact resuming."""
        if probed.random_layers:
            layers = ", ".join(probed.random_layers)
            yield f"{layers} draws random numbers that MindSpore cannot reproduce: a resumed run is not exact"
        if self.method.penalty is not None and probed.coupled:
            yield (
                f"{type(self.method.penalty).__name__} requires independent scores, but in this discriminator the "
                "score of an image depends on the other images of its batch: use LayerNorm instead of BatchNorm "
                "(arXiv:1704.00028, section 4)"
            )
        yield from probed.warnings
        both = (self.g_optimizer, self.d_optimizer)
        if ms.get_context("device_target") == "CPU" and any(
            isinstance(one, nn.RMSProp) and not one.centered for one in both
        ):
            # Observed from the second resumed step on; possibly the rounding of its kernel depends on the number
            # of its calls in this process.
            yield (
                "nn.RMSProp rounds differently after a resume on a CPU, so a resumed run is not exact: use "
                "RMSProp(centered=True), Adam or another optimizer"
            )

    def step(self, both: bool = True) -> TrainingStep:
        """Return the cell of a step that updates both players, or the discriminator only."""
        if self._probed is None:
            raise RuntimeError("call compile_for before the first step")
        if both not in self._steps:
            self._steps[both] = TrainingStep(self, self.method, self._probed, both)
        return self._steps[both]

    def train_step(
        self,
        real: Floats,
        noise: Floats,
        labels: Labels | None = None,
        drawn: Floats | None = None,
        both: bool = True,
    ) -> Tensor:
        """Update the discriminator and, if ``both``, the generator; return the scalars on the device, (5,).

        Args:
            real: images, (N, C, H, W), in [-1, 1].
            noise: (N, noise_dim).
            labels: labels of the real images, (N,), in a conditional run; also used to generate the fakes.
            drawn: the result of the penalty's ``draw``, if there is a penalty.
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
        """Compile the graphs of a run before its first step.

        Args:
            both: whether the first step updates the generator.
            *inputs: inputs of the first step.

        Raises:
            RecipeError: a graph has a Parameter that checkpoints would not contain.
        """
        known = self.parameters()
        for kind in {both} if self.method.generator_every == 1 else {True, False}:
            for name in self.step(kind).compile_for(*inputs):
                if name not in known:
                    raise RecipeError(
                        f"the training step uses a Parameter {name!r} that does not belong to a network, so "
                        "checkpoints would not contain it: make it an attribute of the generator, the "
                        "discriminator or the objective"
                    )
        self._compiled = True

    def _explain(self, error: Exception) -> None:
        """Raise RecipeError if the error is a missing second derivative, required by a penalty."""
        found = NO_SECOND_DERIVATIVE.search(str(error))
        if self.method.penalty is not None and found:
            name, kind = found[1] or found[2], type(self.method.penalty).__name__
            raise RecipeError(
                f"{kind} requires the second derivative of {name}, which MindSpore does not have on "
                f"{ms.get_context('device_target')}: build the discriminator from other layers, such as "
                "LeakyReLU, LayerNorm, and convolutions with a stride"
            ) from error

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
        return self._generate.predict(
            np.ascontiguousarray(noise, np.float32), *self._check_labels(labels, len(noise))
        )

    def score(self, images: Floats, labels: Any = None) -> Floats:
        """Return the discriminator's scores of images (N, C, H, W), in evaluation mode."""
        given = self._check_labels(labels, len(images)) if takes_labels(self.discriminator) else ()
        return self._score.predict(np.ascontiguousarray(images, np.float32), *given)

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

    def evaluate(self, real: Floats, fake: Floats, labels: Any = None) -> dict[str, float]:
        """Return ``SCALARS`` for real and generated images, (N, C, H, W), with both players in evaluation mode.

        The losses do not include penalty and class loss. In a conditional run the labels apply to both.
        """
        traits = self.method.traits
        real_scores, fake_scores = Tensor(self.score(real, labels)), Tensor(self.score(fake, labels))
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
        """Return the learning rate of each player's next update, with the index of each group in its name."""
        return {**read_rates("discriminator", self.d_optimizer), **read_rates("generator", self.g_optimizer)}

    def check_rates(self, progress: Progress) -> None:
        """Raise RecipeError if a list of learning rates is shorter than the run."""
        check_rates("discriminator", self.d_optimizer, progress.steps)
        check_rates("generator", self.g_optimizer, progress.steps // self.method.generator_every)

    def scale_learning_rates(self, factor: float) -> None:
        """Multiply all future learning rates of both players by a factor, see :func:`scale_rates`."""
        for optimizer in (self.g_optimizer, self.d_optimizer):
            scale_rates(optimizer, factor)
