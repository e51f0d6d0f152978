"""Simulated runs: the events of the training loop with given scalars, without networks and devices."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import GanWarning
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Event, Every
from ms_gan_callbacks.events.scalars import EpochMeans, Scalars
from ms_gan_callbacks.events.session import Session
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.testing.simulated_run import EQUILIBRIUM, Values, check_names, make_run, publish
from ms_gan_callbacks.testing.trace import Trace


@dataclass(frozen=True)
class Script:
    """A simulated run.

    Attributes:
        epochs: number of epochs.
        steps_per_epoch: number of steps per epoch.
        scalars: scalars of the steps, by name; by default ``EQUILIBRIUM``.
        metrics: results of the evaluations, by name.
        evaluate: schedule of the evaluations, if there are metrics.
        fields: other attributes of the :class:`Run`, such as ``better={"fld": "min"}``.
    """

    epochs: int = 2
    steps_per_epoch: int = 5
    scalars: Mapping[str, Values] = field(default_factory=lambda: dict(EQUILIBRIUM))
    metrics: Mapping[str, Values] = field(default_factory=dict)
    evaluate: Every = Every.epochs(1)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def play(
        self,
        *callbacks: Callback,
        out_dir: str | Path | None = None,
        start: int = 0,
        states: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Trace:
        """Run callbacks through the events of the run, in the order of the training loop; return a trace.

        Args:
            *callbacks: the callbacks.
            out_dir: run directory; by default a temporary one, which is removed with the trace.
            start: step after which the run is resumed; 0 for a new run.
            states: states of the callbacks at that step, from a trace.

        Raises:
            UsageError: the name of a scalar or metric is invalid.
            Exception: any exception raised by a callback.
        """
        play = _Play(self, callbacks, out_dir, start)
        play.bus.load_state(states or {})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GanWarning)
            if self.metrics and (why := self.evaluate.why_never(play.run)):
                play.trace.warnings.append(f"metrics are never measured: {why}")
            play.trace.warnings += play.bus.check(play.run)
            play.perform()
        for warning in caught:
            if issubclass(warning.category, GanWarning):
                play.trace.warnings.append(str(warning.message))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        return play.trace


def drive(
    *callbacks: Callback,
    epochs: int = 2,
    steps_per_epoch: int = 5,
    scalars: Mapping[str, Values] | None = None,
    metrics: Mapping[str, Values] | None = None,
    evaluate: Every = Every.epochs(1),
    out_dir: str | Path | None = None,
    **fields: Any,
) -> Trace:
    """Run callbacks through a simulated run; see :class:`Script` for the arguments.

    >>> from ms_gan_callbacks import EarlyStopping
    >>> stopping = EarlyStopping("fld", mode="min", patience=2)
    >>> drive(stopping, epochs=9, metrics={"fld": [30, 20, 25, 24, 23]}).stopped
    20
    """
    script = Script(epochs, steps_per_epoch, scalars or EQUILIBRIUM, metrics or {}, evaluate, fields)
    return script.play(*callbacks, out_dir=out_dir)


class _Play(Session):
    """One execution of a script; checkpoints are recorded in the trace instead of being written."""

    def __init__(
        self, script: Script, callbacks: Sequence[Callback], out_dir: str | Path | None, start: int
    ) -> None:
        bus = CallbackBus(callbacks, owner=self)
        check_names(script.scalars, script.metrics)
        names, found = frozenset(script.metrics), frozenset((*script.scalars, *script.metrics))
        fields = {
            "metric_names": names,
            "monitors": found | bus.publishes(),
            "epoch_means": EpochMeans(tuple(script.scalars)),
            "evaluate_every": script.evaluate if names else None,
            **script.fields,
        }
        run = make_run(
            out_dir or "",
            step=0,
            epochs=script.epochs,
            steps_per_epoch=script.steps_per_epoch,
            scalars={},
            **fields,
        )
        self.trace = Trace(run)
        if out_dir is None:
            # Not a TemporaryDirectory, which warns when it is removed with its owner.
            run.out_dir = Path(tempfile.mkdtemp(prefix="run-"))
            weakref.finalize(self.trace, shutil.rmtree, run.out_dir, ignore_errors=True)
        run.out_dir.mkdir(parents=True, exist_ok=True)
        super().__init__(run, bus, CheckpointStore(run.out_dir / "checkpoints"), self.trace.note)
        self.script, self.start, self._evaluations = script, start, 0

    def save(self) -> None:
        """Set the checkpoint's directory."""
        self.run.checkpoint = self.store.get_path(self.run.step)

    def prune(self) -> None:
        """Do nothing."""

    def commit(self) -> None:
        """Record the callbacks' states after the step, and the requests."""
        step, asked = self.run.step, self.run.requests.checkpoints
        self.trace.states[step] = json.loads(json.dumps(self.bus.state()))
        self.trace.checkpoints += [(step, owner, keep) for owner, keep in asked.items()]
        super().commit()

    def perform(self) -> None:
        """Emit the events of a run, in the loop's order."""
        for step in range(1, self.start + 1):  # the steps before the resume, without events
            self._update(step)
            self._evaluate()
        self.run.scalars = Scalars()
        with self.bus:
            self.begin()
            for step in range(self.start + 1, self.run.steps + 1):
                self._step(step)
                if self.run.requests.roll_back:
                    self.trace.roll_backs.append(self.run.requests.roll_back)
                    return
                self.commit()
                if self.run.stop_reason:
                    break
            self.end()

    def _step(self, step: int) -> None:
        progress = self.run.progress
        if progress.next_epoch != progress.epoch:
            progress.epoch = progress.next_epoch
            self.run.epoch_means.restart()
            self.emit(Event.TRAIN_EPOCH_BEGIN)
        progress.step = step
        self.emit(Event.TRAIN_STEP_BEGIN)
        self._update(step)
        self.emit(Event.TRAIN_STEP_END)
        if self._evaluate():
            self.emit(Event.EVAL_END)
        if progress.ends_epoch:
            self.emit(Event.TRAIN_EPOCH_END)

    def _update(self, step: int) -> None:
        """Simulate the update of both players."""
        progress, script = self.run.progress, self.script
        if step <= self.start and progress.next_epoch != progress.epoch:
            progress.epoch = progress.next_epoch
            self.run.epoch_means.restart()
        progress.step = progress.d_updates = progress.g_updates = step
        publish(self.run, {name: _get_value(values, step) for name, values in script.scalars.items()})

    def _evaluate(self) -> bool:
        """Simulate an evaluation if it is due; return whether it was."""
        script = self.script
        if not script.metrics or not script.evaluate.due(self.run):
            return False
        self._evaluations += 1
        results = {name: _get_value(values, self._evaluations) for name, values in script.metrics.items()}
        self.run.metrics.update(results)
        return True


def _get_value(values: Values, number: int) -> float:
    if callable(values):
        return float(values(number))
    if isinstance(values, Sequence):
        return float(values[min(number, len(values)) - 1])
    return float(values)
