"""Callbacks of ``mindspore.train`` in a run, unmodified.

::

    Runner.train(10, images, callbacks=[LossMonitor(100), History()])
    MindSporeCallback(LearningRateScheduler(halve), player="discriminator")     with options

    event                       method of the MindSpore callback
    on_train_begin              on_train_begin, which calls begin
    on_train_epoch_begin, ...   the same names, which call epoch_begin, step_begin, step_end, epoch_end
    on_eval_end                 on_eval_begin, on_eval_end, if overridden
    on_train_end                on_train_end, which calls end
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any

import mindspore as ms
import numpy as np
from mindspore.train import Callback as StockCallback

from ms_gan_callbacks.errors import CallbackError, suggest
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.interop.context import Number, SharedContext
from ms_gan_callbacks.interop.model import ModelCallback
from ms_gan_callbacks.interop.quirks import find_quirks
from ms_gan_callbacks.interop.signals import Handlers

UNSET = "LambdaCallback.__init__.<locals>.<lambda>"
"""Qualified name of the hooks that a LambdaCallback sets for missing arguments."""
NEVER = ("on_eval_epoch_begin", "on_eval_epoch_end", "on_eval_step_begin", "on_eval_step_end")
STEPS = ("on_train_step_begin", "on_train_step_end")


class MindSporeCallback(Callback):
    """Adapts a MindSpore callback to a run; applied automatically to MindSpore callbacks in a list of callbacks.

    The callback receives the same parameters as in ``mindspore.train.Model``: ``net_outputs`` is a scalar Tensor,
    one loss; ``metrics`` and ``eval_results`` are the most recent metrics, from an evaluation to the end of its
    epoch; ``train_network`` contains both players and both optimizers; ``cb_params.run`` is the :class:`Run`.
    ``request_stop()`` ends the run after the step. Replaced signal handlers are restored after the run.

    Args:
        callback: the MindSpore callback.
        loss: name of the scalar to use as the loss, by default ``g_loss``.
        player: the player that ``network`` and ``optimizer`` refer to, by default the generator.
        persistent: attributes of the callback, of JSON type, to save in checkpoints, in addition to the known ones
            of MindSpore's callbacks.
        name: name in messages and checkpoints; by default the name of the class.

    Raises:
        CallbackError: ``callback`` is not a MindSpore callback, an option is invalid, or (before the first step)
            the callback cannot work in a GAN's run.
    """

    def __init__(
        self,
        callback: Any,
        *,
        loss: str | None = None,
        player: str | None = None,
        persistent: Iterable[str] = (),
        name: str | None = None,
    ) -> None:
        if isinstance(callback, ModelCallback):
            raise CallbackError(
                "for_model(...) is for mindspore.train.Model; pass its callbacks to the Runner directly"
            )
        if not isinstance(callback, StockCallback):
            hint = " (a class: pass an instance)" if isinstance(callback, type) else ""
            raise CallbackError(
                f"MindSporeCallback requires a callback of mindspore.train, not {callback!r}{hint}"
            )
        self.name = name or type(callback).__name__
        self.callback, self.loss, self.player = callback, loss or "", player or "generator"
        self.loss_chosen, self.player_chosen = loss is not None, player is not None
        self.optional = bool(getattr(callback, "optional", False))
        if isinstance(persistent, str):
            raise CallbackError(f"{self.name}: persistent must be a tuple of names: persistent=({persistent!r},)")
        self._quirks = find_quirks(callback)
        self.persistent = tuple(dict.fromkeys([*self._quirks.keeps, *persistent]))
        for attribute in self.persistent:
            if not hasattr(callback, attribute):
                raise CallbackError(f"{self.name}: persistent lists {attribute!r}, which is not an attribute")
        self._target = callback  # later the return value of its __enter__
        self._handlers = Handlers()
        self._restored: Mapping[str, Any] = {}
        self.join(SharedContext())

    def join(self, context: SharedContext) -> None:
        """Share a context with the other MindSpore callbacks of a run."""
        self._context = context
        context.callbacks.append(self.callback)

    def listens(self, event: Event) -> bool:
        if event is Event.EVAL_END:
            return True
        hooks = (event.value, event.value.removeprefix("on_train_"))  # the second is the older name
        return event is not Event.CHECKPOINT and any(_overrides(self.callback, hook) for hook in hooks)

    def check(self, run: Run) -> Iterable[str]:
        self._choose_player(run)
        if self.loss not in run.monitors:
            known = suggest(self.loss, sorted(run.monitors))
            raise CallbackError(f"{self.name}: unknown loss {self.loss!r}; {known}")
        for hook in NEVER:
            if self._quirks.evaluates and _overrides(self.callback, hook):
                yield f"{self.name}.{hook} is never called: a GAN is evaluated in a single call"
        yield from self._quirks.check(self, run)

    def _choose_player(self, run: Run) -> None:
        """Check the player, and choose one and its loss by default."""
        if run.optimizers and self.player not in run.optimizers:
            if self.player_chosen:
                known = suggest(self.player, run.optimizers)
                raise CallbackError(f"{self.name}: unknown player {self.player!r}; {known}")
            self.player = next(iter(run.optimizers))
        losses = (self.loss, f"{self.player}_loss", "g_loss") if not self.loss_chosen else (self.loss,)
        self.loss = next((loss for loss in losses if loss in run.monitors), self.loss or "g_loss")

    def optimizer(self, run: Run) -> Any:
        """Return the player's optimizer; None in a run without networks."""
        return run.optimizers.get(self.player)

    def __enter__(self) -> MindSporeCallback:
        self._context.reset()
        with self._handlers.track():
            target = self.callback.__enter__()
        self._target = target if isinstance(target, StockCallback) else self.callback
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._target.__exit__(kind, error, trace)
        finally:
            self._handlers.restore()

    def on_train_begin(self, run: Run) -> None:
        self._call("on_train_begin", run)
        self._restore(self._restored)  # again: on_train_begin of MindSpore's callbacks resets their state
        self._restored = {}

    def on_train_epoch_begin(self, run: Run) -> None:
        self._call("on_train_epoch_begin", run)

    def on_train_step_begin(self, run: Run) -> None:
        self._call("on_train_step_begin", run)

    def on_train_step_end(self, run: Run) -> None:
        self._call("on_train_step_end", run)

    def on_eval_end(self, run: Run) -> None:
        self._context.evaluated_in = run.epoch
        for hook in ("on_eval_begin", "on_eval_end"):
            if self._quirks.evaluates and _overrides(self.callback, hook):
                self._call(hook, run, "eval")

    def on_train_epoch_end(self, run: Run) -> None:
        self._call("on_train_epoch_end", run)

    def on_train_end(self, run: Run) -> None:
        self._call("on_train_end", run)

    def _call(self, hook: str, run: Run, mode: str = "train") -> None:
        context, parameters = self._context.run_context, self._context.update(run, mode)
        available = run.step > 0 and self.loss in run.scalars
        parameters.serve(self.name, partial(self._read_loss, run) if available else None)
        parameters.update(network=run.networks.get(self.player, run.train_network), optimizer=self.optimizer(run))
        stopped = context.get_stop_requested()
        with nullcontext() if hook in STEPS else self._handlers.track():
            getattr(self._target, hook)(context)
        if context.get_stop_requested() and not stopped:
            run.stop(f"{self.name} requested a stop at step {run.step:,}")
        elif reason := self._quirks.find_stop(self.callback):
            run.stop(f"{self.name}: {reason}")

    def _read_loss(self, run: Run) -> Any:
        value = run.scalars[self.loss]
        return Number(value) if self._quirks.loss_as_number else ms.Tensor.from_numpy(np.array(value, np.float32))

    def state(self) -> dict[str, Any]:
        return {name: _to_json(getattr(self.callback, name), f"{self.name}.{name}") for name in self.persistent}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._restored = {name: state[name] for name in self.persistent if name in state}
        self._restore(self._restored)

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self.callback, name, value)


def adapt_callbacks(callbacks: Any) -> list[Any]:
    """Wrap the MindSpore callbacks in a list; all of them share one ``run_context``.

    Callbacks of the same class get a number in their name. A single callback is accepted, as in ``Model.train``.

    Raises:
        CallbackError: a callback is attached twice.
    """
    callbacks = [callbacks] if isinstance(callbacks, (Callback, StockCallback)) else list(callbacks)
    context, found = SharedContext(), list[Any]()
    names = {each.name for each in callbacks if isinstance(each, Callback)}
    for position, each in enumerate(callbacks):
        callback = each
        if isinstance(each, StockCallback):
            callback = MindSporeCallback(each, name=_choose_name(type(each).__name__, names))
        if isinstance(callback, MindSporeCallback):
            if any(callback.callback is other for other in context.callbacks):
                raise CallbackError(f"callbacks[{position}], {callback.name}, is attached twice")
            callback.join(context)
        found.append(callback)
    return found


def _choose_name(name: str, names: set[str]) -> str:
    """Return a name that is not in ``names``, with a number if necessary, and add it."""
    free = next(each for number in count(2) for each in (name, f"{name} {number}") if each not in names)
    names.add(free)
    return free


def _overrides(callback: Any, hook: str) -> bool:
    """Return whether a MindSpore callback overrides a hook, in its class or (LambdaCallback) in the object."""
    if hook in vars(callback):
        return getattr(vars(callback)[hook], "__qualname__", "") != UNSET
    return getattr(type(callback), hook) is not getattr(StockCallback, hook)


def _to_json(value: Any, name: str) -> Any:
    """Convert a value to JSON types: NumPy numbers and Number to int and float."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return float(value) if isinstance(value, float) else int(value)
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        return _to_json(value.item(), name)
    if isinstance(value, (list, tuple)):
        return [_to_json(each, name) for each in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _to_json(each, name) for key, each in value.items()}
    raise CallbackError(f"{name} is persistent, but cannot be stored as JSON: {value!r}")
