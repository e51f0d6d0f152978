"""Weights for PyTorch in the format safetensors, and the source of a module that loads them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ms_gan_callbacks.results.export.mindir import Run
from ms_gan_callbacks.results.export.onnx_file import make_graph
from ms_gan_callbacks.results.export.ports import Port
from ms_gan_callbacks.results.export.subject import Subject
from ms_gan_callbacks.results.export.torch_module import Module
from ms_gan_callbacks.storage.tensors import write_tensors


def write_weights(subject: Subject, path: Path, facts: Mapping[str, str]) -> tuple[Port, ...]:
    """Write weights with facts in their metadata, and a module next to them; return the module's inputs."""
    graph, inputs = make_graph(subject)
    graph.inputs = [port.name for port in inputs]
    module = Module(graph, graph.to_model(inputs, subject.output, {}))
    ports = {port.name: port.describe() for port in (*inputs, subject.output)}
    write_tensors(path, module.weights, {**facts, **ports})
    title = f"The generator of {facts['recipe']}, step {facts['step']}, as a PyTorch module"
    path.with_suffix(".py").write_text(module.write(title, inputs, subject.output, path.name), encoding="utf-8")
    return inputs


def load_weights(path: Path, inputs: tuple[Port, ...]) -> Run:
    """Return a function that makes images with a module and its weights, in PyTorch."""
    import torch

    spec = importlib.util.spec_from_file_location("ms_gan_exported", path.with_suffix(".py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    generator = module.load()

    def run(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        with torch.no_grad():
            return generator(*[torch.from_numpy(arrays[port.name]) for port in inputs]).numpy()  # type: ignore[no-any-return]

    return run
