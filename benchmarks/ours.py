"""This package as a contestant: the recipes, the Runner with and without callbacks, the bare step, the layers.

A compiled graph's call returns once the graph is computed, so there is no queue to wait for at a block's end.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Normal
from rich.console import Console as Terminal

import ms_gan_callbacks
from benchmarks import ROOT
from benchmarks.contestants import Entrant
from benchmarks.data import convolution_data, digits, feed
from benchmarks.pacing import Gate, Pace
from ms_gan_callbacks import (
    ArraySource,
    Callback,
    Checkpoint,
    Console,
    EarlyStopping,
    Every,
    MetricsLog,
    NonSaturating,
    Recipe,
    Runner,
    UsageError,
    load_recipe,
)
from ms_gan_callbacks.models.networks import graph_mode
from ms_gan_callbacks.models.two_players import TwoPlayers

ENDLESS = 10**6  # epochs: the parent ends a worker


class Generator(nn.Cell):
    """DCGAN's generator (arXiv:1511.06434) for 28 x 28: noise (N, 100) to images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, noise_dim: int = 100) -> None:
        super().__init__()
        up = partial(
            nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02)
        )
        # One forward serves both players: the moving averages take 0.9 twice at once.
        self.layers = nn.SequentialCell(
            nn.Dense(noise_dim, 128 * 7 * 7, weight_init=Normal(0.02), has_bias=False),
            nn.Unflatten(1, (128, 7, 7)),
            nn.BatchNorm2d(128, momentum=0.81),
            nn.ReLU(),
            up(128, 64),
            nn.BatchNorm2d(64, momentum=0.81),
            nn.ReLU(),
            up(64, 1),
            nn.Tanh(),
        )

    def construct(self, noise: Tensor) -> Tensor:
        """Return images."""
        return self.layers(noise)


class Discriminator(nn.Cell):
    """DCGAN's discriminator without batch statistics: images (N, 1, 28, 28) to logits (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Normal(0.02))
        self.layers = nn.SequentialCell(
            down(1, 64),
            nn.LeakyReLU(0.2),
            down(64, 128),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Dense(128 * 7 * 7, 1, weight_init=Normal(0.02), bias_init="zeros"),
        )

    def construct(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.layers(images)


def recipe(model: str) -> Recipe:
    """Return the recipe of ``mlp`` (the shipped one) or ``dcgan``, without metrics; its data is yet to be set.

    Metrics are timed by themselves. What follows one in the shipped recipe follows a scalar here, for as long as
    anybody likes.
    """
    mlp = load_recipe(ROOT / "recipes" / "mnist_mlp.py", epochs=ENDLESS)
    instead = {EarlyStopping: builtin("EarlyStopping"), Checkpoint: Checkpoint(Every.epochs(1), keep=3)}
    callbacks = [instead.get(type(callback), callback) for callback in mlp.callbacks]
    mlp = replace(mlp, callbacks=callbacks, metrics={}, origin=None)  # a run must match its origin
    if model == "mlp":
        return mlp
    return replace(
        mlp,
        generator=Generator,
        discriminator=Discriminator,
        objective=NonSaturating(),
        optimizer=partial(nn.Adam, learning_rate=2e-4, beta1=0.5),
        noise_dim=100,
    )


def stock(described: Recipe) -> Recipe:
    """Return a recipe that leaves MindSpore's own layers in place.

    Raises:
        UsageError: this version has nothing to put in their place.
    """
    if "accelerate" not in {field.name for field in fields(Recipe)}:
        raise UsageError("this version replaces no layers: all others are on MindSpore's own, too")
    return replace(described, accelerate=False)


def make_fast(network: nn.Cell) -> None:
    """Replace the layers in a network as a Runner does."""
    accelerate = getattr(ms_gan_callbacks, "accelerate", lambda network: None)
    accelerate(network)


def train(entrant: Entrant, gate: Gate, described: Recipe, callbacks: Sequence[Callback]) -> None:
    """Train through the public API."""
    source = ArraySource(digits(entrant.count), entrant.batch)
    Runner.from_recipe(described, "run").train(data=source, callbacks=[Pace(gate), *callbacks], quiet=True)


def console() -> Console:
    """Return a console that draws as on a terminal, to nowhere."""
    return Console(Terminal(file=open(os.devnull, "w"), force_terminal=True, width=80))


def never() -> MetricsLog:
    """Return the log that every run has, with nothing to write but epoch means."""
    return MetricsLog(Every.epochs(ENDLESS))


def builtin(name: str) -> Callback:
    """Return a built-in callback at its default schedule."""
    kind: Callable[..., Callback] = getattr(ms_gan_callbacks, name)
    if name == "EarlyStopping":
        return kind("d_real", target=0.5, patience=ENDLESS - 1)
    return kind("d_real", target=0.5) if name == "BestCheckpoint" else kind()


def runner(entrant: Entrant, gate: Gate) -> None:
    """All default callbacks."""
    described = recipe(entrant.model)
    train(entrant, gate, described, [*described.callbacks, console()])


def runner_plain(entrant: Entrant, gate: Gate) -> None:
    """No callbacks."""
    train(entrant, gate, recipe(entrant.model), [never()])


def runner_stock(entrant: Entrant, gate: Gate) -> None:
    """No callbacks, MindSpore's own layers."""
    train(entrant, gate, stock(recipe(entrant.model)), [never()])


def step(entrant: Entrant, gate: Gate) -> None:
    """Run the compiled step in a loop, on the cells that a Runner has made."""
    described = recipe(entrant.model)
    made = Runner.from_recipe(described, "run")
    players = TwoPlayers(made.generator, made.discriminator, described)
    players.compile_for(*next(feed(digits(entrant.count), entrant.batch, described.noise_dim)))
    compiled = players.steps.get()
    with graph_mode():
        for real, noise in gate.pace(feed(digits(entrant.count), entrant.batch, described.noise_dim)):
            compiled.run(Tensor.from_numpy(real), Tensor.from_numpy(noise))


class LayerGradients(nn.Cell):
    """A layer's outputs for some batches, and the gradients of each one's inputs and of the weights."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer = layer
        self.gradient = ops.GradOperation(get_all=True, get_by_list=True, sens_param=True)
        self.weights = ms.ParameterTuple(layer.trainable_params())

    def construct(self, batches: Sequence[Tensor], output_gradients: Sequence[Tensor]) -> Any:
        """Return all of them; no loss, which would measure how fast sums are.

        The outputs, too: what nobody asks for, the compiler leaves out, and gradients do without them.
        """
        found: tuple[Any, ...] = ()
        for inputs, output_gradient in zip(batches, output_gradients):  # noqa: B905 -- graphs know no strict=
            gradients = self.gradient(self.layer, self.weights)(inputs, output_gradient)
            found = (*found, self.layer(inputs), gradients)
        return found


def layer(entrant: Entrant, gate: Gate, change: Callable[[nn.Cell], object] = make_fast) -> None:
    """Run convolutions of 32 to 64 channels, kernel 4, stride 2, on (N, 32, 14, 14) forward and backward.

    A step is ``CONVOLUTIONS`` of them in one graph, as in a network: a graph of a few operations MindSpore runs
    from Python's own thread, which then spins on one of the cores that should compute.
    """
    kind = nn.Conv2d if entrant.model == "conv" else nn.Conv2dTranspose
    convolution = kind(32, 64, kernel_size=4, stride=2, pad_mode="pad", padding=1)
    change(convolution)
    compiled = LayerGradients(convolution)
    # Mutable: the compiler takes the tensors of a plain tuple for constants, and leaves their gradients out.
    batches = ms.mutable(tuple(map(Tensor.from_numpy, convolution_data((entrant.batch, 32, 14, 14), seed=0))))
    outputs = convolution(batches[0]).shape
    output_gradients = ms.mutable(tuple(map(Tensor.from_numpy, convolution_data(outputs, seed=1))))
    with graph_mode():
        gradients = compiled(batches, output_gradients)[1]
        if [len(found) for found in gradients] != [1, 1]:
            raise RuntimeError(f"expected gradients of the images and of the weights, got {gradients}")
        for inputs in gate.pace(itertools.repeat(batches)):
            compiled(inputs, output_gradients)


def layer_stock(entrant: Entrant, gate: Gate) -> None:
    """Take the same of MindSpore's own layer."""
    stock(recipe("mlp"))
    layer(entrant, gate, lambda convolution: None)
