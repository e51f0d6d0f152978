"""The source of a PyTorch module that computes a graph, and its weights under PyTorch's names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, shape_inference

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.results.export.graph import Graph
from ms_gan_callbacks.results.export.ports import Port
from ms_gan_callbacks.results.export.torch_layers import make_layer
from ms_gan_callbacks.results.export.torch_operations import write_constant, write_operation

MARK = "written by ms-gan export"
"""Words in the first line of a listing, which identify it."""
INLINE = ("Relu", "Tanh", "Sigmoid", "LeakyRelu", "Reshape", "Cast", "Clip", "Floor", "OneHot")
"""Operations that are written in the same line as the operation before."""

LISTING = '''"""{title}, {mark}.

{ports}
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
{layers}

    def forward(self, {arguments}):
{lines}


def load(path=Path(__file__).with_name({file})):
    generator = Generator()
    generator.load_state_dict(load_file(path))
    return generator.eval()
'''


class Module:
    """The layers of a graph, and the expressions that connect them.

    Args:
        graph: the graph, with Parameters named as in MindSpore, relative to the network.
        model: the graph as a model.

    Attributes:
        weights: the weights by the names of PyTorch.

    Raises:
        UsageError: an operation cannot be written for PyTorch.
    """

    def __init__(self, graph: Graph, model: ModelProto) -> None:
        self._graph = graph
        self._shapes = _infer_shapes(model)
        self.weights: dict[str, NDArray[Any]] = {}
        self._layers: dict[str, Any] = {}  # a tree; its leaves are Python expressions
        self.lines = self._write_lines()

    def _write_lines(self) -> list[str]:
        """Return the assignments that compute the output."""
        uses, lines = self._graph.count_uses(), list[str]()
        code = {name: name for name in self._graph.inputs}
        for place, node in enumerate(self._graph.nodes):
            name, following = node.output[0], self._graph.nodes[place + 1 : place + 2]
            written = self._write(node, code)
            if name == self._graph.output:
                lines.append(f"return {written}")
            elif (
                uses[name] == 1 and following and following[0].op_type in INLINE and name == following[0].input[0]
            ):
                code[name] = written
            else:
                code[name] = self._name_value(code, place)
                lines.append(f"{code[name]} = {written}")
        return lines

    def _name_value(self, code: Mapping[str, str], place: int) -> str:
        """Return a variable that does not hold a value which is still needed."""
        later = self._graph.nodes[place + 1 :]
        taken = {code.get(name) for node in later for name in node.input} | {*self._graph.inputs}
        return next(name for name in ("x", *(f"x{number}" for number in range(2, 99))) if name not in taken)

    def _write(self, node: NodeProto, code: Mapping[str, str]) -> str:
        weights, constants = self._graph.weights, self._graph.constants
        names = [name for name in node.input if name in weights]
        if names and list(node.input)[1:] == names:
            shape = self._shapes.get(node.input[0], ())
            layer = make_layer(node, [weights[name] for name in names], shape)
            if layer is not None:
                given = code[node.input[0]]
                if layer.padding:
                    given = f"nn.functional.pad({given}, {layer.padding})"
                return f"{self._add_layer(names, layer.code, layer.keys)}({given})"
        inputs = []
        for name in node.input:
            written = code.get(name)
            if name in weights:
                written = self._add_parameter(name)
            elif name in constants:
                written = write_constant(constants[name])
            inputs.append(written)
        if None not in inputs or node.op_type == "Reshape":
            values = [constants.get(name) for name in node.input]
            if (found := write_operation(node, [str(one) for one in inputs], values)) is not None:
                return found
        raise UsageError(f"the operation {node.op_type} of the generator cannot be written for PyTorch: use .onnx")

    def _add_layer(self, names: Sequence[str], layer: str, keys: Sequence[str]) -> str:
        """Add a layer and its weights; return the expression of the layer."""
        paths = {name.rpartition(".")[0] for name in names}
        path = min(paths)
        if len(paths) > 1 or not path:
            raise UsageError(f"the layer of {names[0]} cannot be written for PyTorch: use .onnx")
        for name, key in zip(names, keys, strict=False):
            self.weights[f"{path}.{key}"] = self._graph.weights[name]
        if "running_mean" in keys:
            self.weights[f"{path}.num_batches_tracked"] = np.array(0, np.int64)
        return self._attach(path, layer)

    def _add_parameter(self, name: str) -> str:
        """Add a Parameter that does not belong to a layer; return its expression."""
        value = self._graph.weights[name]
        self.weights[name] = value
        path, _, last = name.rpartition(".")
        empty = f"nn.Parameter(torch.empty({value.shape}))"
        if not path:
            return self._attach(last, empty)
        return self._attach(name, empty)

    def _attach(self, path: str, code: str) -> str:
        """Put a layer into the tree of layers; return the expression that finds it."""
        *above, last = path.split(".")
        tree = self._layers
        for part in above:
            tree = tree.setdefault(part, {})
        if not isinstance(tree, dict) or isinstance(tree.get(last), dict):
            raise UsageError(f"the names of {path} cannot be written for PyTorch: use .onnx")
        tree[last] = code
        first, *rest = path.split(".")
        return f"self.{first}" + "".join(f'["{part}"]' for part in rest)

    def write(self, title: str, inputs: Sequence[Port], output: Port, file: str) -> str:
        """Return the source of the module, which loads its weights from a file next to it."""
        layers = [f"self.{name} = {_write_tree(tree)}" for name, tree in self._layers.items()]
        return LISTING.format(
            title=title,
            mark=MARK,
            ports="\n".join(f"{port.name}: {port.describe()}" for port in (*inputs, output)),
            layers=_indent(layers),
            arguments=", ".join(port.name for port in inputs),
            lines=_indent(self.lines),
            file=json.dumps(file),
        )


def _write_tree(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    kind = "ParameterDict" if all(str(one).startswith("nn.Parameter(") for one in tree.values()) else "ModuleDict"
    entries = [f'    "{name}": {_write_tree(one)},'.replace("\n", "\n    ") for name, one in tree.items()]
    return "\n".join([f"nn.{kind}({{", *entries, "})"])


def _indent(lines: Sequence[str]) -> str:
    return "\n".join(" " * 8 + part for line in lines for part in line.split("\n"))


def _infer_shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all values without the batch."""
    graph = shape_inference.infer_shapes(model).graph
    return {
        one.name: tuple(size.dim_value for size in one.type.tensor_type.shape.dim)[1:]
        for one in (*graph.input, *graph.value_info)
    }
