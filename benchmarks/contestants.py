"""Who takes part: a name for each way of training, and where its loop is written."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from benchmarks.data import WHOLE
from ms_gan_callbacks import UsageError
from ms_gan_callbacks.errors import suggest

CONTESTANTS = {
    "tutorial": "benchmarks.tutorial:paced",
    "runner": "benchmarks.ours:runner",
    "runner-plain": "benchmarks.ours:runner_plain",
    "runner-stock": "benchmarks.ours:runner_stock",
    "step": "benchmarks.ours:step",
    "layer": "benchmarks.ours:layer",
    "layer-stock": "benchmarks.ours:layer_stock",
    "torch": "benchmarks.peers:plain",
    "torch-best": "benchmarks.peers:best",
    "torch-joined": "benchmarks.peers:joined",
    "torch-compile": "benchmarks.peers:compiled",
    "torch-layer": "benchmarks.peers:layer",
    "network": "benchmarks.networks:network",
    "torch-network": "benchmarks.peer_networks:network",
    "floor": "benchmarks.floor:floor",
}


@dataclass(frozen=True)
class Entrant:
    """One worker process.

    Attributes:
        name: one of ``CONTESTANTS``.
        model: ``mlp``, ``dcgan``, ``unet``, ``residual``, or for layers ``conv`` and ``conv-transpose``.
        batch: images in a batch.
        count: images in an epoch.
    """

    name: str
    model: str = "mlp"
    batch: int = 32
    count: int = WHOLE

    @property
    def needs_torch(self) -> bool:
        """Whether it can only run where PyTorch is installed."""
        return self.name.startswith("torch") or self.name == "floor"

    def loop(self) -> Callable[..., Any]:
        """Import its loop, a function of the entrant and a gate."""
        module, _, function = CONTESTANTS[self.name].partition(":")
        loop: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return loop


def have_torch() -> bool:
    """Whether the optional peer is installed."""
    return find_spec("torch") is not None


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise UsageError unless all names are known."""
    known = list(known)
    for name in names:
        if name not in known:
            raise UsageError(f"there is nothing to measure named {name!r}; {suggest(name, known)}")
