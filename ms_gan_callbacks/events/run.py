"""Run: the argument of every callback hook, with counters, scalars, networks and requests."""

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
from ms_gan_callbacks.events.requests import Requests, RollBack
from ms_gan_callbacks.events.scalars import EpochMeans, Log, Scalars, find_clash, find_name_fault
from ms_gan_callbacks.storage.manifest import Manifest

if TYPE_CHECKING:
    from mindspore import nn

Floats = NDArray[np.float32]


def raise_no_images(count: int) -> Floats:
    """Raise CallbackError: the run has no real images."""
    raise CallbackError("this run has no real images")


@dataclass
class Run:
    """The argument of every callback hook. Treat its attributes as read-only; use its methods for requests.

    Attributes:
        out_dir: the run directory.
        seed: the seed of all random numbers of the run.
        noise_dim: length of one noise vector; 0 in games without noise vectors.
        networks: the networks by name, in evaluation mode; empty in runs without networks.
        generator: the network of this name, or None.
        discriminator: the network of this name, or None.
        optimizers: the optimizers by player: ``generator`` and ``discriminator``, or the players of a game.
        train_network: the cell that performs a training step, with all players and optimizers, or None.
        scalars: scalars of the current step: ``d_loss``, ``g_loss``, ``d_real``, ``d_fake``, ``value``, or those
            of the game, and values logged by callbacks. Reading one waits for the device.
        epoch_means: means of the step's scalars over the epoch so far.
        metrics: the most recent value of every quality metric.
        metric_noise: returns the standard error of a metric's most recent value, by name; 0 if it is unknown.
        group: prefix of the step's scalars in TensorBoard.
        classes: number of classes of a conditional run, otherwise None.
        critic: whether ``d_real`` and ``d_fake`` are means of a critic's unbounded scores instead of
            probabilities; ``value`` is then their difference.
        compared: the column of real images that generated images are compared with, or None.
        paired: whether generated image i is made from the columns of real image i.
        manifest: the content of ``run.json``: recipe, arguments, versions, data.
        recipe_source: source text of the recipe, or None.
        monitors: all names that can be monitored.
        metric_names: those of them that are metrics.
        better: for each metric that declares it, whether lower ("min") or higher ("max") is better.
        evaluate_every: schedule of the metrics, an ``Every``; None if it is unknown.
        checkpoint: directory of the newest checkpoint, or None.
        rollbacks: the rollbacks so far, oldest first, each with ``step``, ``to_step``, ``reason`` and
            ``learning_rate``.
    """

    progress: Progress
    out_dir: Path
    seed: int = 0
    noise_dim: int = 1
    networks: Mapping[str, nn.Cell] = field(default_factory=dict)
    optimizers: Mapping[str, nn.Optimizer] = field(default_factory=dict)
    generator: nn.Cell | None = None
    discriminator: nn.Cell | None = None
    train_network: nn.Cell | None = None
    generate: Callable[..., Floats] = field(default=lambda noise: noise, repr=False)
    draw_images: Callable[[int, str], Floats] | None = field(default=None, repr=False)
    draw_picture: Callable[[int, int, str], tuple[Floats, ...]] | None = field(default=None, repr=False)
    draw_real: Callable[[int], Floats] = field(default=raise_no_images, repr=False)
    learning_rates: Callable[[], dict[str, float]] = field(default=dict, repr=False)
    scale_learning_rates: Callable[[float], None] = field(default=lambda factor: None, repr=False)
    scalars: Scalars = field(default_factory=Scalars)
    epoch_means: EpochMeans = field(default_factory=lambda: EpochMeans(()))
    metrics: dict[str, float] = field(default_factory=dict)
    metric_noise: Callable[[str], float] = field(default=lambda name: 0.0, repr=False)
    group: str = "gan"
    classes: int | None = None
    critic: bool = False
    compared: str | None = "real"
    paired: bool = False
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
    def losses(self) -> tuple[str, ...]:
        """Names of the losses among the scalars of every step."""
        return tuple(name for name in self.epoch_means.names if name == "loss" or name.endswith("_loss"))

    @property
    def facts(self) -> Mapping[str, Any]:
        """The content of ``run.json``, read-only."""
        return self.manifest.facts

    @property
    def logged(self) -> dict[str, float]:
        """Numbers logged by callbacks at the current event."""
        return self._log.numbers

    @property
    def images(self) -> dict[str, NDArray[np.uint8]]:
        """Images logged by callbacks at the current event, uint8 of shape (H, W) or (H, W, 3)."""
        return self._log.images

    @property
    def newest_logged(self) -> dict[str, float]:
        """The most recent value of every logged number."""
        return self._log.newest

    @property
    def step(self) -> int:
        """Current step, counted from 1: the number of real batches used."""
        return self.progress.step

    @property
    def steps(self) -> int:
        """Planned number of steps."""
        return self.progress.steps

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass over the data."""
        return self.progress.steps_per_epoch

    @property
    def epoch(self) -> int:
        """Current epoch, counted from 1."""
        return self.progress.epoch

    @property
    def epochs(self) -> int:
        """Planned number of epochs."""
        return self.progress.epochs

    @property
    def ends_epoch(self) -> bool:
        """Whether the current step is the last of its epoch."""
        return self.progress.ends_epoch

    @property
    def d_updates(self) -> int:
        """Updates of the discriminator so far."""
        return self.progress.d_updates

    @property
    def g_updates(self) -> int:
        """Updates of the generator so far."""
        return self.progress.g_updates

    @property
    def stop_reason(self) -> str | None:
        """Reason of the first stop request, or None."""
        return self.requests.stop_reason

    def noise(self, count: int, name: str = "preview") -> Floats:
        """Return ``count`` noise vectors, (count, noise_dim), from N(0, 1); determined by seed and name.

        Raises:
            CallbackError: the game does not have noise vectors.
        """
        if not self.noise_dim:
            raise CallbackError("this game does not have noise vectors; use run.sample(count)")
        return noise(self.seed, name, 0, count, self.noise_dim)

    def sample(self, count: int, name: str = "preview") -> Floats:
        """Return ``count`` generated images, (count, C, H, W) in [-1, 1], determined by seed and name.

        They are generated from :meth:`noise` of that name; in a conditional run the classes are 0, 1, 2 and so on,
        repeated, and ``generate(noise, labels)`` accepts other labels. Other games draw their own random inputs,
        and make images from the first rows of the training data if they need columns. If the generator uses batch
        statistics in evaluation mode, an image depends on its batch.
        """
        if self.draw_images is not None:
            return self.draw_images(count, name)
        return self.generate(self.noise(count, name))

    def picture(self, count: int, columns: int, name: str = "preview") -> tuple[Floats, ...]:
        """Return what a grid shows of ``count`` examples, ``columns`` in a row: one or several groups of images.

        These are the images of :meth:`sample`, or what the game's method ``picture`` returns.
        """
        if self.draw_picture is not None:
            return self.draw_picture(count, columns, name)
        return (self.sample(count, name),)

    def real(self, count: int) -> Floats:
        """Return ``count`` real images, (count, C, H, W) in [-1, 1]; always the same images.

        Raises:
            DataError: an epoch has fewer images.
        """
        return self.draw_real(count)

    def log(self, values: Mapping[str, Any] | None = None, /, **named: float | NDArray[np.uint8]) -> None:
        """Publish numbers, or images as uint8 arrays, at the current step, by name or as a mapping.

        Raises:
            ValueError: a name is invalid, reserved, or already used by a scalar of every step or a metric.
            TypeError: a value is neither a number nor a uint8 array of shape (H, W) or (H, W, 3).
        """
        for name, value in {**(values or {}), **named}.items():
            fault = find_name_fault(name)
            if not fault and not isinstance(value, np.ndarray):
                taken = {*self.metric_names, *self.metrics}
                fault = find_clash(name, self.group, self.epoch_means.names, taken)
            if fault:
                raise ValueError(f"run.log({name}=...): {fault}")
            self._log.add(name, value)
        self.scalars.add(self.logged)

    def unseen(self, reader: object) -> tuple[dict[str, float], dict[str, NDArray[np.uint8]]]:
        """Return the numbers and images logged at the current event since the reader's last call."""
        return self._log.unseen(reader)

    def forget_logged(self) -> None:
        """Clear the logged values; called by the bus after every event."""
        self._log.forget()

    def stop(self, reason: str) -> None:
        """Request the run to end after this step; if several reasons are given, the first is kept."""
        self.requests.stop_reason = self.requests.stop_reason or reason

    def roll_back(self, reason: str, healthy: int, learning_rate: float = 1.0) -> None:
        """Request to return, after this step, to the newest intact checkpoint not later than step ``healthy``.

        Training continues from there with different noise, since the same noise would lead to the same state. The
        first request of a step is kept. Limit the number of rollbacks in the callback; see ``rollbacks``.

        Args:
            reason: the reason, shown in the summary.
            healthy: the last step whose state is known to be good.
            learning_rate: factor for both players' learning rates, greater than 0.
        """
        self.requests.roll_back = self.requests.roll_back or RollBack(reason, healthy, learning_rate)

    def end_with(self, step: int) -> None:
        """Request the networks to have the weights of a retained checkpoint when the run ends.

        The run's last checkpoint is still that of its last step.
        """
        self.requests.end_with = step

    def request_checkpoint(self, keep: int | None = None, owner: str = "") -> None:
        """Request a checkpoint, written after all events of this step.

        Args:
            keep: number of this owner's most recent checkpoints to retain; None retains all.
            owner: name of the owner. A checkpoint is removed only when no owner retains it.
        """
        self.requests.checkpoints[owner] = keep
