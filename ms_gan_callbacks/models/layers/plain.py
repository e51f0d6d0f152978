"""Whether calling a layer is its ``construct`` and nothing beside, which is what a fast layer does."""

from __future__ import annotations

from mindspore import nn

BESIDE = (
    "mixed_precision_type",  # to_float(), mindspore.amp
    "_forward_pre_hook",
    "_forward_hook",
    "_backward_pre_hook",
    "_backward_hook",
    "_saved_tensors_pack_hook",
    "_has_config_recompute",  # recompute(), of the layer or of one that holds it
    "_shard_fn",
    "_dynamic_shape_inputs",  # set_inputs()
    "_jit_config_dict",
    "_bprop_debug",
)
"""What a call looks at in ``mindspore.nn.Cell`` beside ``construct``, each without effect where it is empty."""

OWN = ("construct", "bprop")
"""What a layer has from its class, unless it was given to that very object."""


def is_plain(layer: nn.Cell) -> bool:
    """Whether a layer's call is its class's ``construct`` alone: no casts, no hooks, no recomputation."""
    if any(getattr(layer, name, None) for name in BESIDE) or any(name in vars(layer) for name in OWN):
        return False
    return not any(value for name, value in layer.get_flags().items() if name != "training")


def hooks_parameters(network: nn.Cell) -> bool:
    """Whether ``register_parameter_forward_hook`` was called on a network or on a part of it."""
    return any(vars(cell).get(HOOKS_PARAMETERS) is False for _, cell in network.cells_and_names())


HOOKS_PARAMETERS = "__no_parameter_forward_hook__"
