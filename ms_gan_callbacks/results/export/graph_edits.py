"""Edits of the ONNX graphs that MindSpore writes: an open batch, one node per layer, short names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from ms_gan_callbacks.results.export.graph import Graph

BATCH = 89
"""Batch size of a graph before it is edited: a prime, of which other sizes are rarely a multiple."""


def edit(graph: Graph, inputs: Sequence[str], output: str, parameters: Mapping[str, str]) -> None:
    """Open the batch of a graph, merge nodes, and rename inputs, output and Parameters."""
    open_batch(graph)
    merge_batch_norms(graph)
    merge_instance_norms(graph)
    merge_leaky_relus(graph)
    values = {node.output[0]: f"value{place}" for place, node in enumerate(graph.nodes)}
    given = dict(zip(graph.inputs, inputs, strict=True))
    constants = {name: f"constant{place}" for place, name in enumerate(graph.constants)}
    graph.rename({**constants, **values, **given, **parameters, graph.output: output})


def open_batch(graph: Graph) -> None:
    """Remove the batch size: from the output shapes of transposed convolutions, and from constant shapes."""
    for node in graph.nodes:
        if node.op_type == "ConvTranspose":
            _open_transposed(
                node, graph.weights[node.input[1]].shape[2:] if node.input[1] in graph.weights else ()
            )
        elif node.op_type == "Reshape" and node.input[1] in graph.constants:
            name = f"shape of {node.output[0]}"
            graph.constants[name] = _open_shape(graph.constants[node.input[1]])
            node.input[1] = name


def _open_transposed(node: NodeProto, kernel: Sequence[int]) -> None:
    """Replace the output shape of a transposed convolution, and its automatic padding, by explicit padding."""
    settings = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    kind = settings.get("auto_pad", b"NOTSET")
    if kind in (b"SAME_UPPER", b"SAME_LOWER") and kernel:
        # The output is as large as the input times the stride.
        ones = [1] * len(kernel)
        reach = [d * (k - 1) + 1 for d, k in zip(settings.get("dilations", ones), kernel, strict=True)]
        totals = [r - s for r, s in zip(reach, settings.get("strides", ones), strict=True)]
        settings["pads"] = [max(one, 0) // 2 for one in totals] + [
            max(one, 0) - max(one, 0) // 2 for one in totals
        ]
        if min(totals) < 0:
            settings["output_padding"] = [max(-one, 0) for one in totals]
    dropped = ("output_shape", "auto_pad") if kernel or kind == b"VALID" else ("output_shape",)
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(key, one) for key, one in settings.items() if key not in dropped)


def _open_shape(shape: NDArray[Any]) -> NDArray[np.int64]:
    """Return a shape in which a size of the batch is 0 (that of the input), and a multiple of it -1."""
    sizes = shape.astype(np.int64).tolist()
    for place, size in enumerate(sizes):
        if size == BATCH and place == 0:
            sizes[place] = 0
        elif size and size % BATCH == 0:
            sizes[place] = -1
    return np.array(sizes, np.int64)


def merge_batch_norms(graph: Graph) -> None:
    """Remove the reshapes to (N, C, 1, 1) before a BatchNorm1d and to (N, C) after it."""
    for node in [one for one in graph.nodes if one.op_type == "BatchNormalization"]:
        uses, before = graph.count_uses(), graph.get_maker(node.input[0], "Reshape")
        after = next(
            (one for one in graph.nodes if one.op_type == "Reshape" and one.input[0] == node.output[0]), None
        )
        if before is None or after is None or uses[node.output[0]] != 1 or uses[before.output[0]] != 1:
            continue
        wide, flat = (graph.constants[one.input[1]].tolist() for one in (before, after))
        if len(flat) == 2 and wide == [*flat, 1, 1]:
            merged = NodeProto()
            merged.CopyFrom(node)
            merged.input[0], merged.output[0] = before.input[0], after.output[0]
            graph.replace([before, node, after], merged)


def merge_instance_norms(graph: Graph) -> None:
    """Replace the operations of ``PlainInstanceNorm2d`` by one node."""
    for node in [one for one in graph.nodes if one.op_type == "Add"]:
        found = _match_instance_norm(graph, node)
        if found is not None:
            *old, inputs, eps = found
            new = helper.make_node("InstanceNormalization", inputs, list(node.output), epsilon=eps)
            graph.replace([*old, node], new)


def _match_instance_norm(graph: Graph, last: NodeProto) -> tuple[Any, ...] | None:
    """Return the other nodes of a normalisation that ends in a node, its inputs, and epsilon."""

    def find(node: NodeProto | None, place: int, kind: str) -> NodeProto | None:
        return None if node is None else graph.get_maker(node.input[place], kind)

    scaled, shift = find(last, 0, "Mul"), find(last, 1, "Reshape")
    normal, scale = find(scaled, 0, "Div"), find(scaled, 1, "Reshape")
    centred, deviation = find(normal, 0, "Sub"), find(normal, 1, "Sqrt")
    mean, stable = find(centred, 1, "ReduceMean"), find(deviation, 0, "Add")
    variance = find(stable, 0, "ReduceMean")
    squared = find(variance, 0, "Mul")
    nodes = (mean, centred, squared, variance, stable, deviation, normal, scale, scaled, shift)
    if any(one is None for one in nodes) or list(squared.input) != [centred.output[0]] * 2:  # type: ignore[union-attr]
        return None
    eps = graph.constants.get(stable.input[1])  # type: ignore[union-attr]
    if eps is None or eps.size != 1:
        return None
    inputs = [mean.input[0], scale.input[0], shift.input[0]]  # type: ignore[union-attr]
    return *nodes, inputs, float(eps.ravel()[0])


def merge_leaky_relus(graph: Graph) -> None:
    """Replace max(slope * x, x) with a slope below 1 by one node."""
    for node in [one for one in graph.nodes if one.op_type == "Max" and len(one.input) == 2]:
        scaled, other = graph.get_maker(node.input[0], "Mul"), node.input[1]
        if scaled is None:
            scaled, other = graph.get_maker(node.input[1], "Mul"), node.input[0]
        if scaled is None or other not in scaled.input or graph.count_uses()[scaled.output[0]] != 1:
            continue
        slopes = [graph.constants[name] for name in scaled.input if name in graph.constants]
        if len(slopes) == 1 and slopes[0].size == 1 and slopes[0].item() < 1:
            slope = float(slopes[0].item())
            graph.replace([scaled, node], helper.make_node("LeakyRelu", [other], list(node.output), alpha=slope))
