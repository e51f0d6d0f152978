"""Our callbacks in an ordinary ``mindspore.train.Model``.

::

    model.train(10, data, callbacks=for_model([TensorBoard(), Checkpoint()], out_dir="runs/mine"))

what Model tells                    what our callbacks are told
the first on_train_epoch_begin      check, __enter__, on_train_begin: only now is it known which epoch it is
on_train_epoch_begin, ..step..      their namesakes
on_eval_end, within fit             on_eval_end
on_train_epoch_end                  on_train_epoch_end, if the epoch is complete: Model tells it in any case
on_train_end                        on_train_end
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from mindspore.train import Callback as StockCallback

from ms_gan_callbacks.errors import CallbackError, UsageError, choices, counted, warn
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
    """Return a stock callback through which ours watch ``Model.train``, ``Model.fit`` and ``Model.eval``.

    They see a :class:`Run` with the step's outputs as scalars, what ``fit`` evaluates as metrics, and no
    generator. ``run.stop`` ends the training; checkpoints hold every parameter of the network and its optimizer.

    Args:
        callbacks: ours, or one of ours; stock ones go beside this one.
        out_dir: the folder for what they write, new or empty; by default ``runs/model-<time>``.
        outputs: the names of what the network returns, the loss first; each counts by its mean.
        resume: go on with the run in ``out_dir`` from the newest checkpoint that ends an epoch. Train with
            ``initial_epoch=callback.epoch`` then, which says how many there have been.
        quiet: leave the closing lines out.

    Raises:
        CallbackError: a callback cannot work there.
        RunDirError: the folder is taken; or, to resume, holds no run.
    """
    return ModelCallback(callbacks, out_dir, outputs, resume, quiet)


class ModelCallback(StockCallback):  # type: ignore[misc]
    """What :func:`for_model` returns.

    Attributes:
        epoch: complete epochs behind the run, over its whole life.
        run: the run, once it has begun.
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback],
        out_dir: str | Path | None,
        outputs: Sequence[str],
        resume: bool,
        quiet: bool,
    ) -> None:
        super().__init__()
        self._callbacks = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
        self._bus = CallbackBus(_checked(self._callbacks), owner=self)
        _check_outputs(outputs)
        folder = RunFolder(out_dir, "model")
        if resume:
            Manifest.read(folder.path)
        else:
            folder.check_free()
        self._model = ModelRun(folder, self._bus, tuple(outputs), resume)
        self._quiet, self._depth, self._exits = quiet, 0, ExitStack()
        self._training = self._looked = False

    @property
    def epoch(self) -> int:
        """Complete epochs behind the run."""
        return self._model.epoch

    @property
    def run(self) -> Run | None:
        """The run, once it has begun."""
        return self._model.run

    # Model.fit enters and leaves every callback once more for each evaluation, in the middle of training.

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
        """Look for everything that can go wrong before the first step; touch the disk last."""
        model, start = self._model, parameters.cur_epoch_num - 1
        if model.begun and start != model.epoch:
            raise UsageError(
                f"this run has {counted(model.epoch, 'epochs')} behind it: train with "
                f"initial_epoch={model.epoch}, not {start}"
            )
        with model.folder.reserved(model.fresh):
            run = model.prepare(parameters, start)
            for warning in [*self._bus.check(run), *self._seldom(parameters)]:
                warn(warning)
        self._exits = ExitStack()
        self._exits.enter_context(model.folder.held(model.fresh, self._bus.writes()))
        self._training = True  # from here on there is something to release
        model.open()
        self._exits.enter_context(self._bus)
        model.session.begin()

    def _seldom(self, parameters: Any) -> Iterable[str]:
        """Say which schedules suffer from a device that tells of one step an epoch."""
        for callback in self._bus.callbacks if parameters.dataset_sink_mode else ():
            every = getattr(callback, "every", None)
            if isinstance(every, Every) and not every.by_epoch and parameters.batch_num % every.period:
                yield (
                    f"{callback.name}: with dataset_sink_mode=True a step is told once every "
                    f"{parameters.batch_num:,}, and {every} is due where that is a multiple; use Every.epochs(1)"
                )

    def on_train_epoch_begin(self, run_context: Any) -> None:
        """Tell of it; the first one begins the run."""
        parameters = run_context.original_args()
        if not self._training:
            self._begin(parameters)
        self._model.begin_epoch(parameters.cur_epoch_num)
        self._emit(Event.TRAIN_EPOCH_BEGIN, run_context)

    def on_train_step_begin(self, run_context: Any) -> None:
        """Tell of it."""
        self._model.begin_step(run_context.original_args())
        self._emit(Event.TRAIN_STEP_BEGIN, run_context)

    def on_train_step_end(self, run_context: Any) -> None:
        """Tell of it; save if that was asked for and no other event of the step is to come."""
        self._model.publish(run_context.original_args().net_outputs)
        self._emit(Event.TRAIN_STEP_END, run_context)
        if not self._model.current.progress.ends_epoch:
            self._model.session.commit()

    def on_eval_end(self, run_context: Any) -> None:
        """Tell of it: of one in fit to everybody, of Model.eval by itself to those that write."""
        parameters = run_context.original_args()
        taken = {*COUNTERS, *self._model.outputs, *self._bus.publishes()}
        found = _numbers(parameters.get("eval_results") or parameters.metrics, taken)
        if self._training:
            self._model.current.metrics.update(found)
            self._emit(Event.EVAL_END, run_context)
            return
        writers = CallbackBus(callback for callback in self._callbacks if isinstance(callback, Writer))
        self._model.write_evaluation(writers, parameters, found)

    def on_train_epoch_end(self, run_context: Any) -> None:
        """Tell of it, if it is complete."""
        if self._model.current.progress.ends_epoch:
            self._emit(Event.TRAIN_EPOCH_END, run_context)
            self._model.session.commit()
            if self._model.current.metrics:  # without any, fit may be about to measure them in a later epoch
                self._look_for_monitors()

    def on_train_end(self, run_context: Any) -> None:
        """Tell of it, and leave the weights that somebody wants."""
        self._look_for_monitors()
        if (best := self._model.session.end()) is not None:
            self._model.load_weights(best)

    def _emit(self, event: Event, run_context: Any) -> None:
        self._model.emit(event)
        if self._model.current.stop_reason:
            run_context.request_stop()

    def _look_for_monitors(self) -> None:
        """Warn, once, of names that somebody watches and nobody measures: before, they were not known."""
        run, looked, self._looked = self._model.current, self._looked, True
        known = {*run.epoch_means, *run.metrics, *run.newest_logged, *self._bus.publishes()}
        when = "the first epoch" if run.epoch == 1 else f"the first {counted(run.epoch, 'epochs')}"
        for callback in () if looked else self._bus.callbacks:
            monitor = getattr(callback, "monitor", None)
            if isinstance(monitor, str) and monitor not in known:
                warn(
                    f"{callback.name} monitors {monitor!r}, which nobody has measured in {when}; "
                    + choices(monitor, sorted(known))
                )


def _check_outputs(outputs: Any) -> None:
    if isinstance(outputs, str) or not outputs:
        raise UsageError(f"for_model takes outputs=({outputs!r},), the names of what the network returns")
    for name in outputs:
        if fault := find_name_fault(name):
            raise UsageError(f"for_model(outputs=...) names {name!r}: {fault}")
        if list(outputs).count(name) > 1:
            raise UsageError(f"for_model(outputs=...) names {name!r} twice")


def _checked(callbacks: Sequence[Any]) -> Sequence[Any]:
    for callback in callbacks:
        if isinstance(callback, StockCallback):
            raise CallbackError(
                f"{type(callback).__name__} is MindSpore's own: pass it to Model beside for_model(...), not in it"
            )
        for one in (callback, *getattr(callback, "companions", ())):
            for needed in getattr(one, "needs", ()):
                raise CallbackError(
                    f"{one.name} needs {needed}, and mindspore.train.Model has none; use it in a Runner"
                )
    return callbacks


def _numbers(metrics: Mapping[str, Any], taken: Collection[str]) -> dict[str, float]:
    """Return the metrics that are numbers; one whose name is taken gets ``eval_`` before it."""
    found = {}
    for name, value in metrics.items():
        if np.ndim(value) == 0:
            found[f"eval_{name}" if name in taken else name] = float(value)
        else:
            warn(f"the metric {name!r} is no number, and not seen by callbacks")
    return found
