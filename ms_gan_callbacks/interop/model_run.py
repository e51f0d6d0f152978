"""The run that a ``mindspore.train.Model`` has for our callbacks, and its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import CheckpointError, UsageError, counted, warn
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.run import Floats, Requests, Run
from ms_gan_callbacks.events.scalars import EpochMeans
from ms_gan_callbacks.events.session import Session
from ms_gan_callbacks.models.optimizers import read_rates
from ms_gan_callbacks.storage import environment
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.run_dir import RunFolder

BETTER = {"loss": "min", "eval_loss": "min"}
"""What an optimizer lowers is better when it is lower."""


class Unknown(frozenset[str]):
    """What may be monitored is not known before it is measured: any name may be."""

    def __contains__(self, name: object) -> bool:
        return True


class Outputs:
    """A step's outputs, left on the device: the mean of each, as a Tensor of shape (n,) would have it."""

    def __init__(self, outputs: Any, names: tuple[str, ...]) -> None:
        several = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        if len(several) < len(names):
            raise UsageError(
                f"the network returns {counted(len(several), 'outputs')}, and outputs={names} names more"
            )
        self._outputs = several[: len(names)]

    def asnumpy(self) -> NDArray[np.float64]:
        """Copy them to the host."""
        return np.array([np.mean(getattr(one, "asnumpy", lambda one=one: one)()) for one in self._outputs], float)


class _ModelSession(Session):
    """Checkpoints hold the network that is trained, with its optimizer.

    Attributes:
        network: the cell whose call is a training step.
    """

    network: Any = None

    def weights(self) -> Mapping[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {}
        for parameter in self.network.get_parameters():
            if parameter.name in found:
                raise CheckpointError(f"two parameters of the network are called {parameter.name!r}: rename one")
            found[parameter.name] = parameter.asnumpy().copy()
        return found


class ModelRun:
    """Keeps a run up to date with what a Model tells.

    Args:
        folder: the run's folder.
        bus: who is told.
        outputs: the names of what the network returns.
        resume: whether the folder holds a run that goes on.

    Attributes:
        epoch: complete epochs behind the run.
        run: the run, once it has begun.
        fresh: whether it has begun in this process, with a folder of its own.
        trained: whether it has had a step in this process.
    """

    def __init__(self, folder: RunFolder, bus: CallbackBus, outputs: tuple[str, ...], resume: bool) -> None:
        self.folder, self.outputs, self._bus = folder, outputs, bus
        self._from: int | None = None
        self._network: Any = None
        self._base, self._sunk = 0, False
        self.run: Run | None = None
        self._session: _ModelSession | None = None
        self.epoch, self.fresh, self.trained = 0, not resume, False
        if resume:
            self._from, self.epoch = _newest_epoch(self._store)

    @property
    def out_dir(self) -> Path:
        """The run's folder; where it was left to a default, its name is settled when the training begins."""
        return self.folder.path

    @property
    def _store(self) -> CheckpointStore:
        return CheckpointStore(self.out_dir / "checkpoints")

    @property
    def begun(self) -> bool:
        """Whether there has been training before, here or in the run that goes on."""
        return self.run is not None or not self.fresh

    @property
    def current(self) -> Run:
        """The run, which has begun."""
        if self.run is None:
            raise RuntimeError("the run has not begun")
        return self.run

    def prepare(self, parameters: Any, start: int) -> Run:
        """Return the run as it is before its first step: ``start`` complete epochs behind it."""
        if self.run is not None:
            self.fresh = False
        steps = parameters.batch_num
        self._check_length(steps)
        progress = Progress(start + parameters.epoch_num, steps, start * steps, start)
        self._network, self._sunk = parameters.train_network, parameters.dataset_sink_mode
        self._base = progress.step - parameters.cur_step_num
        optimizer = parameters.get("optimizer") or getattr(self._network, "optimizer", None)
        run = self.run or self._new_run(progress)
        run.progress, run.requests, run.train_network = progress, Requests(), self._network
        run.learning_rates = partial(read_rates, "model", optimizer) if optimizer is not None else dict
        run.manifest = self._made_of(parameters, progress, optimizer)
        if self._session is None:
            self._session = _ModelSession(run, self._bus, self._store)
        self._session.network, self._session.store = self._network, self._store
        self.run = run
        return run

    def _check_length(self, steps: int) -> None:
        then = steps
        if self._from is not None:
            then = self._from // self.epoch
        elif self.run is not None and self.trained:
            then = self.run.steps_per_epoch
        if then != steps:
            raise UsageError(
                f"this run has epochs of {counted(then, 'steps')}, not of {counted(steps, 'steps')}: go on with "
                "the data and batch size it began with"
            )

    def _new_run(self, progress: Progress) -> Run:
        return Run(
            progress,
            self.out_dir,
            group="model",
            generate=_no_generator,
            epoch_means=EpochMeans(self.outputs),
            monitors=Unknown(),
            better=dict(BETTER),  # type: ignore[arg-type]
        )

    def _made_of(self, parameters: Any, progress: Progress, optimizer: Any) -> Manifest:
        dataset = parameters.train_dataset
        count = progress.steps_per_epoch * dataset.get_batch_size()
        return Manifest.new(
            network=type(parameters.network).__name__,
            optimizer=type(optimizer).__name__ if optimizer is not None else None,
            epochs=progress.epochs,
            data={"name": type(dataset).__name__, "count": count, "sha256": None},
            device=ms.get_context("device_target"),
            **environment.surroundings(),
        )

    def open(self) -> None:
        """Describe a fresh run in its folder; put one that goes on where it was."""
        run = self.current
        if not self.fresh:
            run.manifest = run.manifest.after(Manifest.read(self.out_dir))
        run.manifest.write(self.out_dir)
        if self._from is not None:
            state = self.load_weights(self._from)
            self.session.restore(state, self._from, self._store.path(self._from))
            self._from = None
        if not self.fresh:
            self._store.go_back_to(run.step)

    def begin_epoch(self, epoch: int) -> None:
        """Enter an epoch, counted from 1."""
        self.current.progress.begin(epoch)
        self.current.epoch_means.restart()

    def begin_step(self, parameters: Any) -> None:
        """Take the step's number over."""
        self.folder.keep()
        self.trained = True
        progress = self.current.progress
        # A dataset sink tells of an epoch as one step, which some modes count as one, and some as all of its.
        sunk = progress.epoch * progress.steps_per_epoch
        progress.step = sunk if self._sunk else self._base + parameters.cur_step_num

    def publish(self, outputs: Any) -> None:
        """Take what the network returned for the step's scalars, without waiting for it."""
        values: Any = Outputs(outputs, self.outputs)
        self.current.scalars.publish(self.outputs, values)
        self.current.epoch_means.add(values)

    @property
    def session(self) -> Session:
        """The run with its callbacks, once it is prepared."""
        if self._session is None:
            raise RuntimeError("the run has not begun")
        return self._session

    def emit(self, event: Event) -> None:
        """Call the hooks of an event."""
        self.session.emit(event)
        if self.current.progress.ends_epoch:
            self.epoch = self.current.epoch

    def load_weights(self, step: int) -> dict[str, Any]:
        """Give the network and its optimizer the parameters of a step's checkpoint, and return its state.

        Raises:
            CheckpointError: it is not there, damaged, or of another network.
        """
        checkpoint = self._store.load(step, self.session.weights())
        for parameter in self._network.get_parameters():
            ops.assign(parameter, Tensor(checkpoint.weights[parameter.name]))
        return checkpoint.state

    def write_evaluation(self, writers: CallbackBus, parameters: Any, found: Mapping[str, float]) -> None:
        """Let writers write what an evaluation outside of training has found, at the step it comes after."""
        first = self.run is None and self.fresh
        if self.run is None:
            self.run = self._new_run(Progress(self.epoch, parameters.batch_num, self._from or 0, self.epoch))
            network = type(parameters.network).__name__
            self.run.manifest = Manifest.new(network=network, **environment.surroundings())
        self.run.metrics.update(found)
        with self.folder.reserved(first), self.folder.held(first, writers.writes()):
            self.run.out_dir = self.out_dir
            if first:
                self.run.manifest.write(self.out_dir)
            with writers:
                writers.emit(Event.TRAIN_BEGIN, self.run)
                writers.emit(Event.EVAL_END, self.run)
            self.folder.keep()

    def summary(self) -> str:
        """Return the closing lines."""
        run = self.current
        rows = [("run", f"stopped: {run.stop_reason}" if run.stop_reason else "finished")]
        rows += [("metrics", "  ".join(f"{name} {value:.4g}" for name, value in run.metrics.items()))]
        rows += [*self._bus.summaries().items(), *(("FAULT", fault) for fault in self._bus.faults())]
        rows += [("folder", str(self.out_dir))]
        if (self.out_dir / "tensorboard").is_dir():
            rows += [("watch", f"tensorboard --logdir {self.out_dir}")]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows if text)


def _newest_epoch(store: CheckpointStore) -> tuple[int | None, int]:
    """Return the step of the newest checkpoint that ends an epoch, and which; (None, 0) where there is none."""
    for step in reversed(store.steps()):
        try:
            progress = json.loads((store.path(step) / "state.json").read_bytes())["progress"]
            epoch, within = divmod(step, progress["steps_per_epoch"])
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            warn(f"{store.path(step)} is damaged; going back behind it")
            continue
        if within == 0 and epoch > 0:
            return step, epoch
    return None, 0


def _no_generator(noise: Floats) -> NoReturn:
    raise RuntimeError("a mindspore.train.Model has no generator to draw images")
