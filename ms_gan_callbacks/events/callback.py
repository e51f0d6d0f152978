"""The contract of a callback: its hooks, what it may keep, and what it declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import CallbackError, choices
from ms_gan_callbacks.events.events import Event, Every
from ms_gan_callbacks.events.run import Run


class Callback:
    """Watches a run and asks for things; override the hooks you need, each takes the :class:`Run`.

    Attributes:
        name: how messages and checkpoints call this callback; two that keep state need different names.
        order: lower is told first; callbacks of equal order are told in the order they were attached.
        optional: whether an exception in a hook detaches this callback instead of ending the run.
        persistent: names of the attributes, of JSON type, that a checkpoint keeps and a resume restores.
        needs: what not every run has, and this callback cannot do without: "a generator", "rollbacks".
        publishes: names that this callback logs and others may monitor.
        companions: callbacks that come with this one; the bus attaches them after it.
        writes: paths below the run's folder that this callback writes, with ``*`` where they vary.
        carried_over: names of attributes that the next run finds as the last one left them, such as a connection;
            all others are put back to what they were when the callback was made.
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
                raise CallbackError(f"{cls.__name__}.{method} would never be called; {choices(method, hooks)}")

    def listens(self, event: Event) -> bool:
        """Tell whether to be told of an event: of those whose hooks the class overrides."""
        return getattr(type(self), event.value) is not getattr(Callback, event.value)

    def __enter__(self) -> Callback:
        """Acquire what the callback needs; called before ``on_train_begin``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it; always called, also after a failure."""

    def on_train_begin(self, run: Run) -> None:
        """Be told that training begins."""

    def on_train_epoch_begin(self, run: Run) -> None:
        """Be told that an epoch begins."""

    def on_train_step_begin(self, run: Run) -> None:
        """Be told that a step begins; both players stand as the last step left them."""

    def on_train_step_end(self, run: Run) -> None:
        """Be told that both players are updated."""

    def on_eval_end(self, run: Run) -> None:
        """Be told that ``run.metrics`` is new."""

    def on_train_epoch_end(self, run: Run) -> None:
        """Be told that an epoch is complete."""

    def on_checkpoint(self, run: Run) -> None:
        """Be told that a checkpoint, ``run.checkpoint``, is safely on the disk."""

    def on_train_end(self, run: Run) -> None:
        """Be told that training ended by itself or was asked to."""

    def check(self, run: Run) -> Iterable[str]:
        """Look at the run before its first step: yield warnings, raise CallbackError for what cannot work."""
        return ()

    def see_logged(self, run: Run) -> None:
        """See what was logged at an event, before or after this one's turn: called once all have been told."""

    def summary(self) -> str | None:
        """Return one line for the closing summary, if there is something to tell."""
        return None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the ``persistent`` attributes.

        It is asked for just before a checkpoint is written: whoever writes files of their own makes sure here that
        they are not behind it.
        """
        return {attribute: getattr(self, attribute) for attribute in self.persistent}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        for attribute in self.persistent:
            setattr(self, attribute, state[attribute])


class Periodic(Callback):
    """Does one thing, :meth:`act`, whenever a schedule says so, and once more after the run's last step."""

    every = Every.epochs(1)

    def __init__(self, every: Every) -> None:
        if not isinstance(every, Every):
            raise CallbackError(
                f"{self.name} takes a schedule such as Every.steps(50) or Every.epochs(1), not {every!r}"
            )
        self.every = every

    def act(self, run: Run) -> None:
        """Do it."""
        raise NotImplementedError(f"{type(self).__name__} has no method act(self, run)")

    def on_train_step_end(self, run: Run) -> None:
        if not self.every.by_epoch and self.every.due(run):
            self.act(run)

    def on_train_epoch_end(self, run: Run) -> None:
        if self.every.by_epoch and self.every.due(run):
            self.act(run)

    def on_train_end(self, run: Run) -> None:
        if not self.every.due(run):
            self.act(run)

    def check(self, run: Run) -> Iterable[str]:
        if why := self.every.why_never(run):
            yield f"{self.name}: {why}; it will act only once, after the last step"


class Writer(Periodic):
    """Takes a run's numbers and pictures elsewhere: override :meth:`write`, and :meth:`write_images` for pictures.

    The step's scalars are written when they are due; what other callbacks log, at the event they log it in, be
    they told of it before or after this one; quality metrics whenever they are new.
    """

    order = 90  # after those that log

    def write(self, run: Run, values: Mapping[str, float]) -> None:
        """Write numbers that belong to ``run.step``."""
        raise NotImplementedError(f"{type(self).__name__} has no method write(self, run, values)")

    def write_images(self, run: Run, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Write pictures, (H, W) or (H, W, 3), that belong to ``run.step``."""

    def act(self, run: Run) -> None:
        self.write(run, run.scalars.of_step())

    def see_logged(self, run: Run) -> None:
        numbers, pictures = run.unseen(self)
        if numbers:
            self.write(run, numbers)
        if pictures:
            self.write_images(run, pictures)

    def on_train_step_end(self, run: Run) -> None:
        super().on_train_step_end(run)
        self.see_logged(run)

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


def optional(callback: C) -> C:
    """Let a run outlive this callback: an exception in it detaches it, with a warning, and the run goes on."""
    callback.optional = True
    return callback
