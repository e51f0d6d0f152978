"""This package's callbacks in a ``mindspore.train.Model``.

::

    model.train(10, data, callbacks=for_model([TensorBoard(), Checkpoint()], out_dir="runs/mine"))

    event of the Model                event of this package's callbacks
    the first on_train_epoch_begin    check, __enter__, on_train_begin; the epoch is unknown before
    on_train_epoch_begin, ..step..    the same
    on_eval_end, in fit               on_eval_end
    on_train_epoch_end                on_train_epoch_end, if the epoch is complete
    on_train_end                      on_train_end
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from mindspore.train import Callback as StockCallback

from ms_gan_callbacks.errors import CallbackError, UsageError, pluralize, suggest, warn
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.callback import Callback, Writer
from ms_gan_callbacks.events.events import Event, Every
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.events.scalars import COUNTERS, find_name_fault
from ms_gan_callbacks.interop.model_run import ModelRun
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.run_dir import RunFolder


def for_model(
    callbacks: Callback | Iterable[Callback],
    out_dir: str | Path | None = None,
    *,
    outputs: Sequence[str] = ("loss",),
    resume: bool = False,
    quiet: bool = False,
) -> ModelCallback:
    """Return a MindSpore callback that runs this package's callbacks in ``Model.train``, ``fit`` and ``eval``.

    The :class:`Run` has the network's outputs as scalars, the results of ``fit`` as metrics, and no generator.
    ``run.stop`` ends the training; checkpoints contain all parameters of the network and its optimizer.

    Args:
        callbacks: one or several callbacks of this package. Pass MindSpore's callbacks to the Model directly.
        out_dir: a new or empty run directory; by default ``runs/model-<time>``.
        outputs: names of the network's outputs, the loss first; the scalars are their means.
        resume: resume the run in ``out_dir`` from the newest checkpoint at the end of an epoch. Train with
            ``initial_epoch=callback.epoch``, the number of complete epochs.
        quiet: omit the closing summary.

    Raises:
        CallbackError: a callback cannot work in a Model.
        RunDirError: the directory is in use, or (with ``resume``) contains no run.
    """
    ours = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
    _check_callbacks(ours)
    return ModelCallback(ours, RunFolder(out_dir, "model"), outputs, resume, quiet)


class ModelCallback(StockCallback):  # type: ignore[misc]
    """The return value of :func:`for_model`."""

    def __init__(
        self, callbacks: Sequence[Callback], folder: RunFolder, outputs: Sequence[str], resume: bool, quiet: bool
    ) -> None:
        super().__init__()
        self._callbacks = callbacks
        bus = CallbackBus(callbacks, owner=self)
        _check_outputs(outputs)
        if resume:
            Manifest.read(folder.path)
        else:
            folder.check_free()
        self._model = ModelRun(folder, bus, tuple(outputs), resume)
        self._quiet, self._depth, self._exits = quiet, 0, ExitStack()
        self._training = self._warned = False

    @property
    def epoch(self) -> int:
        """Number of complete epochs, including those before a resume."""
        return self._model.epoch

    @property
    def run(self) -> Run | None:
        """The run, or None before training."""
        return self._model.run if self._model.used else None

    # Model.fit calls __enter__ and __exit__ again for every evaluation during training.

    def __enter__(self) -> ModelCallback:
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth > 0 or not self._training:
            return
        self._training = False
        self._exits.__exit__(kind, error, trace)
        if error is None and not self._quiet:
            print(self._model.summary(), flush=True)

    def _begin(self, parameters: Any) -> None:
        """Run all checks, then begin the run; files are written last."""
        model, start = self._model, parameters.cur_epoch_num - 1
        if model.begun and start != model.epoch:
            raise UsageError(
                f"this run has completed {pluralize(model.epoch, 'epochs')}: train with "
                f"initial_epoch={model.epoch}, not {start}"
            )
        with model.folder.reserve(model.fresh):
            model.prepare(parameters, start)
            for warning in [*model.bus.check(model.run), *self._check_schedules(parameters)]:
                warn(warning)
        self._exits = ExitStack()
        self._exits.enter_context(model.folder.lock(model.fresh, model.bus.writes()))
        self._training = True  # from here on __exit__ must release resources
        model.open()
        self._exits.enter_context(model.bus)
        model.begin()

    def _check_schedules(self, parameters: Any) -> Iterable[str]:
        """Yield a warning for every schedule that is not a multiple of the steps between two events."""
        for callback in self._model.bus.callbacks if parameters.dataset_sink_mode else ():
            every = getattr(callback, "every", None)
            if isinstance(every, Every) and not every.by_epoch and parameters.batch_num % every.period:
                yield (
                    f"{callback.name}: with dataset_sink_mode=True step events occur only every "
                    f"{parameters.batch_num:,} steps, and {every} is due only at common multiples; "
                    "use Every.epochs(1)"
                )

    def on_train_epoch_begin(self, run_context: Any) -> None:
        """Emit the event; the first one begins the run."""
        parameters = run_context.original_args()
        if not self._training:
            self._begin(parameters)
        self._model.run.progress.begin(parameters.cur_epoch_num)
        self._model.run.epoch_means.restart()
        self._emit(Event.TRAIN_EPOCH_BEGIN, run_context)

    def on_train_step_begin(self, run_context: Any) -> None:
        self._model.begin_step(run_context.original_args())
        self._emit(Event.TRAIN_STEP_BEGIN, run_context)

    def on_train_step_end(self, run_context: Any) -> None:
        """Emit the event; write a requested checkpoint, unless the step ends an epoch."""
        self._model.publish(run_context.original_args().net_outputs)
        self._emit(Event.TRAIN_STEP_END, run_context)
        if not self._model.run.progress.ends_epoch:
            self._model.commit()

    def on_eval_end(self, run_context: Any) -> None:
        """Emit the event in ``fit``; after a separate ``Model.eval`` pass the results to loggers only."""
        parameters = run_context.original_args()
        taken = {*COUNTERS, *self._model.outputs, *self._model.bus.publishes()}
        found = _select_numbers(parameters.get("eval_results") or parameters.metrics, taken)
        if self._training:
            self._model.run.metrics.update(found)
            self._emit(Event.EVAL_END, run_context)
            return
        writers = CallbackBus(callback for callback in self._callbacks if isinstance(callback, Writer))
        self._model.write_evaluation(writers, parameters, found)

    def on_train_epoch_end(self, run_context: Any) -> None:
        """Emit the event if the epoch is complete; Model also calls this after an incomplete epoch."""
        if self._model.run.progress.ends_epoch:
            self._model.epoch = self._model.run.epoch
            self._emit(Event.TRAIN_EPOCH_END, run_context)
            self._model.commit()
            if self._model.run.metrics:  # otherwise the first evaluation may follow in a later epoch
                self._check_monitors()

    def on_train_end(self, run_context: Any) -> None:
        """Emit the event, and load the weights that a callback requested by ``end_with``."""
        self._check_monitors()
        if (best := self._model.end()) is not None:
            self._model.load_weights(best)

    def _emit(self, event: Event, run_context: Any) -> None:
        self._model.emit(event)
        if self._model.run.stop_reason:
            run_context.request_stop()

    def _check_monitors(self) -> None:
        """Warn once about unknown monitors; the names of the metrics are not known before the first evaluation."""
        run, warned, self._warned = self._model.run, self._warned, True
        known = {*run.epoch_means, *run.metrics, *run.newest_logged, *self._model.bus.publishes()}
        when = "the first epoch" if run.epoch == 1 else f"the first {pluralize(run.epoch, 'epochs')}"
        for callback in () if warned else self._model.bus.callbacks:
            monitor = getattr(callback, "monitor", None)
            if isinstance(monitor, str) and monitor not in known:
                names = suggest(monitor, sorted(known))
                warn(f"{callback.name}: monitor {monitor!r} was not measured in {when}; {names}")


def _check_outputs(outputs: Any) -> None:
    if isinstance(outputs, str) or not outputs:
        raise UsageError(f"for_model: outputs must be a tuple of the network's outputs: outputs=({outputs!r},)")
    for name in outputs:
        if fault := find_name_fault(name):
            raise UsageError(f"for_model(outputs=...) contains {name!r}: {fault}")
        if list(outputs).count(name) > 1:
            raise UsageError(f"for_model(outputs=...) contains {name!r} twice")


def _check_callbacks(callbacks: Sequence[Any]) -> None:
    for callback in callbacks:
        if isinstance(callback, StockCallback):
            raise CallbackError(
                f"{type(callback).__name__} is a callback of MindSpore: pass it to the Model, not to for_model"
            )
        for one in (callback, *getattr(callback, "companions", ())):
            for needed in getattr(one, "needs", ()):
                raise CallbackError(
                    f"{one.name} needs {needed}, which mindspore.train.Model does not have; use it in a Runner"
                )


def _select_numbers(metrics: Mapping[str, Any], taken: Collection[str]) -> dict[str, float]:
    """Return the metrics that are numbers, with the prefix ``eval_`` if a name is taken."""
    found = {}
    for name, value in metrics.items():
        if np.ndim(value) == 0:
            found[f"eval_{name}" if name in taken else name] = float(value)
        else:
            warn(f"the metric {name!r} is not a number and is not passed to callbacks")
    return found
