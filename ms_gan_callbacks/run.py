"""What a callback sees of a run: where it stands, what it measured, and three things it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.streams import stream

if TYPE_CHECKING:
    from mindspore import Tensor, nn

Floats = NDArray[np.float32]


@dataclass
class Progress:
    """The counters of a run. ``step`` counts real batches, whatever each player does with them.

    Attributes:
        epochs: how many epochs the run is asked to have in all.
        steps_per_epoch: whole batches in one pass over the data.
        step: the step at hand, from 1; 0 before the first.
        epoch: the epoch at hand, from 1; 0 before the first.
        d_updates: updates of the discriminator so far.
        g_updates: updates of the generator so far.
    """

    epochs: int
    steps_per_epoch: int
    step: int = 0
    epoch: int = 0
    d_updates: int = 0
    g_updates: int = 0

    @property
    def next_epoch(self) -> int:
        """The epoch that the next batch belongs to."""
        return self.step // self.steps_per_epoch + 1

    def begin(self, epoch: int) -> int:
        """Enter an epoch; return how many of its batches have been consumed already."""
        self.epoch = epoch
        return self.step - (epoch - 1) * self.steps_per_epoch

    @property
    def ends_epoch(self) -> bool:
        """Whether the step at hand is its epoch's last."""
        return self.step > 0 and self.step % self.steps_per_epoch == 0


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


@dataclass
class Requests:
    """What callbacks have asked for since the runner last looked."""

    stop_reason: str | None = None
    checkpoints: dict[str, int | None] = field(default_factory=dict)  # how many to keep, by who asked


@dataclass
class Run:
    """A run as its callbacks see it: read what you like, ask for what you need.

    Attributes:
        out_dir: the run's own folder.
        seed: the seed that every random number of the run follows from.
        noise_dim: length of one noise vector.
        generator: the generator's cell (None where there is no network, as in tests of callbacks).
        discriminator: the discriminator's cell, likewise.
        scalars: the scalars of the step at hand: ``d_loss``, ``g_loss``, ``d_real``, ``d_fake``, ``value`` and
            what callbacks have logged. Reading one waits for the device.
        epoch_means: the mean of the step's scalars over the epoch so far.
        metrics: the newest result of every quality metric.
        logged: the numbers that callbacks logged since the last event.
        images: the pictures that callbacks logged since the last event, uint8, (H, W) or (H, W, 3).
        facts: what the run was made of: recipe, arguments, versions, data (the content of ``run.json``).
        recipe_source: the text of the recipe, where there is one.
        monitors: every name that a callback may monitor.
        checkpoint: the newest checkpoint's folder, once there is one.
    """

    progress: Progress
    out_dir: Path
    seed: int = 0
    noise_dim: int = 1
    generator: nn.Cell | None = None
    discriminator: nn.Cell | None = None
    generate: Callable[[Floats], Floats] = field(default=lambda noise: noise, repr=False)
    learning_rates: Callable[[], dict[str, float]] = field(default=dict, repr=False)
    scalars: Scalars = field(default_factory=Scalars)
    epoch_means: EpochMeans = field(default_factory=lambda: EpochMeans(()))
    metrics: dict[str, float] = field(default_factory=dict)
    logged: dict[str, float] = field(default_factory=dict)
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    recipe_source: str | None = None
    monitors: frozenset[str] = frozenset()
    checkpoint: Path | None = None
    requests: Requests = field(default_factory=Requests, repr=False)

    @property
    def step(self) -> int:
        """The step at hand, from 1: how many real batches have been used."""
        return self.progress.step

    @property
    def steps(self) -> int:
        """How many steps the run is asked to have in all."""
        return self.progress.epochs * self.progress.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the data."""
        return self.progress.steps_per_epoch

    @property
    def epoch(self) -> int:
        """The epoch at hand, from 1."""
        return self.progress.epoch

    @property
    def epochs(self) -> int:
        """How many epochs the run is asked to have in all."""
        return self.progress.epochs

    @property
    def d_updates(self) -> int:
        """How often the discriminator has been updated."""
        return self.progress.d_updates

    @property
    def g_updates(self) -> int:
        """How often the generator has been updated."""
        return self.progress.g_updates

    @property
    def stop_reason(self) -> str | None:
        """Why a callback asked the run to end, if one did."""
        return self.requests.stop_reason

    def noise(self, count: int, name: str = "preview") -> Floats:
        """Return ``count`` noise vectors, shape (count, noise_dim), N(0, 1): the same for a name, always."""
        return stream(self.seed, name, 0).standard_normal((count, self.noise_dim), dtype=np.float32)

    def sample(self, count: int, name: str = "preview") -> Floats:
        """Return ``count`` generated images, (count, C, H, W) in [-1, 1], from :meth:`noise` of that name."""
        return self.generate(self.noise(count, name))

    def log(self, values: Mapping[str, Any] | None = None, /, **named: float | NDArray[np.uint8]) -> None:
        """Publish numbers, and pictures as uint8 arrays, at the step at hand, by name or as a mapping.

        Raises:
            ValueError: a name is taken by the run's counters.
            TypeError: a value is neither a number nor a uint8 array of shape (H, W) or (H, W, 3).
        """
        for name, value in {**(values or {}), **named}.items():
            if name in ("step", "epoch", "epoch_means"):
                raise ValueError(
                    f"run.log({name}=...): {name!r} is what every line of the log has; take another name"
                )
            if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (2, 3):
                self.images[name] = value
            elif isinstance(value, (bool, int, float, np.number)):
                self.logged[name] = float(value)
            else:
                kind = f"{value.dtype} array of shape {value.shape}" if hasattr(value, "dtype") else type(value)
                raise TypeError(f"run.log({name}=...) takes a number or a uint8 picture, not {kind}")
        self.scalars.add(self.logged)

    def forget_logged(self) -> None:
        """Let go of what was logged; the runner does so once an event's writers have seen it."""
        self.logged.clear()
        self.images.clear()

    def stop(self, reason: str) -> None:
        """Ask the run to end after this step; the first reason given is the one that is kept."""
        self.requests.stop_reason = self.requests.stop_reason or reason

    def request_checkpoint(self, keep: int | None = None, owner: str = "") -> None:
        """Ask for a checkpoint once this step's events are delivered.

        Args:
            keep: how many checkpoints asked for by this owner may stay, the newest first; None keeps all.
            owner: whose they are: nobody's wish removes what another owner keeps.
        """
        self.requests.checkpoints[owner] = keep
