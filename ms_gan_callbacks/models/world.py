"""World: the processes (ranks) that train one run together, each on its part of every batch.

::

    global batch and random inputs, the same on all ranks
        rank 0: part ──> gradients ─┐
        rank 1: part ──> gradients ─┴─ mean (one AllReduce for each player) ──> the same update on all ranks

The processes are started by ``ms-gan run --ranks N`` or by MindSpore's ``msrun``, which set environment variables;
:func:`join_world` reads them. In a single process no function of this module communicates.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.models.graph_mode import graph_mode
from ms_gan_callbacks.storage.environment import is_rank

PATIENCE = "MS_CPU_COMM_OP_TIMEOUT"
"""Seconds that a rank waits for the others in an AllReduce; 30 by default, less than an evaluation takes."""
WAIT_SECONDS = "1000000"
DIGITS = 8
"""Numbers of 16 bits that represent a value in comparisons of ranks; float32 is exact for their sums."""


class MeanOfRanks(nn.Cell):  # type: ignore[misc]
    """Returns the means over all ranks of tensors of any shapes, with one AllReduce.

    Args:
        size: number of ranks.
    """

    def __init__(self, size: int) -> None:
        super().__init__(auto_prefix=False)
        self.reduce, self.size = ops.AllReduce("sum"), size

    def construct(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the means, in the shapes of the tensors."""
        lengths = [tensor.size for tensor in tensors]
        total = self.reduce(ops.concat([tensor.reshape(-1) for tensor in tensors], 0)) / self.size
        parts = ops.split(total, lengths, 0)
        return tuple([part.reshape(tensor.shape) for part, tensor in zip(parts, tensors)])  # noqa: B905


class _Sum(nn.Cell):  # type: ignore[misc]
    """Returns the sum of a tensor over all ranks."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.reduce = ops.AllReduce("sum")

    def construct(self, values: Tensor) -> Tensor:
        """Return the sum."""
        return self.reduce(values)


def name_multiples(number: int, unit: int) -> str:
    """Return the multiples of a unit next to a number, such as "63 or 66"; 0 is left out."""
    below = number - number % unit
    return f"{below} or {below + unit}" if below else f"{unit}"


class World:
    """The ranks of a run, as one of them sees them.

    Args:
        rank: index of this process; rank 0 runs the callbacks, evaluates and saves.
        size: number of ranks.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self._sum: _Sum | None = None

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def check_divides(self, batch_size: int) -> None:
        """Raise UsageError unless a batch has the same number of rows for each rank."""
        if batch_size % self.size:
            raise UsageError(
                f"a batch of {batch_size} cannot be divided among {self.size} ranks: "
                f"choose a batch size of {name_multiples(batch_size, self.size)}"
            )

    def part(self, rows: NDArray[Any], batch_size: int) -> NDArray[Any]:
        """Return this rank's rows of an array with ``batch_size`` rows; other arrays unchanged."""
        if self.size == 1 or rows.shape[:1] != (batch_size,):
            return rows
        count = batch_size // self.size
        return rows[self.rank * count : (self.rank + 1) * count]

    def mean(self) -> Any:
        """Return the cell that computes means over ranks in a training step; None in a single process."""
        return None if self.size == 1 else MeanOfRanks(self.size)

    def agree(self, values: Sequence[float] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the sums of numbers over all ranks, after all of them have called this method."""
        numbers = np.asarray(values, np.float32)
        if self.size == 1:
            return numbers
        if self._sum is None:
            self._sum = _Sum()
        with graph_mode():
            total: NDArray[np.float32] = self._sum(Tensor(numbers)).asnumpy().copy()
        return total

    def share(self, text: str) -> str:
        """Return the text of rank 0."""
        if self.size == 1:
            return text
        mine = np.frombuffer(text.encode() if self.leads else b"", np.uint8).astype(np.float32)
        count = int(self.agree([len(mine)])[0])
        shared = self.agree(mine if self.leads else np.zeros(count, np.float32))
        return shared.astype(np.uint8).tobytes().decode()

    def same(self, facts: Mapping[str, str]) -> None:
        """Check that all ranks have the same facts, by name.

        Raises:
            UsageError: on all ranks, if one of them differs from rank 0; the message names it and the facts.
        """
        if self.size == 1:
            return
        table = np.zeros((self.size, len(facts), DIGITS), np.float32)
        for place, value in enumerate(facts.values()):
            table[self.rank, place] = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint16)[:DIGITS]
        gathered = self.agree(table.reshape(-1)).reshape(table.shape)
        for rank in range(1, self.size):
            wrong = [name for place, name in enumerate(facts) if (gathered[rank] != gathered[0])[place].any()]
            if wrong:
                raise UsageError(f"rank {rank} differs from rank 0 in: {', '.join(wrong)}")


_joined: list[World] = []
"""The ranks that this process has joined, if any."""


def get_world() -> World:
    """Return the ranks that this process has joined; one of a single process if it has not joined a job."""
    return _joined[0] if _joined else World()


def join_world() -> World:
    """Return the ranks of this process; in a job, the first call waits for the others.

    Call it before anything is written: in MindSpore's scheduler process, which executes the same program, it does
    not return until the job has ended.

    Raises:
        UsageError: the ranks cannot be connected.
    """
    if not _joined and is_rank():
        from mindspore import communication

        os.environ.setdefault(PATIENCE, WAIT_SECONDS)
        try:
            communication.init()
        except RuntimeError as error:
            raise UsageError(f"the ranks cannot be connected: {str(error).strip().splitlines()[0]}") from error
        if os.environ.get("GLOG_v") == "3":  # noqa: SIM112 - its name
            atexit.register(_hide_log)
        _joined.append(World(communication.get_rank(), communication.get_group_size()))
    return get_world()


def _hide_log() -> None:
    """Discard what MindSpore prints about its connections when it closes them, whatever the level of its log."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
