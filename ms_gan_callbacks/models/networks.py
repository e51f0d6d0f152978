"""Construction of a network from a seed, and inference with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import GanError, RecipeError, UsageError, describe, warn
from ms_gan_callbacks.models.graph_mode import graph_mode
from ms_gan_callbacks.models.layers import accelerate

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
OptimizerFactory: TypeAlias = Callable[[list[Parameter]], nn.Optimizer]
Network: TypeAlias = nn.Cell | Callable[[], nn.Cell]
Made = TypeVar("Made")
CHUNK = 64
"""Number of images that are generated at a time."""


@contextmanager
def seed_weights(seed: int, player: str) -> Iterator[None]:
    """Make weights drawn in the context a function of (seed, player); restore NumPy's global state afterwards."""
    state = np.random.get_state()
    np.random.seed(int(stream(seed, f"{player} weights", 0).integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(state)


def make(what: str, factory: Callable[..., Made], *arguments: Any) -> Made:
    """Call a user-defined factory; raise RecipeError for exceptions other than GanError."""
    try:
        return factory(*arguments)
    except GanError:
        raise
    except Exception as error:
        raise RecipeError(f"building the {what} raised {describe(error)}") from error


def build_network(network: Network, player: str, seed: int, others: Iterable[nn.Cell] = ()) -> nn.Cell:
    """Return a network, built from the seed, with parameters named ``<player>.*``.

    Parameters that it shares with other networks keep their names.
    """
    if not isinstance(network, nn.Cell):
        with seed_weights(seed, player):
            network = make(player, network)
    if not isinstance(network, nn.Cell):
        raise RecipeError(f"the {player} must be a mindspore.nn.Cell, not {type(network).__name__}")
    shared = {id(parameter) for other in others for parameter in other.get_parameters()}
    prefix = f"{player}."
    parameters = [parameter for parameter in network.get_parameters() if id(parameter) not in shared]
    if not all(parameter.name.startswith(prefix) for parameter in parameters):
        for parameter in parameters:
            parameter.name = prefix + parameter.name
    return network


def accelerate_network(network: nn.Cell, name: str, seed: int) -> dict[str, int]:
    """Replace the layers of a network with :func:`accelerate`, and return its result.

    The seeds of random layers are functions of (seed, name), and the names of new parameters begin with
    ``<name>.``.
    """
    known = {id(parameter) for parameter in network.get_parameters()}
    with seed_weights(seed, f"{name} layers"):
        counts = accelerate(network)
    for parameter in network.get_parameters():
        if id(parameter) not in known:
            parameter.name = f"{name}.{parameter.name}"
    return counts


def freeze(network: Network) -> Callable[[], nn.Cell]:
    """Return a factory of a network that no player trains, such as a pretrained feature extractor.

    Its parameters have no gradient, and it stays in evaluation mode during training.

    Args:
        network: a cell, or a factory for one.
    """

    def build() -> nn.Cell:
        cell = network if isinstance(network, nn.Cell) else network()
        for parameter in cell.get_parameters():
            parameter.requires_grad = False
        return cell

    return build


class Forward(nn.Cell):  # type: ignore[misc]
    """Inference with a network in chunks of one size, compiled once for any number of inputs.

    A partial chunk is filled by repeating its own rows: if batch normalisation uses batch statistics in inference,
    outputs depend on the other rows of the chunk, which must not be unrelated ones.

    Args:
        network: the network.
        chunk: number of rows in a chunk; rounded down to a multiple of ``pack``.
        pack: number of rows of the inputs for each row of the outputs.
        training: layers that are in training mode, unlike the rest of the network.
    """

    def __init__(
        self, network: nn.Cell, chunk: int = CHUNK, pack: int = 1, training: Sequence[nn.Cell] = ()
    ) -> None:
        super().__init__(auto_prefix=False)
        self._training = tuple(training)
        self.network, self.chunk, self.pack = network, max(pack, chunk - chunk % pack), pack

    def construct(self, *inputs: Tensor) -> Any:
        """Return the network's outputs for one chunk."""
        return self.network(*inputs)

    def __call__(self, *inputs: Any) -> Any:
        """Compile or run one chunk in graph mode."""
        with graph_mode():
            return super().__call__(*inputs)

    def predict(self, *inputs: NDArray[Any]) -> tuple[Floats, ...]:
        """Return the outputs for one or more inputs, in evaluation mode, without affecting training.

        Inputs without an axis are passed to every chunk.
        """
        # A compiled graph keeps the mode it was compiled in: the flag matters only during compilation, and is
        # restored for other readers.
        training = self.network.training
        self.network.set_train(False)
        for layer in self._training:
            layer.set_train(True)
        count = next(len(one) for one in inputs if one.ndim)
        starts = range(0, count, self.chunk)
        try:
            chunks = [
                self._predict_chunk(*(one[i : i + self.chunk] if one.ndim else one for one in inputs))
                for i in starts
            ]
            return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))
        finally:
            self.network.set_train(training)

    def _predict_chunk(self, *inputs: NDArray[Any]) -> tuple[Floats, ...]:
        count = next(len(one) for one in inputs if one.ndim)
        rows = np.arange(self.chunk) % count
        outputs = self(*(Tensor.from_numpy(one[rows] if one.ndim else one) for one in inputs))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        # Copy: asnumpy() may be a view of memory that the next step overwrites.
        return tuple(one.asnumpy()[: count // self.pack].copy() for one in several)


def disable_compile_cache() -> None:
    """Disable MindSpore's compile cache for this process.

    The cache identifies a graph by the script and the order of compilation: after a network was edited, it would
    run the outdated graph.

    Warns:
        GanWarning: the cache was enabled.
    """
    if os.environ.get("MS_COMPILER_CACHE_ENABLE") != "1" and not ms.get_context("enable_compile_cache"):
        return
    if ms.get_context("enable_compile_cache") is False:
        return  # already disabled here, which overrides the variable
    ms.set_context(enable_compile_cache=False)
    warn("MindSpore's compile cache was disabled: after a network is edited, it would run the outdated graph")


def use_device(device: str | None) -> None:
    """Set the device (None: MindSpore's default); raise UsageError if it is not available."""
    if device in (None, ms.get_context("device_target")):
        return
    try:
        ms.set_device(device)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UsageError(f"the installed MindSpore cannot use device {device}: {describe(error)}") from error
