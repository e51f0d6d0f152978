"""Exponential moving average (EMA) of a network's weights."""

from __future__ import annotations

import copy

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from ms_gan_callbacks.errors import RecipeError, describe
from ms_gan_callbacks.models.layers.primitives import each

STATISTICS = ("moving_mean", "moving_variance")


def _mix(decay: Tensor, average: Parameter, weight: Tensor) -> Tensor:
    return ops.assign(average, decay * average + (1 - decay) * weight)


def _is_averaged(weight: Parameter) -> bool:
    return bool(weight.requires_grad) or weight.name.endswith(STATISTICS)


def _split(pairs: list[tuple[Parameter, Parameter]]) -> tuple[ParameterTuple, ParameterTuple]:
    return ParameterTuple([left for left, _ in pairs]), ParameterTuple([right for _, right in pairs])


class EMA(nn.Cell):  # type: ignore[misc]
    """A copy of a network with averaged weights (Polyak averaging; arXiv:1710.10196, section 5).

    After update t of the network the average is decay * average + (1 - decay) * weights, with the decay
    min(``decay``, (1 + t) / (10 + t)), so that initial weights do not dominate short runs. The moving statistics
    of batch normalisation are averaged, too; images are made with others, see :class:`Averages`. Other parameters
    without gradient are copied.

    Args:
        network: the network; its parameters are named ``<name>.*``.
        decay: final decay, between 0 and 1.
        name: name of the network.
        prefix: prefix of the names of the copy's parameters.

    Attributes:
        network: the copy with averaged weights.

    Raises:
        RecipeError: the network cannot be copied.
    """

    def __init__(self, network: nn.Cell, decay: float, name: str = "generator", prefix: str = "ema") -> None:
        super().__init__(auto_prefix=False)
        try:
            self.network = copy.deepcopy(network)
        except Exception as error:
            raise RecipeError(
                f"ema requires a copy of the {name}, but copying it failed: {describe(error)}"
            ) from error
        for parameter in self.network.get_parameters():
            parameter.name = f"{prefix}." + parameter.name.removeprefix(f"{name}.")
        self.decay = decay
        self.updates = Parameter(Tensor(np.zeros(1, np.float32)), name=f"{prefix}.updates", requires_grad=False)
        pairs = list(zip(self.network.get_parameters(), network.get_parameters(), strict=True))
        self.averages, self.weights = _split([pair for pair in pairs if _is_averaged(pair[1])])
        self.copies, self.originals = _split([pair for pair in pairs if not _is_averaged(pair[1])])

    def construct(self) -> Tensor:
        """Update the average after an update of the network; return the number of updates, (1,)."""
        count = self.updates + 1
        decay = ops.minimum((1 + count) / (10 + count), self.decay)
        moved = each(ops.partial(_mix, decay), self.averages, self.weights)
        if self.copies:
            moved = (moved, each(ops.assign, self.copies, self.originals))
        return ops.depend(ops.assign(self.updates, count), moved)
