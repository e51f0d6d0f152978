"""Base classes of callbacks: ``Callback``, ``Periodic`` and ``Writer``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import CallbackError, suggest
from ms_gan_callbacks.events.events import Event, Every
from ms_gan_callbacks.events.run import Run


class Callback:
    """Base class of callbacks: observes a run and makes requests. Override the hooks you need.

    Attributes:
        name: name in messages and checkpoints; two stateful callbacks in a run need different names.
        order: callbacks with a lower order are called first; those of equal order in the order of attachment.
        optional: if True, an exception in a hook detaches this callback instead of ending the run.
        persistent: names of the attributes, of JSON type, that are saved in checkpoints and restored on resume.
        needs: features of a run that this callback requires: "a generator", "rollbacks".
        publishes: names that this callback logs and other callbacks can monitor.
        companions: callbacks that are attached after this one.
        writes: paths that this callback writes, as patterns relative to the run directory.
        carried_over: names of attributes that keep their value from one run to the next, such as a connection;
            all others are reset to their initial value.
    """

    name: str = "Callback"
    order: int = 0
    optional: bool = False
    persistent: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ()
    companions: tuple[Callback, ...] = ()
    writes: tuple[str, ...] = ()
    carried_over: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = cls.__dict__.get("name", cls.__name__)
        hooks = [event.value for event in Event]
        for method in vars(cls):
            if method.startswith("on_") and method not in hooks:
                raise CallbackError(f"{cls.__name__}.{method} would never be called; {suggest(method, hooks)}")

    def listens(self, event: Event) -> bool:
        """Return whether to call the event's hook; by default whether the class overrides it."""
        return getattr(type(self), event.value) is not getattr(Callback, event.value)

    def __enter__(self) -> Callback:
        """Acquire resources; called before ``on_train_begin``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release resources; always called, also after an exception."""

    def on_train_begin(self, run: Run) -> None:
        """Called once, before the first step."""

    def on_train_epoch_begin(self, run: Run) -> None:
        """Called before the first step of an epoch."""

    def on_train_step_begin(self, run: Run) -> None:
        """Called before both players are updated."""

    def on_train_step_end(self, run: Run) -> None:
        """Called after both players were updated."""

    def on_eval_end(self, run: Run) -> None:
        """Called after ``run.metrics`` was updated."""

    def on_train_epoch_end(self, run: Run) -> None:
        """Called after the last step of an epoch."""

    def on_checkpoint(self, run: Run) -> None:
        """Called after a checkpoint, ``run.checkpoint``, was written and flushed to disk."""

    def on_train_end(self, run: Run) -> None:
        """Called once, after the last step; not after an exception."""

    def check(self, run: Run) -> Iterable[str]:
        """Check the run before its first step: yield warnings; raise CallbackError if the callback cannot work."""
        return ()

    def see_logged(self, run: Run) -> None:
        """Called after an event was delivered to all callbacks, if any of them logged values."""

    def summary(self) -> str | None:
        """Return one line for the closing summary, or None."""
        return None

    def state(self) -> dict[str, Any]:
        """Return the state to save in a checkpoint: the ``persistent`` attributes.

        Called immediately before a checkpoint is written. Callbacks that write files flush them here, so that the
        files are not behind the checkpoint.
        """
        return {attribute: getattr(self, attribute) for attribute in self.persistent}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by :meth:`state`."""
        for attribute in self.persistent:
            setattr(self, attribute, state[attribute])


class Periodic(Callback):
    """Base class of callbacks that call :meth:`act` on a schedule, and once after the run's last step."""

    every = Every.epochs(1)

    def __init__(self, every: Every) -> None:
        if not isinstance(every, Every):
            raise CallbackError(
                f"{self.name}: every must be a schedule such as Every.steps(50) or Every.epochs(1), not {every!r}"
            )
        self.every = every

    def act(self, run: Run) -> None:
        """Perform the action; override this method."""
        raise NotImplementedError(f"{type(self).__name__} has no method act(self, run)")

    def on_train_step_end(self, run: Run) -> None:
        if self.every.unit == "steps" and self.every.due(run.progress):
            self.act(run)

    def on_train_epoch_end(self, run: Run) -> None:
        if self.every.by_epoch and self.every.due(run):
            self.act(run)

    def on_train_end(self, run: Run) -> None:
        if not self.every.due(run):
            self.act(run)

    def check(self, run: Run) -> Iterable[str]:
        if why := self.every.why_never(run):
            yield f"{self.name}: {why}; it acts only once, after the last step"


class Writer(Periodic):
    """Base class of loggers: override :meth:`write`, and :meth:`write_images` to write images.

    The step's scalars are written on the schedule, values logged by callbacks after the event in which they are
    logged, and quality metrics after every evaluation.
    """

    order = 90  # after those that log

    def write(self, run: Run, values: Mapping[str, float]) -> None:
        """Write the numbers of step ``run.step``."""
        raise NotImplementedError(f"{type(self).__name__} has no method write(self, run, values)")

    def write_images(self, run: Run, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Write the images of step ``run.step``, uint8 of shape (H, W) or (H, W, 3)."""

    def act(self, run: Run) -> None:
        self.write(run, run.scalars.of_step())

    def see_logged(self, run: Run) -> None:
        numbers, images = run.unseen(self)
        if numbers:
            self.write(run, numbers)
        if images:
            self.write_images(run, images)

    def on_eval_end(self, run: Run) -> None:
        self.write(run, run.metrics)
        self.see_logged(run)

    def on_train_epoch_end(self, run: Run) -> None:
        super().on_train_epoch_end(run)
        self.see_logged(run)

    def on_checkpoint(self, run: Run) -> None:
        self.see_logged(run)

    def on_train_end(self, run: Run) -> None:
        super().on_train_end(run)
        self.see_logged(run)


C = TypeVar("C", bound=Callback)


def is_callback_class(kind: type) -> bool:
    """Return whether a class is one of callbacks, of this package or of MindSpore."""
    return callable(getattr(kind, "on_train_begin", None))


def optional(callback: C) -> C:
    """Make a callback optional: an exception in it detaches it, with a warning, and the run continues.

    Raises:
        CallbackError: it is not a callback.
    """
    if not is_callback_class(type(callback)):
        raise CallbackError(f"optional(...) requires a callback, not {callback!r}")
    callback.optional = True
    return callback
