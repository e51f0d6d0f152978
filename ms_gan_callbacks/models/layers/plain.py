"""Detection of layers whose call does more than ``construct``, which fast layers do not support."""

from __future__ import annotations

from mindspore import nn

from ms_gan_callbacks.models.mindspore_private import call_alters_construct, has_parameter_hooks

OWN = ("construct", "bprop")
"""Methods that may be overridden on an instance."""


def is_plain(layer: nn.Cell) -> bool:
    """Return whether a layer's call only runs its class's ``construct``, without casts, hooks or recomputation."""
    if call_alters_construct(layer) or any(name in vars(layer) for name in OWN):
        return False
    return not any(value for name, value in layer.get_flags().items() if name != "training")


def hooks_parameters(network: nn.Cell) -> bool:
    """Return whether ``register_parameter_forward_hook`` was called on a network or one of its cells."""
    return any(has_parameter_hooks(cell) for _, cell in network.cells_and_names())
