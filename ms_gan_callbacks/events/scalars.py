"""Scalars of a step, read from the device on demand, their epoch means, and values logged by callbacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mindspore import Tensor

COUNTERS = ("step", "epoch", "epoch_means")
"""The keys of the log that are reserved."""


def find_name_fault(name: object) -> str | None:
    """Return the reason if a name is invalid for a metric, a logged value or a network output, otherwise None."""
    if not isinstance(name, str):
        return f"a name must be a string, not {name!r}"
    if not name.isprintable() or name != " ".join(name.split()) or not name:
        return f"{name!r} is not a valid name: use printable characters, with single spaces between words"
    if name in COUNTERS:
        return f"{name!r} is a reserved key of the log; choose another name"
    return None


def find_clash(name: str, group: str, of_step: Collection[str], metrics: Collection[str]) -> str | None:
    """Return the reason if a callback cannot log a name, or TensorBoard tag, that is already used; otherwise None.

    The step's scalars, ``of_step``, have the prefix ``group`` in TensorBoard.
    """
    folder, slash, rest = name.partition("/")
    if name in of_step or (folder == group and rest in of_step):
        return f"{name!r} is a scalar of every step; choose another name"
    if name in metrics or (folder == "metrics" and rest in metrics):
        return f"{name!r} is a metric of this run; choose another name"
    if slash and folder in ("optimizer", "performance"):
        return f"the TensorBoard group {folder}/ is reserved; choose another name"
    return None


class Log:
    """Values logged by callbacks at the current event.

    Attributes:
        numbers: logged numbers by name.
        images: logged images by name.
        newest: the most recent value of every number, including earlier events.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.images: dict[str, NDArray[np.uint8]] = {}
        self.newest: dict[str, float] = {}
        self._entries: list[tuple[str, float | NDArray[np.uint8]]] = []
        self._seen: dict[int, int] = {}  # number of entries already returned, by id of the reader

    def add(self, name: str, value: Any) -> None:
        """Add a number or an image; of an image (H, W, 1) the plane (H, W) is kept.

        Raises:
            TypeError: the value is neither.
        """
        if isinstance(value, np.ndarray) and value.ndim == 3 and value.shape[2] == 1:
            value = value[..., 0]
        if _is_image(value):
            self.images[name] = value
        elif isinstance(value, (bool, int, float, np.number)):
            value = self.numbers[name] = self.newest[name] = float(value)
        else:
            kind = f"{value.dtype} array of shape {value.shape}" if hasattr(value, "dtype") else type(value)
            raise TypeError(
                f"run.log({name}=...) takes a number or a uint8 image of shape (H, W) or (H, W, 3), not {kind}"
            )
        self._entries.append((name, value))

    def unseen(self, reader: object) -> tuple[dict[str, float], dict[str, NDArray[np.uint8]]]:
        """Return the numbers and images logged since the reader's last call."""
        new = self._entries[self._seen.get(id(reader), 0) :]
        self._seen[id(reader)] = len(self._entries)
        images = {name: value for name, value in new if isinstance(value, np.ndarray)}
        return {name: value for name, value in new if not isinstance(value, np.ndarray)}, images

    def forget(self) -> None:
        """Clear everything except ``newest``."""
        self.numbers.clear()
        self.images.clear()
        self._entries.clear()
        self._seen.clear()


def _is_image(value: Any) -> bool:
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or not value.size:
        return False
    return value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3)


class Scalars(Mapping[str, float]):
    """Scalars of the current step, copied from the device on first access."""

    def __init__(self) -> None:
        self._names: Sequence[str] = ()
        self._pending: Tensor | None = None
        self._host: dict[str, float] = {}

    def publish(self, names: Sequence[str], values: Tensor) -> None:
        """Replace all scalars with those of a new step: ``values`` of shape (len(names),)."""
        self._names, self._pending, self._host = names, values, {}

    def add(self, values: Mapping[str, float]) -> None:
        """Add values that are already on the host."""
        self._read().update(values)

    def of_step(self) -> dict[str, float]:
        """Return the step's own scalars, without added values."""
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
    """Mean of every scalar over the epoch so far, read from the device in batches."""

    BUNCH = 256

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._pending: list[Tensor] = []
        self.restart()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scalars that every step publishes, also before the first step."""
        return self._names

    def restart(self) -> None:
        """Reset the means at the beginning of an epoch."""
        self._pending.clear()
        self._sums, self._count = np.zeros(len(self._names)), 0

    def add(self, values: Tensor) -> None:
        """Add one step's scalars, in the order of the names."""
        self._pending.append(values)
        if len(self._pending) >= self.BUNCH:
            self._drain()

    def _drain(self) -> None:
        # One by one and in order, so that the sums do not depend on when the means are read.
        for values in self._pending:
            self._sums = self._sums + values.asnumpy().astype(np.float64)
        self._count += len(self._pending)
        self._pending.clear()

    def state(self) -> dict[str, Any]:
        """Return the sums and the count as JSON values."""
        self._drain()
        return {"sums": self._sums.tolist(), "count": self._count}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a value returned by :meth:`state`."""
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
