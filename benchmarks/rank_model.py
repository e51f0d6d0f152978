"""A model of the time of a step divided among ranks: when more processes pay.

::

    step(N) = compute(batch / N) + sum over messages of
              latency * ceil(log2 N) + 2 (N - 1) / N * bytes / bandwidth + bytes / copying

The messages of a step are the gradients of each player, the scalars, and the agreement of the ranks. All parts are
measured apart from the runs that the model predicts: compute by independent processes that train at the same time
without communication, latency and bandwidth by AllReduces of tensors, and copying, which is the work of joining a
player's gradients, dividing them and splitting them again, by the same without the AllReduce.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SMALL_MESSAGES = (20, 40)
"""Bytes of the scalars and of the agreement."""


class Link(NamedTuple):
    """A connection between ranks.

    Attributes:
        latency: seconds of an AllReduce of one number between two ranks.
        bandwidth: bytes per second.
        copying: bytes per second at which a rank joins, divides and splits the tensors of a message.
    """

    latency: float
    bandwidth: float
    copying: float

    def time(self, size: float, ranks: int) -> float:
        """Return the seconds of one AllReduce of ``size`` bytes among ranks."""
        if ranks == 1:
            return 0.0
        sent = self.latency * math.ceil(math.log2(ranks)) + 2 * (ranks - 1) / ranks * size / self.bandwidth
        return sent + size / self.copying


CLUSTERS: Mapping[str, tuple[float, float]] = {
    "10 Gb/s Ethernet": (50e-6, 1.1e9),
    "100 Gb/s RDMA": (10e-6, 11e9),
}
"""Latency and bandwidth of typical links, by their data sheets; not measured here."""


def fit_link(samples: Sequence[tuple[int, float]], copying: float) -> Link:
    """Return the link for AllReduces of two ranks, as (bytes, seconds) each; relative errors are minimised."""
    sizes, seconds = (np.array(column, float) for column in zip(*samples, strict=True))
    rows = np.stack([1 / seconds, sizes / seconds], axis=1)
    latency, per_byte = np.linalg.lstsq(rows, np.ones(len(seconds)), rcond=None)[0]
    return Link(max(float(latency), 1e-7), 1 / max(float(per_byte) - 1 / copying, 1e-15), copying)


@dataclass(frozen=True)
class Step:
    """A step of one rank.

    Attributes:
        compute: seconds for its part of the batch, without communication.
        gradients: bytes of the gradients of each player.
    """

    compute: float
    gradients: tuple[int, ...]

    def communicate(self, ranks: int, link: Link) -> float:
        """Return the seconds of communication in a step."""
        return sum(link.time(size, ranks) for size in (*self.gradients, *SMALL_MESSAGES))

    def predict(self, ranks: int, link: Link) -> float:
        """Return the seconds of a step among ranks, each with the same part of a batch."""
        return self.compute + self.communicate(ranks, link)

    def efficiency(self, ranks: int, link: Link) -> float:
        """Return the share of its time that a rank computes."""
        return self.compute / self.predict(ranks, link)
