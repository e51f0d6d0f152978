"""ONNX nodes without weights as expressions of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from ms_gan_callbacks.results.export.torch_layers import write

Constants: TypeAlias = Sequence[NDArray[Any] | None]
"""The values of a node's inputs that are constant."""
Writer: TypeAlias = Callable[[Sequence[str], Constants, Mapping[str, Any]], "str | None"]

MOST = 64
"""Size of the largest constant that is written as code."""


def write_operation(node: NodeProto, inputs: Sequence[str], constants: Constants) -> str | None:
    """Return an expression of the code of a node's inputs; None if the operation is not supported."""
    settings = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if node.op_type in _BINARY:
        return f"{_wrap(inputs[0])} {_BINARY[node.op_type]} {_wrap(inputs[1])}"
    if node.op_type in _METHODS:
        return f"{_wrap(inputs[0])}.{_METHODS[node.op_type]}()"
    if node.op_type in _FUNCTIONS and len(inputs) == 2:
        return f"torch.{_FUNCTIONS[node.op_type]}({inputs[0]}, {inputs[1]})"
    writer = _WRITERS.get(node.op_type)
    return writer(inputs, constants, settings) if writer else None


def write_constant(value: NDArray[Any]) -> str | None:
    """Return the code of a constant: a number, or a small tensor."""
    if value.size == 1:
        return write(value.item())
    return f"torch.tensor({value.tolist()})" if value.size <= MOST else None


def _wrap(code: str) -> str:
    """Put an expression with operators in parentheses."""
    return f"({code})" if " " in code.partition("(")[0] or code.startswith("-") else code


def _reshape(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    if constants[1] is None:
        return None
    sizes = [int(size) for size in constants[1]]
    if sizes[0] == 0 and -1 not in sizes:
        sizes[0] = -1
    if 0 in sizes:
        return None
    return f"{_wrap(inputs[0])}.reshape({', '.join(map(str, sizes))})"


def _flatten(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    return f"{_wrap(inputs[0])}.flatten(1)" if settings.get("axis", 1) == 1 else None


def _concat(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str:
    return f"torch.cat(({', '.join(inputs)}), {settings['axis']})"


def _leaky(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str:
    return f"nn.functional.leaky_relu({inputs[0]}, {write(settings.get('alpha', 0.01))})"


def _one_hot(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    depth, values = constants[1:3]
    if depth is None or values is None or values.tolist() != [0, 1] or settings.get("axis", -1) != -1:
        return None
    indices = inputs[0] if inputs[0].endswith(".long()") else f"{inputs[0]}.long()"
    return f"nn.functional.one_hot({indices}, {int(depth)}).float()"


def _cast(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    method = _CASTS.get(settings["to"])
    return f"{_wrap(inputs[0])}{method}" if method else None


def _clip(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    limits = [write(float(one)) if one is not None and one.size == 1 else None for one in constants[1:]]
    return f"{_wrap(inputs[0])}.clamp({', '.join(map(str, limits))})" if None not in limits else None


def _mean(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    axes = tuple(settings.get("axes", ()))
    kept = ", keepdim=True" if settings.get("keepdims", 1) else ""
    return f"{_wrap(inputs[0])}.mean({axes}{kept})" if axes else None


def _gather(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    """Write rows that are repeated or reflected, as ``plain_layers`` does."""
    rows, axis = constants[1], settings.get("axis", 0)
    if rows is None or rows.ndim != 1 or axis not in (2, 3):
        return None
    size = int(rows.max()) + 1
    if len(rows) % size == 0 and (rows == np.arange(size).repeat(len(rows) // size)).all():
        return f"{_wrap(inputs[0])}.repeat_interleave({len(rows) // size}, {axis})"
    before = int(rows[0])
    after = len(rows) - size - before
    if after < 0 or not (rows == np.pad(np.arange(size), (before, after), mode="reflect")).all():
        return None
    sides = (before, after, 0, 0) if axis == 3 else (0, 0, before, after)
    return f'nn.functional.pad({inputs[0]}, {sides}, mode="reflect")'


def _transpose(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str:
    return f"{_wrap(inputs[0])}.permute({', '.join(map(str, settings['perm']))})"


def _softmax(inputs: Sequence[str], constants: Constants, settings: Mapping[str, Any]) -> str | None:
    return f"{_wrap(inputs[0])}.softmax({settings['axis']})" if "axis" in settings else None


_BINARY = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "MatMul": "@"}
_FUNCTIONS = {"Max": "maximum", "Min": "minimum", "Pow": "pow"}
_METHODS = {
    "Relu": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Floor": "floor",
    "Sqrt": "sqrt",
    "Exp": "exp",
    "Log": "log",
    "Abs": "abs",
    "Neg": "neg",
    "Sin": "sin",
    "Cos": "cos",
}
_CASTS = {
    TensorProto.FLOAT: ".float()",
    TensorProto.INT32: ".int()",
    TensorProto.INT64: ".long()",
    TensorProto.UINT8: ".to(torch.uint8)",
    TensorProto.BOOL: ".bool()",
}
_WRITERS: dict[str, Writer] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Concat": _concat,
    "LeakyRelu": _leaky,
    "OneHot": _one_hot,
    "Cast": _cast,
    "Clip": _clip,
    "ReduceMean": _mean,
    "Gather": _gather,
    "Transpose": _transpose,
    "Softmax": _softmax,
}
