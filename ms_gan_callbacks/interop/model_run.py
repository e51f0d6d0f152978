"""The run of a ``mindspore.train.Model``: its state, run directory and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import CheckpointError, UsageError, pluralize, warn
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.requests import Requests
from ms_gan_callbacks.events.run import Floats, Run
from ms_gan_callbacks.events.scalars import EpochMeans
from ms_gan_callbacks.events.session import Session
from ms_gan_callbacks.events.summary import format_metrics, format_summary
from ms_gan_callbacks.models.optimizers import read_rates
from ms_gan_callbacks.storage import environment
from ms_gan_callbacks.storage.checkpoints import Checkpoint, CheckpointStore
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.run_dir import RunFolder

BETTER = {"loss": "min", "eval_loss": "min"}
"""Directions of the losses."""


class AnyName(frozenset[str]):
    """Contains every name: the names that can be monitored are unknown before the first evaluation."""

    def __contains__(self, name: object) -> bool:
        return True


class Outputs:
    """Means of a step's outputs, left on the device, with the interface of a Tensor of shape (n,)."""

    def __init__(self, outputs: Any, names: tuple[str, ...]) -> None:
        several = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        if len(several) < len(names):
            raise UsageError(
                f"the network returns {pluralize(len(several), 'outputs')}, fewer than outputs={names}"
            )
        self._outputs = several[: len(names)]

    def asnumpy(self) -> NDArray[np.float64]:
        """Copy the means to the host."""
        return np.array([np.mean(getattr(one, "asnumpy", lambda one=one: one)()) for one in self._outputs], float)


class ModelRun(Session):
    """The run of a Model, updated from the parameters of its callbacks.

    Args:
        folder: the run directory.
        bus: the callbacks.
        outputs: names of the network's outputs.
        resume: whether to resume the run in the directory.

    Attributes:
        epoch: number of complete epochs.
        used: whether the run was trained or evaluated in this process.
        fresh: whether the run directory is new.
        trained: whether a step was performed in this process.
    """

    def __init__(self, folder: RunFolder, bus: CallbackBus, outputs: tuple[str, ...], resume: bool) -> None:
        run = Run(
            Progress(epochs=0, steps_per_epoch=1),
            folder.path,
            group="model",
            generate=_raise_no_generator,
            epoch_means=EpochMeans(outputs),
            monitors=AnyName(),
            better=dict(BETTER),  # type: ignore[arg-type]
        )
        super().__init__(run, bus, CheckpointStore(folder.path / "checkpoints"))
        self.folder, self.outputs = folder, outputs
        self.used, self.fresh, self.trained = False, not resume, False
        self._network: Any = None
        self._base, self._sunk = 0, False
        self._from, self.epoch = _find_newest_epoch(self.store) if resume else (None, 0)

    @property
    def begun(self) -> bool:
        """Whether the run was used before, in this process or before a resume."""
        return self.used or not self.fresh

    def weights(self) -> Mapping[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {}
        for parameter in self._network.get_parameters():
            if parameter.name in found:
                raise CheckpointError(f"two parameters of the network are named {parameter.name!r}: rename one")
            found[parameter.name] = parameter.asnumpy().copy()
        return found

    def prepare(self, parameters: Any, start: int) -> None:
        """Update the run before its first step, after ``start`` complete epochs."""
        if self.used:
            self.fresh = False
        run, steps = self.run, parameters.batch_num
        self._check_length(steps)
        progress = Progress(start + parameters.epoch_num, steps, start * steps, start)
        self._network, self._sunk = parameters.train_network, parameters.dataset_sink_mode
        self._base = progress.step - parameters.cur_step_num
        optimizer = parameters.get("optimizer") or getattr(self._network, "optimizer", None)
        run.progress, run.requests, run.train_network = progress, Requests(), self._network
        run.learning_rates = partial(read_rates, "model", optimizer) if optimizer is not None else dict
        run.manifest = self._make_manifest(parameters, progress, optimizer)
        self.used = True
        self._update_folder()

    def _update_folder(self) -> None:
        """Set the run directory, whose default name is final only when it has been created."""
        self.run.out_dir = self.folder.path
        self.store.folder = self.folder.path / "checkpoints"

    def _check_length(self, steps: int) -> None:
        then = steps
        if self._from is not None:
            then = self._from // self.epoch
        elif self.trained:
            then = self.run.steps_per_epoch
        if then != steps:
            raise UsageError(
                f"this run has epochs of {pluralize(then, 'steps')}, not of {pluralize(steps, 'steps')}: "
                "use the same data and batch size"
            )

    def _make_manifest(self, parameters: Any, progress: Progress, optimizer: Any) -> Manifest:
        dataset = parameters.train_dataset
        count = progress.steps_per_epoch * dataset.get_batch_size()
        return Manifest.new(
            network=type(parameters.network).__name__,
            optimizer=type(optimizer).__name__ if optimizer is not None else None,
            epochs=progress.epochs,
            data={"name": type(dataset).__name__, "count": count, "sha256": None},
            device=ms.get_context("device_target"),
            **environment.collect_environment(),
        )

    def open(self) -> None:
        """Write ``run.json``; restore the checkpoint of a resumed run."""
        run = self.run
        if not self.fresh:
            run.manifest = run.manifest.continue_from(Manifest.read(run.out_dir))
        run.manifest.write(run.out_dir)
        if self._from is not None:
            self.restore(self.load_weights(self._from))
            self._from = None
        if not self.fresh:
            self.store.go_back_to(run.step)

    def begin_step(self, parameters: Any) -> None:
        """Update the step counter."""
        self.folder.keep()
        self.trained = True
        progress = self.run.progress
        # With a dataset sink only one step event is emitted per epoch; its number depends on the mode.
        sunk = progress.epoch * progress.steps_per_epoch
        progress.step = sunk if self._sunk else self._base + parameters.cur_step_num

    def publish(self, outputs: Any) -> None:
        """Publish the network's outputs as the step's scalars, without waiting for the device."""
        values: Any = Outputs(outputs, self.outputs)
        self.run.scalars.publish(self.outputs, values)
        self.run.epoch_means.add(values)

    def load_weights(self, step: int) -> Checkpoint:
        """Load a step's checkpoint into the network and its optimizer, and return it."""
        checkpoint = self.store.load(step, self.weights())
        for parameter in self._network.get_parameters():
            ops.assign(parameter, Tensor(checkpoint.weights[parameter.name]))
        return checkpoint

    def write_evaluation(self, writers: CallbackBus, parameters: Any, found: Mapping[str, float]) -> None:
        """Pass the results of an evaluation outside of training to loggers, at the current step."""
        first = not self.begun
        if not self.used:
            self.used = True
            self.run.progress = Progress(self.epoch, parameters.batch_num, self._from or 0, self.epoch)
            network = type(parameters.network).__name__
            self.run.manifest = Manifest.new(network=network, **environment.collect_environment())
        self.run.metrics.update(found)
        with self.folder.reserve(first), self.folder.lock(first, writers.writes()):
            self._update_folder()
            if first:
                self.run.manifest.write(self.run.out_dir)
            with writers:
                writers.emit(Event.TRAIN_BEGIN, self.run)
                writers.emit(Event.EVAL_END, self.run)
            self.folder.keep()

    def summary(self) -> str:
        """Return the closing summary."""
        run = self.run
        rows = [("run", f"stopped: {run.stop_reason}" if run.stop_reason else "finished")]
        rows += [("metrics", format_metrics(run.metrics.items()))]
        rows += [*self.bus.summaries().items(), *(("FAULT", fault) for fault in self.bus.faults())]
        return format_summary(rows, run.out_dir)


def _find_newest_epoch(store: CheckpointStore) -> tuple[int | None, int]:
    """Return the step and epoch of the newest checkpoint at the end of an epoch; (None, 0) without one."""
    for step in reversed(store.list_steps()):
        try:
            progress = json.loads((store.get_path(step) / "state.json").read_bytes())["progress"]
            epoch, within = divmod(step, progress["steps_per_epoch"])
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            warn(f"{store.get_path(step)} is damaged; using an older checkpoint")
            continue
        if within == 0 and epoch > 0:
            return step, epoch
    return None, 0


def _raise_no_generator(noise: Floats) -> NoReturn:
    raise RuntimeError("a mindspore.train.Model does not have a generator")
