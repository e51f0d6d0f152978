"""Stock ``mindspore.train`` callbacks inside a run, unmodified.

::

    Runner.train(10, images, callbacks=[LossMonitor(100), History()])
    MindSporeCallback(LearningRateScheduler(halve), player="discriminator")     with options

    run                         what the stock callback is told
    on_train_begin              on_train_begin, hence begin
    on_train_epoch_begin, ...   their namesakes, hence epoch_begin, step_begin, step_end, epoch_end
    on_eval_end                 on_eval_begin, on_eval_end, if it has any of its own
    on_train_end                on_train_end, hence end
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Literal

import mindspore as ms
import numpy as np
from mindspore.train import Callback as StockCallback

from ms_gan_callbacks.errors import CallbackError, choices
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.interop.context import Number, Parameters, SharedContext
from ms_gan_callbacks.interop.model import ModelCallback
from ms_gan_callbacks.interop.quirks import known
from ms_gan_callbacks.interop.signals import Handlers

OPTIMIZERS = {"generator": "g_optimizer", "discriminator": "d_optimizer"}
UNSET = "LambdaCallback.__init__.<locals>.<lambda>"
"""What LambdaCallback puts where it was given nothing."""
NEVER = ("on_eval_epoch_begin", "on_eval_epoch_end", "on_eval_step_begin", "on_eval_step_end")
STEPS = ("on_train_step_begin", "on_train_step_end")


class MindSporeCallback(Callback):
    """Lets a stock callback watch a run; a bare one in a list of callbacks is wrapped so by itself.

    It sees what it sees in ``mindspore.train.Model``: ``net_outputs`` is one loss, a scalar Tensor; ``metrics``
    and ``eval_results`` are the newest metrics, from an evaluation to the end of its epoch; ``train_network`` is
    both players with both optimizers; ``cb_params.run`` is the :class:`Run`. ``request_stop()`` ends the run after
    the step. Signal handlers that it installs are put back after the run.

    Args:
        callback: the stock callback.
        loss: the scalar that is the loss, by default ``g_loss``.
        player: whose optimizer is ``optimizer`` and who is ``network``, by default the generator.
        persistent: attributes of the stock callback, of JSON type, that survive a resume, beside those of
            MindSpore's own callbacks that are known to.
        name: what messages and checkpoints call it; by default its class's name.

    Raises:
        CallbackError: it is no stock callback, an option is none, or (before the first step) it cannot work.
    """

    def __init__(
        self,
        callback: Any,
        *,
        loss: str | None = None,
        player: Literal["generator", "discriminator"] | None = None,
        persistent: Iterable[str] = (),
        name: str | None = None,
    ) -> None:
        if isinstance(callback, ModelCallback):
            raise CallbackError(
                "for_model(...) is for mindspore.train.Model; a Runner takes the callbacks in it as they are"
            )
        if not isinstance(callback, StockCallback):
            hint = " (the class; call it to make one)" if isinstance(callback, type) else ""
            raise CallbackError(f"MindSporeCallback takes a callback of mindspore.train, not {callback!r}{hint}")
        self.name = name or type(callback).__name__
        if player not in (None, *OPTIMIZERS):
            raise CallbackError(f"{self.name} has no player {player!r}; {choices(str(player), OPTIMIZERS)}")
        self.callback, self.loss, self.player = callback, loss or "g_loss", player or "generator"
        self.loss_chosen, self.player_chosen = loss is not None, player is not None
        self.optional = bool(getattr(callback, "optional", False))
        self._known = known(callback)
        self.persistent = tuple(dict.fromkeys([*self._known.keeps, *_names(self.name, persistent)]))
        for attribute in self.persistent:
            if not hasattr(callback, attribute):
                raise CallbackError(f"{self.name} has no attribute {attribute!r} to keep")
        self._target = callback  # what its __enter__ returned, from then on
        self._handlers = Handlers()
        self._restored: Mapping[str, Any] = {}
        self.join(SharedContext())

    def join(self, context: SharedContext) -> None:
        """Share a context with the other stock callbacks of a run."""
        self._context = context
        context.callbacks.append(self.callback)

    def listens(self, event: Event) -> bool:
        if event is Event.EVAL_END:
            return True
        return event is not Event.CHECKPOINT and any(_has(self.callback, hook) for hook in _heard_as(event))

    def check(self, run: Run) -> Iterable[str]:
        if self.loss not in run.monitors:
            raise CallbackError(
                f"{self.name} takes {self.loss!r} for its loss, which nobody publishes; "
                + choices(self.loss, sorted(run.monitors))
            )
        for hook in NEVER:
            if self._known.hears_evaluations and _has(self.callback, hook):
                yield f"{self.name}.{hook} is never called: a GAN is evaluated all at once"
        yield from self._known.check(self, run)

    def optimizer(self, run: Run) -> Any:
        """Return the player's optimizer; None where there is no network."""
        return getattr(run.train_network, OPTIMIZERS[self.player], None)

    def __enter__(self) -> MindSporeCallback:
        self._context.reset()
        with self._handlers.watched():
            target = self.callback.__enter__()
        self._target = target if isinstance(target, StockCallback) else self.callback
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._target.__exit__(kind, error, trace)
        finally:
            self._handlers.put_back()

    def on_train_begin(self, run: Run) -> None:
        self._tell("on_train_begin", run)
        self._restore(self._restored)  # again: stock callbacks begin by forgetting
        self._restored = {}

    def on_train_epoch_begin(self, run: Run) -> None:
        self._tell("on_train_epoch_begin", run)

    def on_train_step_begin(self, run: Run) -> None:
        self._tell("on_train_step_begin", run)

    def on_train_step_end(self, run: Run) -> None:
        self._tell("on_train_step_end", run)

    def on_eval_end(self, run: Run) -> None:
        self._context.note_evaluation(run)
        for hook in ("on_eval_begin", "on_eval_end"):
            if self._known.hears_evaluations and _has(self.callback, hook):
                self._tell(hook, run, "eval")

    def on_train_epoch_end(self, run: Run) -> None:
        self._tell("on_train_epoch_end", run)

    def on_train_end(self, run: Run) -> None:
        self._tell("on_train_end", run)

    def _tell(self, hook: str, run: Run, mode: str = "train") -> None:
        self._serve(self._context.update(run, mode), run)
        stopped = self._context.stop_requested
        with nullcontext() if hook in STEPS else self._handlers.watched():
            getattr(self._target, hook)(self._context.run_context)
        if self._context.stop_requested and not stopped:
            run.stop(f"{self.name} asked to stop at step {run.step:,}")
        elif reason := self._known.wants_to_stop(self.callback):
            run.stop(f"{self.name}: {reason}")

    def _serve(self, parameters: Parameters, run: Run) -> None:
        there = self.loss in run.scalars if run.step else False
        parameters.serve(self.name, partial(self._loss, run) if there else None)
        parameters.update(network=getattr(run, self.player), optimizer=self.optimizer(run))

    def _loss(self, run: Run) -> Any:
        value = run.scalars[self.loss]
        return Number(value) if self._known.loss_as_number else ms.Tensor.from_numpy(np.array(value, np.float32))

    def state(self) -> dict[str, Any]:
        return {name: _plain(getattr(self.callback, name), f"{self.name}.{name}") for name in self.persistent}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._restored = {name: state[name] for name in self.persistent if name in state}
        self._restore(self._restored)

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self.callback, name, value)


def adapted(callbacks: Any) -> list[Any]:
    """Wrap the stock callbacks among others, and let all of them share one ``run_context``.

    A bare one whose class's name is taken is called after its class and a number. One callback is a list of one,
    as in ``Model.train``.

    Raises:
        CallbackError: one is attached twice.
    """
    callbacks = [callbacks] if isinstance(callbacks, (Callback, StockCallback)) else list(callbacks)
    context, found = SharedContext(), list[Any]()
    names = {each.name for each in callbacks if isinstance(each, Callback)}
    for position, each in enumerate(callbacks):
        callback = MindSporeCallback(each, name=_free(each, names)) if isinstance(each, StockCallback) else each
        if isinstance(callback, MindSporeCallback):
            if any(callback.callback is other for other in context.callbacks):
                raise CallbackError(f"callbacks[{position}], {callback.name}, is attached twice")
            callback.join(context)
        found.append(callback)
    return found


def _free(callback: Any, names: set[str]) -> str:
    name = type(callback).__name__
    free = next(each for number in count(2) for each in (name, f"{name} {number}") if each not in names)
    names.add(free)
    return free


def _heard_as(event: Event) -> tuple[str, ...]:
    """Return the methods of a stock callback that an event ends up in: the new name, and the old."""
    return (event.value, event.value.removeprefix("on_train_"))


def _has(callback: Any, hook: str) -> bool:
    """Whether a stock callback has a method of its own: by its class, or set on it as LambdaCallback does."""
    if hook in vars(callback):
        return getattr(vars(callback)[hook], "__qualname__", "") != UNSET
    return getattr(type(callback), hook) is not getattr(StockCallback, hook)


def _names(who: str, persistent: Iterable[str]) -> tuple[str, ...]:
    if isinstance(persistent, str):
        raise CallbackError(f"{who} takes persistent=({persistent!r},), a tuple of names, not one name")
    return tuple(persistent)


def _plain(value: Any, what: str) -> Any:
    """Return a value as JSON keeps it: NumPy's numbers and Number as Python's."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return float(value) if isinstance(value, float) else int(value)
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        return _plain(value.item(), what)
    if isinstance(value, (list, tuple)):
        return [_plain(each, what) for each in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(each, what) for key, each in value.items()}
    raise CallbackError(f"{what} is kept in checkpoints, and JSON cannot hold {value!r}")
