"""A player's optimizer: built, its parameters named, its learning rates read, checked and scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, nn, ops

from ms_gan_callbacks.errors import RecipeError, UsageError, pluralize
from ms_gan_callbacks.models.networks import OptimizerFactory, make


def build_optimizer(factory: OptimizerFactory, network: nn.Cell, player: str, prefix: str) -> nn.Optimizer:
    """Return a player's optimizer, the parameters of its own named ``<prefix>.*``.

    Raises:
        RecipeError: the factory makes something else, or there is nothing to train.
    """
    trainable = network.trainable_params()
    if not trainable:
        raise RecipeError(f"the network for {prefix} has no parameters to train")
    if isinstance(factory, nn.Optimizer):
        made = type(factory).__name__
        raise RecipeError(f"optimizer must be a factory, not an {made} made already: pass partial(nn.{made}, ...)")
    optimizer = make(f"{player}'s optimizer", factory, trainable)
    if not isinstance(optimizer, nn.Optimizer):
        raise RecipeError(
            f"optimizer must make a mindspore.nn.Optimizer, not {type(optimizer).__name__} (the {player}'s)"
        )
    # optimizer.update_parameters_name would rename the network's weights too: only what it owns.
    shared = {id(parameter) for parameter in network.get_parameters()}
    for parameter in optimizer.get_parameters():
        if id(parameter) not in shared:
            parameter.name = f"{prefix}.{parameter.name}"
    return optimizer


def _each_rate(optimizer: nn.Optimizer) -> list[Any]:
    """Return an optimizer's learning rate, or those of its groups."""
    return list(optimizer.learning_rate) if optimizer.is_group_lr else [optimizer.learning_rate]


def rates(player: str, optimizer: nn.Optimizer) -> dict[str, float]:
    """Return the learning rate that an optimizer's next update will use, a group's behind its number."""
    groups = _each_rate(optimizer)
    names = [player] if len(groups) == 1 else [f"{player}_{number}" for number in range(len(groups))]
    rates = [rate(optimizer.global_step) if isinstance(rate, nn.Cell) else rate for rate in groups]
    values = [float(np.asarray(rate.asnumpy()).reshape(-1)[0]) for rate in rates]
    return dict(zip(names, values, strict=True))


def check_rates(player: str, optimizer: nn.Optimizer, updates: int) -> None:
    """Make sure that an optimizer's lists of learning rates are long enough for so many updates.

    Raises:
        RecipeError: one is shorter.
    """
    for rate in _each_rate(optimizer):
        values = getattr(rate, "learning_rate", None)
        if isinstance(values, Parameter) and values.ndim == 1 and values.size < updates:
            raise RecipeError(
                f"the {player}'s optimizer has {pluralize(values.size, 'learning rates')}, and this run updates "
                f"it {pluralize(updates, 'times')}: give it as many, or a schedule such as nn.CosineDecayLR"
            )


def scale_rates(optimizer: nn.Optimizer, factor: float) -> None:
    """Multiply an optimizer's learning rates, all that are still to come, by a factor.

    Raises:
        UsageError: one follows a formula, which has no values to multiply.
    """
    for rate in _each_rate(optimizer):
        values = rate if isinstance(rate, Parameter) else getattr(rate, "learning_rate", None)
        if not isinstance(values, Parameter):
            raise UsageError(f"a learning rate that follows {type(rate).__name__} cannot be scaled")
        ops.assign(values, values * factor)
