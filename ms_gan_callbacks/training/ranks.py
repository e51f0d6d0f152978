"""Agreement of the ranks of a run: rank 0 decides, and all ranks take the same steps and leave after the same one.

::

    rank 0                                     other ranks
        callbacks of step k, evaluation, saving    (wait)
        proceed() ────────── one AllReduce ─────── proceed()     learning rates, signals
        step k + 1 ───────── gradients ─────────── step k + 1
        ...
        leave(...) ───────── the same ──────────── proceed()     end, rollback or interruption
"""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import read_batches
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.errors import GanError
from ms_gan_callbacks.models.ema import STATISTICS
from ms_gan_callbacks.models.layers.synchronised import list_unsynchronised
from ms_gan_callbacks.models.mindspore_private import BatchNorm
from ms_gan_callbacks.models.optimizers import list_rate_parameters
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.models.settings import RECORDED_SETTINGS
from ms_gan_callbacks.models.world import World
from ms_gan_callbacks.storage.manifest import Manifest

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PER_RANK, SYNCHRONISED = "statistics of each rank's part of a batch", "statistics of the whole batch"
"""The statistics that batch normalisation uses in training."""
LIMB = 2**16
"""Whole numbers are sent in two parts below this limit: float32 is exact for them."""


class Order(IntEnum):
    """The order of rank 0 to the other ranks."""

    PROCEED = 0
    END = 1
    ROLL_BACK = 2
    INTERRUPT = 3
    START = 4


class Left(Exception):  # noqa: N818 - not an error
    """Rank 0 has ordered this rank to leave the loop.

    Args:
        order: the order.
        value: the step of a checkpoint plus 1, 0 for none, or the number of a signal.
    """

    def __init__(self, order: Order, value: int) -> None:
        super().__init__(order, value)
        self.order, self.value = order, value


class Agreement:
    """The exchange between ranks before each step; without effect in a single process.

    Args:
        ranks: the ranks of the run.
        players: the players, whose learning rates follow those of rank 0.

    Attributes:
        received: number of a signal that any rank has received, or None.
    """

    def __init__(self, ranks: World, players: Players) -> None:
        self.world, self._players = ranks, players
        optimizers = players.optimizers.values() if ranks.size > 1 else ()
        self._rates = [rate for one in optimizers for rate in list_rate_parameters(one)]
        self._exchanges = 0
        self.received: int | None = None

    def start(self, value: int = 0) -> int:
        """Return, on all ranks, the value of rank 0: the step of the checkpoint to restore plus 1, or 0."""
        return self.leave(Order.START, value)

    def check_weights(self) -> None:
        """Raise UsageError unless all ranks have the same weights."""
        if self.world.size > 1:
            self.world.same({"checkpoint": hash_weights(self._players)})

    def proceed(self, received: int | None = None) -> None:
        """Agree to take the next step; raise Left if rank 0 has ordered otherwise.

        Args:
            received: number of a signal that this rank has received, or None.
        """
        if self.world.size > 1:
            self._exchange(Order.PROCEED, 0, received)

    def leave(self, order: Order, value: int = 0) -> int:
        """Order the other ranks to leave the loop; they wait for the order. Return its value on all ranks.

        Raises:
            Left: on the other ranks, if the order is another one.
        """
        return self._exchange(order, value, None) if self.world.size > 1 else value

    def _exchange(self, order: Order, value: int, received: int | None) -> int:
        self._exchanges += 1
        leads, place = self.world.leads, self._exchanges % LIMB
        rates = [float(rate.asnumpy().reshape(-1)[0]) for rate in self._rates]
        flags = [received == number for number in SIGNALS]
        ordered = [float(order), float(value // LIMB), float(value % LIMB), *rates]
        total = self.world.agree([place, *flags, *(ordered if leads else np.zeros(len(ordered)))])
        if total[0] != place * self.world.size:
            raise GanError("the ranks are at different steps: a rank has called train() more often than another")
        if flagged := [int(number) for number, count in zip(SIGNALS, total[1:3], strict=True) if count]:
            self.received = flagged[0]
        ordered_value = int(total[4]) * LIMB + int(total[5])
        if leads:
            return value
        self._follow_rates(rates, total[6:])
        if total[3] != order:
            raise Left(Order(int(total[3])), ordered_value)
        return ordered_value

    def _follow_rates(self, mine: list[float], leading: NDArray[np.float32]) -> None:
        for rate, old, new in zip(self._rates, mine, leading, strict=True):
            if np.float32(old) != new:
                ops.assign(rate, Tensor(np.full(rate.shape, new, np.float32)))


def check_same(world: World, players: Players, manifest: Manifest, source: Source) -> None:
    """Raise UsageError, naming the rank and the difference, unless all ranks are about to do the same."""
    if world.size > 1:
        world.same(dict(_list_facts(players, manifest, source)))


def _list_facts(players: Players, manifest: Manifest, source: Source) -> Iterator[tuple[str, str]]:
    """Yield the facts that must be the same on all ranks, as text, with their names for messages."""
    yield "recipe", manifest.recipe_sha256 or ""
    yield "argument of the recipe", json.dumps(manifest.facts.get("arguments"), default=repr, sort_keys=True)
    yield "version of a package", json.dumps(manifest.versions, sort_keys=True)
    yield "MindSpore variable", json.dumps(manifest.environment, sort_keys=True)
    yield "device", manifest.device or ""
    settings = {name: manifest.facts.get(name) for name in (*RECORDED_SETTINGS, "epochs", "accelerated")}
    yield "setting", json.dumps(settings, default=repr, sort_keys=True)
    yield "seed", str(manifest.seed)
    yield "batch size", str(source.batch_size)
    yield "data", f"{source.count} {source.sha256() or _hash_batch(source, players.seed)}"
    yield "set of labels", manifest.data.labels_sha256 or ""
    yield "set of initial weights", hash_weights(players)


def _hash_batch(source: Source, seed: int) -> str:
    """Return the digest of the first batch of a source without a digest."""
    return _hash_arrays(next(read_batches(source, seed, 1)))


def hash_weights(players: Players) -> str:
    """Return the digest of all Parameters except moving statistics, which may differ between ranks."""
    weights = players.weights(copy=False)
    return _hash_arrays({name: values for name, values in weights.items() if not name.endswith(STATISTICS)})


def _hash_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        rows = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {rows.dtype} {rows.shape}".encode() + rows.tobytes())
    return digest.hexdigest()


def describe_ranks(players: Players) -> dict[str, Any]:
    """Return the entries of ``run.json`` about the ranks; none in a single process."""
    if players.world.size == 1:
        return {}
    cells = [cell for network in players.networks.values() for _, cell in network.cells_and_names()]
    normalises = any(isinstance(cell, BatchNorm) for cell in cells)
    own = [name for network in players.networks.values() for name in list_unsynchronised(network)]
    statistics = PER_RANK if own else SYNCHRONISED if normalises else None
    return {"ranks": players.world.size, "batch_norm": statistics}
