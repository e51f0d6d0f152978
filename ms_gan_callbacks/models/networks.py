"""One network at a time: built from a seed, named after its player, run in inference."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import GanError, RecipeError, UsageError, describe, warn

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
OptimizerFactory: TypeAlias = Callable[[list[Parameter]], nn.Optimizer]
Network: TypeAlias = nn.Cell | Callable[[], nn.Cell]
Made = TypeVar("Made")


@contextmanager
def graph_mode() -> Iterator[None]:
    """Run cells as compiled graphs, and leave the process in the mode it was in.

    Graph mode is the public way around the queues on which MindSpore's other modes busy-wait.
    """
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        yield
    finally:
        ms.set_context(mode=mode)


@contextmanager
def initial_weights(seed: int, player: str) -> Iterator[None]:
    """Make the weights drawn inside a function of (seed, player), and give NumPy its global state back."""
    state = np.random.get_state()
    np.random.seed(int(stream(seed, f"{player} weights", 0).integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(state)


def make(what: str, factory: Callable[..., Made], *arguments: Any) -> Made:
    """Call a factory of the user's.

    Raises:
        GanError: as the factory raised it.
        RecipeError: the factory raised anything else.
    """
    try:
        return factory(*arguments)
    except GanError:
        raise
    except Exception as error:
        raise RecipeError(f"making the {what} raised {describe(error)}") from error


def build_network(network: Network, player: str, seed: int) -> nn.Cell:
    """Return a player's cell, made by its factory from the seed, its parameters named ``<player>.*``.

    Raises:
        RecipeError: the factory makes something else.
    """
    if not isinstance(network, nn.Cell):
        with initial_weights(seed, player):
            network = make(player, network)
    if not isinstance(network, nn.Cell):
        raise RecipeError(f"the {player} must be a mindspore.nn.Cell, not {type(network).__name__}")
    prefix, parameters = f"{player}.", list(network.get_parameters())
    if not all(parameter.name.startswith(prefix) for parameter in parameters):
        for parameter in parameters:
            parameter.name = prefix + parameter.name
    return network


class Forward(nn.Cell):  # type: ignore[misc]
    """A network in inference, compiled once for chunks of one size so that no count compiles anew.

    A chunk that is not full is filled up with its own rows over again: where batch normalisation uses the batch's
    statistics in inference, too, an output depends on the batch it is made in, and must not on foreign rows.
    """

    def __init__(self, network: nn.Cell, chunk: int = 64) -> None:
        super().__init__(auto_prefix=False)
        self.network, self.chunk = network, chunk

    def construct(self, *inputs: Tensor) -> Tensor:
        """Return the network's output for one chunk: the first one where it returns several."""
        outputs = self.network(*inputs)
        return outputs[0] if isinstance(outputs, tuple) else outputs

    def __call__(self, *inputs: Any) -> Any:
        """Compile or run one chunk in graph mode."""
        with graph_mode():
            return super().__call__(*inputs)

    def all(self, *inputs: Floats | Labels) -> Floats:
        """Return the outputs for any number of inputs, at least one, in evaluation mode, training undisturbed."""
        # A compiled graph keeps the mode it was compiled in, and so does the training step's: the flag only
        # has to be right while either compiles, and is put back for whoever reads it.
        training = self.network.training
        self.network.set_train(False)
        starts = range(0, len(inputs[0]), self.chunk)
        try:
            return np.concatenate([self._chunk(*(one[i : i + self.chunk] for one in inputs)) for i in starts])
        finally:
            self.network.set_train(training)

    def _chunk(self, *inputs: Floats | Labels) -> Floats:
        rows = np.arange(self.chunk) % len(inputs[0])
        tensors = [Tensor.from_numpy(one[rows]) for one in inputs]
        # asnumpy() may be a view of memory that the next step writes to: copy.
        outputs: Floats = self(*tensors).asnumpy()[: len(inputs[0])].copy()
        return outputs


def leave_compile_cache() -> None:
    """Switch MindSpore's compile cache off for this process, where it is on.

    It knows a graph by the script that was started and the order in which graphs are compiled: of a network that
    was edited since it would run the graph of old.

    Warns:
        GanWarning: it was on.
    """
    if os.environ.get("MS_COMPILER_CACHE_ENABLE") != "1" and not ms.get_context("enable_compile_cache"):
        return
    if ms.get_context("enable_compile_cache") is False:
        return  # as this function leaves it, which wins over the variable
    ms.set_context(enable_compile_cache=False)
    warn("MindSpore's compile cache is left off: of a network that was edited it would run the graph of old")


def use_device(device: str | None) -> None:
    """Choose the device for everything that is built from now on; None leaves MindSpore's own choice.

    Raises:
        UsageError: this MindSpore cannot use it.
    """
    if device in (None, ms.get_context("device_target")):
        return
    try:
        ms.set_device(device)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UsageError(f"this MindSpore cannot use device {device}: {describe(error)}") from error
