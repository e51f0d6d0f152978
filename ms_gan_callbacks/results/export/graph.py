"""An ONNX graph that can be edited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ms_gan_callbacks.results.export.ports import Port

OPSET, IR_VERSION = 11, 8


class Graph:
    """The nodes and constants of a model; nodes that only depend on constants are computed.

    Args:
        model: the model.
        parameters: names of the Parameters.

    Attributes:
        nodes: the nodes in order.
        weights: the values of Parameters that are used, by name.
        constants: all other constant values, by name.
        output: name of the output.
    """

    def __init__(self, model: ModelProto, parameters: Collection[str]) -> None:
        values = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self.weights = {name: value for name, value in values.items() if name in parameters}
        self.constants = {name: value for name, value in values.items() if name not in parameters}
        self.inputs = [one.name for one in model.graph.input]
        self.output: str = model.graph.output[0].name
        self.nodes: list[NodeProto] = []
        for node in model.graph.node:
            if all(name in self.constants for name in node.input):
                [value] = ReferenceEvaluator(node).run(None, {name: self.constants[name] for name in node.input})
                self.constants[node.output[0]] = np.asarray(value)
            else:
                self.nodes.append(node)

    def count_uses(self) -> Counter[str]:
        """Return the number of nodes that use each value; the output counts as one."""
        return Counter([self.output, *(name for node in self.nodes for name in node.input)])

    def get_maker(self, name: str, kind: str) -> NodeProto | None:
        """Return the node that returns a value, if it is of a kind."""
        return next((node for node in self.nodes if node.output[0] == name and node.op_type == kind), None)

    def replace(self, old: Sequence[NodeProto], new: NodeProto) -> None:
        """Replace nodes by one that returns the value of the last of them."""
        self.nodes[self.nodes.index(old[-1])] = new
        for node in old[:-1]:
            self.nodes.remove(node)

    def rename(self, names: Mapping[str, str]) -> None:
        """Change the names of inputs, Parameters and values."""
        for node in self.nodes:
            for entries in (node.input, node.output):
                entries[:] = [names.get(name, name) for name in entries]
            node.name = node.output[0]
        self.weights = {names.get(name, name): value for name, value in self.weights.items()}
        self.constants = {names.get(name, name): value for name, value in self.constants.items()}
        self.inputs = [names.get(name, name) for name in self.inputs]
        self.output = names.get(self.output, self.output)

    def to_model(self, inputs: Sequence[Port], output: Port, facts: Mapping[str, str]) -> ModelProto:
        """Return a model with an open batch, named N, and metadata."""
        uses = self.count_uses()
        values: dict[str, NDArray[Any]] = {**self.weights, **self.constants}
        graph = helper.make_graph(
            self.nodes,
            "generator",
            [_make_port(port) for port in inputs],
            [_make_port(output)],
            [numpy_helper.from_array(value, name) for name, value in values.items() if uses[name]],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        helper.set_model_props(model, {**facts, **{port.name: port.describe() for port in (*inputs, output)}})
        onnx.checker.check_model(model)
        return model


def _make_port(port: Port) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(port.dtype))
    return helper.make_tensor_value_info(port.name, kind, ["N", *port.shape])
