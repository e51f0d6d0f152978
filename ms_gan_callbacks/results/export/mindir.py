"""Files in MindSpore's format MINDIR, with an open batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.models.graph_mode import graph_mode
from ms_gan_callbacks.results.export.ports import Port
from ms_gan_callbacks.results.export.subject import Subject

Run = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]
"""Returns the images that a file makes of inputs, by name."""


def write_mindir(subject: Subject, path: Path, facts: Mapping[str, str]) -> tuple[Port, ...]:
    """Write a file with facts in ``user_info``; return its inputs: those on which the images depend."""
    used: list[Port] = []

    def edit(model: Any) -> None:
        used.extend(_edit(model, subject.inputs))
        for name, value in facts.items():
            model.user_info[name] = value
        for port in (*used, subject.output):
            model.user_info[port.name] = port.describe()

    inputs = [Tensor(shape=[None, *port.shape], dtype=getattr(ms, port.dtype)) for port in subject.inputs]
    with graph_mode():
        ms.export(subject.build(), *inputs, file_name=str(path), file_format="MINDIR", custom_func=edit)
    if not path.is_file():
        raise UsageError("the generator is too large for one MINDIR file")
    return tuple(used)


def _edit(model: Any, ports: tuple[Port, ...]) -> list[Port]:
    """Name the inputs of a model, and remove inputs and Parameters that it does not use; return its inputs."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    names = {one.name: port for one, port in zip(graph.input, ports, strict=True)}
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = names[name].name
    for entries in (graph.input, graph.parameter):
        for entry in [one for one in entries if one.name not in used]:
            entries.remove(entry)
    kept = [names[one.name] for one in graph.input]
    for one, port in zip(graph.input, kept, strict=True):
        one.name = port.name
    return kept


def load_mindir(path: Path, inputs: tuple[Port, ...]) -> Run:
    """Return a function that makes images with a file."""
    with graph_mode():
        cell = nn.GraphCell(ms.load(str(path)))

    def run(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        with graph_mode():
            images = cell(*[Tensor(arrays[port.name]) for port in inputs])
        return images.asnumpy().copy()  # type: ignore[no-any-return]

    return run
