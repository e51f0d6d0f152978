"""What a callback sees of a run: where it stands, what it measured, and what it may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.rng import noise
from ms_gan_callbacks.errors import CallbackError
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.scalars import EpochMeans, Log, Scalars, find_clash, find_name_fault
from ms_gan_callbacks.storage.manifest import Manifest

if TYPE_CHECKING:
    from mindspore import nn

Floats = NDArray[np.float32]


def _no_images(count: int) -> Floats:
    raise CallbackError("this run has no real images")


@dataclass(frozen=True)
class RollBack:
    """A wish to give up what the players have become, and to go on from what they were.

    Attributes:
        reason: why, in words.
        healthy: the last step whose state is known to be good; 0 for the beginning.
        learning_rate: what both players' learning rates are multiplied by.
    """

    reason: str
    healthy: int
    learning_rate: float = 1.0


@dataclass
class Requests:
    """What callbacks have asked for since the runner last looked."""

    stop_reason: str | None = None
    checkpoints: dict[str, int | None] = field(default_factory=dict)  # how many to keep, by who asked
    roll_back: RollBack | None = None
    end_with: int | None = None


@dataclass
class Run:
    """A run as its callbacks see it: read what you like, ask for what you need.

    Attributes:
        out_dir: the run's own folder.
        seed: the seed that every random number of the run follows from.
        noise_dim: length of one noise vector.
        generator: the generator's cell (None where there is no network, as in tests of callbacks).
        discriminator: the discriminator's cell, likewise.
        train_network: the cell whose call is a training step: both players, both optimizers; None likewise.
        scalars: the scalars of the step at hand: ``d_loss``, ``g_loss``, ``d_real``, ``d_fake``, ``value`` and
            what callbacks have logged. Reading one waits for the device.
        epoch_means: the mean of the step's scalars over the epoch so far.
        metrics: the newest result of every quality metric.
        metric_noise: asked by name, the standard error of a metric's newest result; 0 where there is none.
        group: what its curves stand under.
        classes: how many classes a conditional run has; None of any other.
        critic: whether ``d_real`` and ``d_fake`` are means of a critic's scores, without bounds, and not of
            probabilities; ``value`` is their difference then.
        manifest: what the run was made of: recipe, arguments, versions, data (the content of ``run.json``).
        recipe_source: the text of the recipe, where there is one.
        monitors: every name that a callback may monitor.
        metric_names: those of them that are metrics.
        better: which way a metric is better, "min" or "max", where it says so.
        evaluate_every: when they are measured, an ``Every``; None where that is not known.
        checkpoint: the newest checkpoint's folder, once there is one.
        rollbacks: how often the run has gone back to an older state, and why: the oldest first, each with
            ``step``, ``to_step``, ``reason`` and ``learning_rate``.
    """

    progress: Progress
    out_dir: Path
    seed: int = 0
    noise_dim: int = 1
    generator: nn.Cell | None = None
    discriminator: nn.Cell | None = None
    train_network: nn.Cell | None = None
    generate: Callable[..., Floats] = field(default=lambda noise: noise, repr=False)
    draw_real: Callable[[int], Floats] = field(default=_no_images, repr=False)
    learning_rates: Callable[[], dict[str, float]] = field(default=dict, repr=False)
    scale_learning_rates: Callable[[float], None] = field(default=lambda factor: None, repr=False)
    scalars: Scalars = field(default_factory=Scalars)
    epoch_means: EpochMeans = field(default_factory=lambda: EpochMeans(()))
    metrics: dict[str, float] = field(default_factory=dict)
    metric_noise: Callable[[str], float] = field(default=lambda name: 0.0, repr=False)
    group: str = "gan"
    classes: int | None = None
    critic: bool = False
    manifest: Manifest = field(default_factory=Manifest)
    recipe_source: str | None = None
    monitors: frozenset[str] = frozenset()
    metric_names: frozenset[str] = frozenset()
    better: Mapping[str, Literal["min", "max"]] = field(default_factory=dict)
    evaluate_every: Any = None
    checkpoint: Path | None = None
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    requests: Requests = field(default_factory=Requests, repr=False)
    _log: Log = field(default_factory=Log, repr=False)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the run was made of, by the keys of ``run.json``; it cannot be changed."""
        return self.manifest.facts

    @property
    def logged(self) -> dict[str, float]:
        """The numbers that callbacks have logged at the event at hand."""
        return self._log.numbers

    @property
    def images(self) -> dict[str, NDArray[np.uint8]]:
        """The pictures that they have, uint8, (H, W) or (H, W, 3)."""
        return self._log.images

    @property
    def newest_logged(self) -> dict[str, float]:
        """The newest value of every number that was logged."""
        return self._log.newest

    @property
    def step(self) -> int:
        """The step at hand, from 1: how many real batches have been used."""
        return self.progress.step

    @property
    def steps(self) -> int:
        """How many steps the run is asked to have in all."""
        return self.progress.steps

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
    def ends_epoch(self) -> bool:
        """Whether the step at hand is its epoch's last."""
        return self.progress.ends_epoch

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
        return noise(self.seed, name, 0, count, self.noise_dim)

    def sample(self, count: int, name: str = "preview") -> Floats:
        """Return ``count`` generated images, (count, C, H, W) in [-1, 1], from :meth:`noise` of that name.

        In a conditional run their classes are 0, 1, 2 and so on, in turn; ``generate(noise, labels)`` takes
        others. Where the generator normalises by the batch's statistics in evaluation, too, a picture depends on
        the batch it is drawn with.
        """
        return self.generate(self.noise(count, name))

    def real(self, count: int) -> Floats:
        """Return ``count`` real images, (count, C, H, W) in [-1, 1]: the same ones, always.

        Raises:
            DataError: an epoch has fewer.
        """
        return self.draw_real(count)

    def log(self, values: Mapping[str, Any] | None = None, /, **named: float | NDArray[np.uint8]) -> None:
        """Publish numbers, and pictures as uint8 arrays, at the step at hand, by name or as a mapping.

        Raises:
            ValueError: a name cannot be one, or is taken: by the run's counters, a scalar of every step, a metric.
            TypeError: a value is neither a number nor a uint8 array of shape (H, W) or (H, W, 3).
        """
        for name, value in {**(values or {}), **named}.items():
            if fault := self._find_fault(name, value):
                raise ValueError(f"run.log({name}=...): {fault}")
            self._log.add(name, value)
        self.scalars.add(self.logged)

    def _find_fault(self, name: str, value: Any) -> str | None:
        if (fault := find_name_fault(name)) or isinstance(value, np.ndarray):
            return fault
        return find_clash(name, self.group, self.epoch_means.names, {*self.metric_names, *self.metrics})

    def unseen(self, reader: object) -> tuple[dict[str, float], dict[str, NDArray[np.uint8]]]:
        """Return the numbers and pictures that were logged since a reader asked last, at the event at hand."""
        return self._log.unseen(reader)

    def forget_logged(self) -> None:
        """Let go of what was logged; the bus does so once everybody has seen it."""
        self._log.forget()

    def stop(self, reason: str) -> None:
        """Ask the run to end after this step; the first reason given is the one that is kept."""
        self.requests.stop_reason = self.requests.stop_reason or reason

    def roll_back(self, reason: str, healthy: int, learning_rate: float = 1.0) -> None:
        """Ask to go back, after this step, to the newest checkpoint that is whole and of a healthy step.

        From there the run goes on with other noise: with the same it would come to the same end. The first wish of
        a step is the one that is kept. Whoever asks must give up some time: ``rollbacks`` tells how often it was.

        Args:
            reason: why, in words.
            healthy: the last step whose state is known to be good.
            learning_rate: what to multiply both players' learning rates by, more than 0.
        """
        self.requests.roll_back = self.requests.roll_back or RollBack(reason, healthy, learning_rate)

    def end_with(self, step: int) -> None:
        """Ask that the networks end with the weights of a step's checkpoint, which somebody keeps.

        The run's own last checkpoint is still that of its last step.
        """
        self.requests.end_with = step

    def request_checkpoint(self, keep: int | None = None, owner: str = "") -> None:
        """Ask for a checkpoint once this step's events are delivered.

        Args:
            keep: how many checkpoints asked for by this owner may stay, the newest first; None keeps all.
            owner: whose they are: nobody's wish removes what another owner keeps.
        """
        self.requests.checkpoints[owner] = keep
