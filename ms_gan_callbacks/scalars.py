"""A step's numbers, left on the device until somebody reads them, and their means over an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mindspore import Tensor


class Scalars(Mapping[str, float]):
    """The scalars of the step at hand, left on the device until somebody reads one."""

    def __init__(self) -> None:
        self._names: Sequence[str] = ()
        self._pending: Tensor | None = None
        self._host: dict[str, float] = {}

    def publish(self, names: Sequence[str], values: Tensor) -> None:
        """Replace all scalars by those of a new step: ``values`` of shape (len(names),)."""
        self._names, self._pending, self._host = names, values, {}

    def add(self, values: Mapping[str, float]) -> None:
        """Add values that are on the host already."""
        self._read().update(values)

    def of_step(self) -> dict[str, float]:
        """Return the scalars that the step itself published, without what was added."""
        values = self._read()
        return {name: values[name] for name in self._names}

    def _read(self) -> dict[str, float]:
        if self._pending is not None:
            self._host = dict(zip(self._names, map(float, self._pending.asnumpy()), strict=True))
            self._pending = None
        return self._host

    def __getitem__(self, name: str) -> float:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


class EpochMeans(Mapping[str, float]):
    """The mean of every scalar over the epoch so far, read from the device in bunches."""

    BUNCH = 256

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._pending: list[Tensor] = []
        self.restart()

    def restart(self) -> None:
        """Forget everything: a new epoch begins."""
        self._pending.clear()
        self._sums, self._count = np.zeros(len(self._names)), 0

    def add(self, values: Tensor) -> None:
        """Take in one step's scalars, in the order of the names."""
        self._pending.append(values)
        if len(self._pending) >= self.BUNCH:
            self._drain()

    def _drain(self) -> None:
        # One by one and in order, so that the sums do not depend on when somebody looked.
        for values in self._pending:
            self._sums = self._sums + values.asnumpy().astype(np.float64)
        self._count += len(self._pending)
        self._pending.clear()

    def state(self) -> dict[str, Any]:
        """Return what continues the means exactly, as JSON values."""
        self._drain()
        return {"sums": self._sums.tolist(), "count": self._count}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self._pending.clear()
        self._sums, self._count = np.asarray(state["sums"], np.float64), int(state["count"])

    def __getitem__(self, name: str) -> float:
        if name not in self._names or len(self) == 0:
            raise KeyError(name)
        return float(self._sums[self._names.index(name)] / self._count)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names if len(self) else ())

    def __len__(self) -> int:
        self._drain()
        return len(self._names) if self._count else 0
