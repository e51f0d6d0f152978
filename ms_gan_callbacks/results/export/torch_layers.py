"""ONNX nodes with weights as layers of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

Settings: TypeAlias = Mapping[str, Any]
Arrays: TypeAlias = Sequence[NDArray[Any]]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer of PyTorch.

    Attributes:
        code: the Python expression that builds it.
        keys: the names of its weights, in the order of the node's inputs.
        padding: pixels to pad images with before the layer, (left, right, top, bottom).
    """

    code: str
    keys: tuple[str, ...] = ("weight", "bias")
    padding: tuple[int, ...] = field(default=())


Builder: TypeAlias = Callable[[Settings, Arrays, Shape], "Layer | None"]


def make_layer(node: NodeProto, weights: Arrays, shape: Shape) -> Layer | None:
    """Return the layer of a node with these weights, for an input of this shape (without the batch), if known."""
    settings = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    builder = _BUILDERS.get(node.op_type)
    return builder(settings, weights, shape) if builder and weights else None


def write(value: object) -> str:
    """Return Python code of a value, floats with the digits of float32."""
    return str(np.float32(value)) if isinstance(value, float) else repr(value)


def _call(name: str, *arguments: object, **options: object) -> str:
    given = [*map(write, arguments), *(f"{key}={write(value)}" for key, value in options.items())]
    return f"nn.{name}({', '.join(given)})"


def _build_linear(settings: Settings, weights: Arrays, shape: Shape) -> Layer | None:
    transposed = settings.get("transA", 0), settings.get("transB", 0)
    factors = settings.get("alpha", 1.0), settings.get("beta", 1.0)
    if transposed != (0, 1) or factors != (1.0, 1.0):
        return None
    out, into = weights[0].shape
    return Layer(_call("Linear", into, out, **_without_bias(weights)))


def _without_bias(weights: Arrays) -> dict[str, object]:
    return {"bias": False} if len(weights) == 1 else {}


def _build_convolution(settings: Settings, weights: Arrays, shape: Shape) -> Layer | None:
    out, into, *kernel = weights[0].shape
    groups = settings.get("group", 1)
    before, after = _find_pads(settings, kernel, shape[1:])
    same = before == after
    options = _list_options(settings, before if same else [0, 0])
    code = _call("Conv2d", into * groups, out, _shorten(kernel), **options, **_without_bias(weights))
    return Layer(code, padding=() if same else (before[1], after[1], before[0], after[0]))


def _find_pads(settings: Settings, kernel: list[int], sizes: Shape) -> tuple[list[int], list[int]]:
    """Return the padding at the beginning and at the end of each axis."""
    pads = list(settings.get("pads", [0, 0, 0, 0]))
    if settings.get("auto_pad", b"NOTSET") != b"SAME_UPPER":
        return pads[:2], pads[2:]
    totals = [
        max((-(-size // stride) - 1) * stride + dilation * (length - 1) + 1 - size, 0)
        for size, stride, length, dilation in zip(
            sizes, settings["strides"], kernel, settings.get("dilations", [1, 1]), strict=True
        )
    ]
    return [one // 2 for one in totals], [one - one // 2 for one in totals]


def _build_transposed(settings: Settings, weights: Arrays, shape: Shape) -> Layer | None:
    into, out, *kernel = weights[0].shape
    pads = list(settings.get("pads", [0, 0, 0, 0]))
    if pads[:2] != pads[2:]:
        return None
    options = _list_options(settings, pads[:2])
    channels = into, out * settings.get("group", 1)
    return Layer(_call("ConvTranspose2d", *channels, _shorten(kernel), **options, **_without_bias(weights)))


def _list_options(settings: Settings, padding: list[int]) -> dict[str, object]:
    """Return the options of a convolution that differ from PyTorch's defaults."""
    options = {
        "stride": (list(settings.get("strides", [1, 1])), 1),
        "padding": (padding, 0),
        "output_padding": (list(settings.get("output_padding", [0, 0])), 0),
        "groups": (settings.get("group", 1), 1),
        "dilation": (list(settings.get("dilations", [1, 1])), 1),
    }
    return {name: _shorten(value) for name, (value, default) in options.items() if _shorten(value) != default}


def _shorten(sizes: Any) -> Any:
    """Return a number for a list of equal numbers, else a tuple."""
    if not isinstance(sizes, list):
        return sizes
    return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)


def _build_batch_norm(settings: Settings, weights: Arrays, shape: Shape) -> Layer | None:
    kind = {1: "BatchNorm1d", 2: "BatchNorm1d", 3: "BatchNorm2d"}.get(len(shape))
    keys = ("weight", "bias", "running_mean", "running_var")
    return Layer(_call(kind, len(weights[0]), **_read_epsilon(settings)), keys) if kind else None


def _build_instance_norm(settings: Settings, weights: Arrays, shape: Shape) -> Layer | None:
    return Layer(_call("InstanceNorm2d", len(weights[0]), **_read_epsilon(settings), affine=True))


def _read_epsilon(settings: Settings) -> dict[str, object]:
    eps = float(np.float32(settings.get("epsilon", 1e-5)))
    return {} if write(eps) == "1e-05" else {"eps": eps}


_BUILDERS: dict[str, Builder] = {
    "Gemm": _build_linear,
    "Conv": _build_convolution,
    "ConvTranspose": _build_transposed,
    "BatchNormalization": _build_batch_norm,
    "InstanceNormalization": _build_instance_norm,
}
