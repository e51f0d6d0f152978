"""Files in the format ONNX, with an open batch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import onnx
from mindspore import Tensor
from numpy.typing import NDArray

from ms_gan_callbacks.models.graph_mode import graph_mode
from ms_gan_callbacks.results.export.graph import Graph
from ms_gan_callbacks.results.export.graph_edits import BATCH, edit
from ms_gan_callbacks.results.export.mindir import Run
from ms_gan_callbacks.results.export.ports import Port
from ms_gan_callbacks.results.export.subject import Subject


def make_graph(subject: Subject) -> tuple[Graph, tuple[Port, ...]]:
    """Return the graph of a generator and its inputs: those on which the images depend."""
    cell = subject.build()
    parameters = [parameter.name for parameter in cell.get_parameters()]
    inputs = [Tensor(np.zeros((BATCH, *port.shape), port.dtype)) for port in subject.inputs]
    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder, graph_mode():
        path = Path(folder, "generator.onnx")
        ms.export(cell, *inputs, file_name=str(path), file_format="ONNX")
        model = onnx.load(path)
    graph = Graph(model, parameters)
    names = [port.name for port in subject.inputs]
    edit(graph, names, subject.output.name, subject.shorten(list(graph.weights)))
    uses = graph.count_uses()
    graph.weights = {name: value for name, value in graph.weights.items() if uses[name]}
    return graph, tuple(port for port in subject.inputs if uses[port.name])


def write_onnx(subject: Subject, path: Path, facts: Mapping[str, str]) -> tuple[Port, ...]:
    """Write a file with facts in its metadata; return its inputs."""
    graph, inputs = make_graph(subject)
    onnx.save(graph.to_model(inputs, subject.output, facts), path)
    return inputs


def load_onnx(path: Path, inputs: tuple[Port, ...]) -> Run:
    """Return a function that makes images with a file, in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        [images] = session.run(None, {port.name: arrays[port.name] for port in inputs})
        return images  # type: ignore[no-any-return]

    return run
