"""A step's numbers, left on the device until somebody reads them, and their means over an epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mindspore import Tensor

COUNTERS = ("step", "epoch", "epoch_means")
"""What every line of the log has."""


def find_name_fault(name: object) -> str | None:
    """Return why a number cannot be published under a name, as a clause; None where it can.

    The one rule for metrics, for what callbacks log and say that they publish, and for the outputs of a network.
    """
    if not isinstance(name, str):
        return f"a name is text, not {name!r}"
    if not name.isprintable() or name != " ".join(name.split()) or not name:
        return f"{name!r} is no name: one is printed in a line, with single spaces inside at most"
    if name in COUNTERS:
        return f"{name!r} is what every line of the log has; take another name"
    return None


def find_clash(name: str, group: str, of_step: Collection[str], metrics: Collection[str]) -> str | None:
    """Return what a name that a callback logs stands for already, as a clause; None where it is free.

    Args:
        name: a number's, or with a slash a whole tag of TensorBoard.
        group: what the step's scalars stand under there.
        of_step: the names of these.
        metrics: the names of metrics.
    """
    folder, slash, rest = name.partition("/")
    if name in of_step or (folder == group and rest in of_step):
        return f"{name!r} is a scalar of every step; take another name"
    if name in metrics or (folder == "metrics" and rest in metrics):
        return f"{name!r} is a metric of this run; take another name"
    if slash and folder in ("optimizer", "performance"):
        return f"TensorBoard has curves of its own under {folder}/; take another name"
    return None


class Log:
    """What callbacks log at one event.

    Attributes:
        numbers: the numbers, by name.
        images: the pictures.
        newest: the newest value of every number, of this event or an older one.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.images: dict[str, NDArray[np.uint8]] = {}
        self.newest: dict[str, float] = {}
        self._entries: list[tuple[str, float | NDArray[np.uint8]]] = []
        self._seen: dict[int, int] = {}  # how many of them, by who has seen them

    def add(self, name: str, value: Any) -> None:
        """Take a number or a picture in.

        Raises:
            TypeError: it is neither.
        """
        if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (2, 3):
            self.images[name] = value
        elif isinstance(value, (bool, int, float, np.number)):
            value = self.numbers[name] = self.newest[name] = float(value)
        else:
            kind = f"{value.dtype} array of shape {value.shape}" if hasattr(value, "dtype") else type(value)
            raise TypeError(f"run.log({name}=...) takes a number or a uint8 picture, not {kind}")
        self._entries.append((name, value))

    def unseen(self, reader: object) -> tuple[dict[str, float], dict[str, NDArray[np.uint8]]]:
        """Return the numbers and pictures that were logged since a reader asked last."""
        new = self._entries[self._seen.get(id(reader), 0) :]
        self._seen[id(reader)] = len(self._entries)
        pictures = {name: value for name, value in new if isinstance(value, np.ndarray)}
        return {name: value for name, value in new if not isinstance(value, np.ndarray)}, pictures

    def forget(self) -> None:
        """Let go of all but the newest numbers."""
        self.numbers.clear()
        self.images.clear()
        self._entries.clear()
        self._seen.clear()


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

    @property
    def names(self) -> tuple[str, ...]:
        """Whose means these are: what a step publishes, also before the first."""
        return self._names

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
