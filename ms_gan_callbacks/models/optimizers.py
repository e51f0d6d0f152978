"""Construction of optimizers, and access to their learning rates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, nn, ops

from ms_gan_callbacks.errors import RecipeError, UsageError, pluralize
from ms_gan_callbacks.models.networks import OptimizerFactory, make


def build_optimizer(
    factory: OptimizerFactory, trainable: list[Parameter], player: str, prefix: str, owned: Iterable[Parameter]
) -> nn.Optimizer:
    """Return a player's optimizer, with parameters named ``<prefix>.*``, except those that networks own."""
    if not trainable:
        raise RecipeError(f"the {player} has no trainable parameters")
    if isinstance(factory, nn.Optimizer):
        made = type(factory).__name__
        raise RecipeError(
            f"optimizer must be a class or a function that builds the optimizer, not an instance: pass "
            f"functools.partial(nn.{made}, ...)"
        )
    optimizer = make(f"{player}'s optimizer", factory, trainable)
    if not isinstance(optimizer, nn.Optimizer):
        raise RecipeError(
            f"optimizer must return a mindspore.nn.Optimizer, not {type(optimizer).__name__} (for the {player})"
        )
    # optimizer.update_parameters_name would also rename the network's weights.
    shared = {id(parameter) for parameter in owned}
    for parameter in optimizer.get_parameters():
        if id(parameter) not in shared:
            parameter.name = f"{prefix}.{parameter.name}"
    return optimizer


def _list_rates(optimizer: nn.Optimizer) -> list[Any]:
    """Return the learning rate of an optimizer, or those of its parameter groups."""
    return list(optimizer.learning_rate) if optimizer.is_group_lr else [optimizer.learning_rate]


def list_rate_parameters(optimizer: nn.Optimizer) -> list[Parameter]:
    """Return the constant learning rates of an optimizer, which callbacks may change; not those of schedules."""
    return [rate for rate in _list_rates(optimizer) if isinstance(rate, Parameter)]


def read_rates(player: str, optimizer: nn.Optimizer) -> dict[str, float]:
    """Return the learning rate of the next update, with the index of each parameter group in its name."""
    groups = _list_rates(optimizer)
    names = [player] if len(groups) == 1 else [f"{player}_{number}" for number in range(len(groups))]
    rates = [rate(optimizer.global_step) if isinstance(rate, nn.Cell) else rate for rate in groups]
    values = [float(np.asarray(rate.asnumpy()).reshape(-1)[0]) for rate in rates]
    return dict(zip(names, values, strict=True))


def check_rates(player: str, optimizer: nn.Optimizer, updates: int) -> None:
    """Raise RecipeError if a list of learning rates is shorter than the number of updates."""
    for rate in _list_rates(optimizer):
        values = getattr(rate, "learning_rate", None)
        if isinstance(values, Parameter) and values.ndim == 1 and values.size < updates:
            raise RecipeError(
                f"the {player}'s optimizer has {pluralize(values.size, 'learning rates')}, but this run updates "
                f"it {pluralize(updates, 'times')}: pass one rate per update, or a schedule like nn.CosineDecayLR"
            )


def list_inexact_optimizers(optimizers: Iterable[nn.Optimizer]) -> Iterator[str]:
    """Yield a warning if a resumed run with these optimizers is not exact."""
    if ms.get_context("device_target") == "CPU" and any(
        isinstance(one, nn.RMSProp) and not one.centered for one in optimizers
    ):
        # Observed from the second resumed step on; possibly the rounding of its kernel depends on the number of
        # its calls in this process.
        yield (
            "nn.RMSProp rounds differently after a resume on a CPU, so a resumed run is not exact: use "
            "RMSProp(centered=True), Adam or another optimizer"
        )


def scale_rates(optimizer: nn.Optimizer, factor: float) -> None:
    """Multiply all future learning rates by a factor; raise UsageError if one is computed by a formula."""
    for rate in _list_rates(optimizer):
        values = rate if isinstance(rate, Parameter) else getattr(rate, "learning_rate", None)
        if not isinstance(values, Parameter):
            raise UsageError(f"a learning rate computed by {type(rate).__name__} cannot be scaled")
        ops.assign(values, values * factor)
