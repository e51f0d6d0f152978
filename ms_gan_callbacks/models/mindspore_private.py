"""All private names of MindSpore that this package uses, as of MindSpore 2.10.0; no other module uses one.

MindSpore may rename them in any release. ``PRIVATE`` lists their uses, and :func:`find_missing` those that the
installed version does not have.
"""

from __future__ import annotations

import importlib
from typing import Any

from mindspore import nn
from mindspore.context import _context, ms_ctx_param
from mindspore.nn.cell import _cell_graph_executor
from mindspore.nn.layer.normalization import _BatchNorm as BatchNorm
from mindspore.ops.operations._grad_ops import MirrorPadGrad, ReluGrad

__all__ = [
    "BatchNorm",
    "MirrorPadGrad",
    "ReluGrad",
    "call_alters_construct",
    "find_missing",
    "has_parameter_hooks",
    "list_graph_parameters",
    "set_synchronous",
]

SEEN_IN = "2.10.0"

PRIVATE = {
    "mindspore.context:_context": "sets an option for which set_context logs a warning",
    "mindspore.context:ms_ctx_param.pynative_synchronize": "is this option",
    "mindspore.nn.cell:_cell_graph_executor._graph_executor.get_params": "lists the Parameters of a graph",
    "mindspore.nn.layer.normalization:_BatchNorm": "is the base class of all batch normalisations",
    "mindspore.ops.operations._grad_ops:MirrorPadGrad": "is the gradient of a padding, for gradients of gradients",
    "mindspore.ops.operations._grad_ops:ReluGrad": "is the gradient of ReLU, for gradients of gradients",
}
"""Names in modules, ``module:name``, with their use."""

CELL_METHODS = ("_predict", "phase_cache")
"""Methods and attributes of a cell that run a compiled graph without the usual lookup."""

CALL_OPTIONS = (
    "mixed_precision_type",  # to_float(), mindspore.amp
    "_forward_pre_hook",
    "_forward_hook",
    "_backward_pre_hook",
    "_backward_hook",
    "_saved_tensors_pack_hook",
    "_has_config_recompute",  # recompute(), of the layer or of a cell that holds it
    "_shard_fn",
    "_dynamic_shape_inputs",  # set_inputs()
    "_jit_config_dict",
    "_bprop_debug",
)
"""Attributes of a cell that make a call do more than ``construct``; empty ones have no effect."""

PARAMETER_HOOKS = "__no_parameter_forward_hook__"
"""Attribute of a cell, False after ``register_parameter_forward_hook`` was called; otherwise it does not exist."""


def find_missing() -> list[str]:
    """Return the private names that the installed MindSpore does not have."""
    cell = nn.Cell()
    of_cells = [name for name in (*CELL_METHODS, *CALL_OPTIONS) if not hasattr(cell, name)]
    return [name for name in PRIVATE if not _exists(name)] + [f"mindspore.nn.Cell.{name}" for name in of_cells]


def _exists(name: str) -> bool:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    return True


def call_alters_construct(layer: nn.Cell) -> bool:
    """Return whether calling a layer does more than its ``construct``: casts, hooks or recomputation."""
    return any(getattr(layer, name, None) for name in CALL_OPTIONS)


def has_parameter_hooks(cell: nn.Cell) -> bool:
    """Return whether ``register_parameter_forward_hook`` was called on a cell."""
    return vars(cell).get(PARAMETER_HOOKS) is False


def list_graph_parameters(phase: str) -> list[str]:
    """Return the names of the Parameters in the graph of a phase, or an empty list if they are not available.

    Parameters used by a function are in the graph, but not in the list of any cell.
    """
    find = getattr(_cell_graph_executor._graph_executor, "get_params", None)
    return list(find(phase)) if find else []


def set_synchronous(synchronous: bool) -> bool:
    """Set whether every operation outside of graphs is waited for; return the previous setting.

    ``set_context(pynative_synchronize=...)`` does the same, but logs a warning that recommends an API that cannot
    restore the setting.
    """
    context, option = _context(), getattr(ms_ctx_param, "pynative_synchronize", None)
    if option is None:
        return False  # only the speed depends on it
    before = bool(context.get_param(option))
    context.set_param(option, synchronous)
    return before
