"""The training loop."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import read_batches
from ms_gan_callbacks.data.labels import read_with_labels
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.errors import Interrupted
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.requests import RollBack
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.events.session import Session
from ms_gan_callbacks.models.games.chance import draw_all
from ms_gan_callbacks.models.games.game import STEP
from ms_gan_callbacks.models.games.rendering import Inputs
from ms_gan_callbacks.models.movement import Movement
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.storage.checkpoints import Checkpoint, CheckpointStore
from ms_gan_callbacks.training.evaluator import Evaluator
from ms_gan_callbacks.training.ranks import Agreement, Order

AHEAD_BYTES = 2**22
"""Maximum size of the batches that are prepared in advance."""


class Interruption(Protocol):
    """Requests from outside to end the loop, such as signals."""

    received: int | None

    def defer(self) -> AbstractContextManager[None]:
        """Defer the interruption inside of the context; the loop checks ``received`` between steps."""
        ...


class NoInterruption:
    """Never interrupts: signals are left to the program that uses the library."""

    received: int | None = None

    def defer(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class TrainingLoop(Session):
    """Trains from ``run.progress`` to the last epoch, or until a callback requests a stop.

    Args:
        players: the networks to train, which checkpoints contain with their optimizers.
        source: the training data.
        evaluator: computes metrics on schedule.
        interruption: checked between steps.
        on_step: called after each step's updates, before its events.
    """

    def __init__(
        self,
        run: Run,
        bus: CallbackBus,
        store: CheckpointStore,
        players: Players,
        source: Source,
        evaluator: Evaluator,
        interruption: Interruption,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(run, bus, store)
        self.players, self.source, self.evaluator = players, source, evaluator
        self._interruption, self._on_step = interruption, on_step
        self.agreement = Agreement(players.world, players)
        self._movement = Movement(players.networks, players.players, players.optimizers)
        # Sources that decode files can leave out the rows of other ranks.
        divide = getattr(source, "divide", None) if players.world.size > 1 else None
        self._part: Source = source if divide is None else divide(players.world.rank, players.world.size)

    def weights(self) -> Mapping[str, NDArray[Any]]:
        """Return the parameters of both players and their optimizers."""
        return self.players.weights(copy=False)

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint's ``state.json``."""
        return super().state() | {
            "batch_size": self.source.batch_size,
            "epoch_means": self.run.epoch_means.state(),
            "rollbacks": self.run.rollbacks,
        }

    def train(self) -> RollBack | None:
        """Train; exceptions of networks and callbacks propagate after every callback's ``__exit__``.

        Returns:
            The rollback that a callback requested; None if the run has ended.
        """
        with self._interruption.defer(), self.bus:
            if number := self.get_signal():
                self._interrupt(number)
            self.begin()
            for epoch in range(self.run.progress.next_epoch, self.run.progress.epochs + 1):
                self._train_epoch(epoch)
                if self.run.requests.roll_back:
                    return self.run.requests.roll_back
                if self.run.stop_reason:
                    break
            best = self.end()
            value = self.agreement.leave(Order.END, 0 if best is None else best + 1)
        if value:
            self.load_best(value - 1)
        return None

    def start_ranks(self) -> None:
        """Let the other ranks restore the checkpoint of this loop, if there is one, before :meth:`train`."""
        self.players.world.share(str(self.run.out_dir))
        self.agreement.start(0 if self.run.checkpoint is None else self.run.step + 1)
        self.agreement.check_weights()

    def load_best(self, step: int) -> None:
        """Load the weights of a retained checkpoint at the end of the run."""
        self.players.load_weights(self.store.load(step, self.players.weights()).weights)

    def get_signal(self) -> int | None:
        """Return the number of the signal that this rank or another has received, or None."""
        return self._interruption.received or self.agreement.received

    def _train_epoch(self, epoch: int) -> None:
        done = self.run.progress.begin(epoch)  # batches of this epoch consumed already
        if done == 0:
            self.run.epoch_means.restart()
            self.emit(Event.TRAIN_EPOCH_BEGIN)
        for batch in self._prepare_inputs(epoch, done):
            self._train_step(batch)
            if self.run.requests.roll_back:
                return  # the state is discarded: it must not be saved
            number = self.get_signal()  # read once: a signal that arrives while saving waits for a step
            if number:
                self.run.request_checkpoint(keep=1, owner="interruption")
            self.commit()  # writes the requested checkpoint
            if self.run.stop_reason or self.run.step == self.run.steps:
                return
            if number:
                self._interrupt(number)

    def _prepare_inputs(self, epoch: int, done: int) -> Iterator[Inputs]:
        """Yield the inputs of an epoch's steps, starting after ``done`` batches.

        Several batches are prepared at a time: a step evicts the processor's caches, and the first batch prepared
        after it takes six times as long as the next.
        """
        source, step = self.source, self.run.step
        ahead = max(1, min(16, AHEAD_BYTES // (4 * source.batch_size * math.prod(source.image_shape))))
        batches = self._read_batches(epoch, done)
        while some := list(islice(batches, ahead)):
            drawn = [self._draw_inputs(step + number, batch) for number, batch in enumerate(some, 1)]
            step += len(some)
            yield from drawn

    def _read_batches(self, epoch: int, done: int) -> Iterator[Inputs]:
        seed, classes = self.run.seed, self.players.classes
        if classes is None:
            return read_batches(self._part, seed, epoch, done)
        return read_with_labels(self._part, classes, seed, epoch, done)

    def _draw_inputs(self, step: int, batch: Inputs) -> Inputs:
        """Return a step's inputs; random numbers are a function of (seed, stream, step)."""
        run, players = self.run, self.players
        again = f" after rollback {len(run.rollbacks)}" if run.rollbacks else ""
        drawn = draw_all(players.game.chance, run.seed, step, self.source.batch_size, again=again)
        given = {name: np.ascontiguousarray(rows) for name, rows in batch.items()}
        part, size = players.world.part, self.source.batch_size
        rows = {name: part(values, size) for name, values in {**given, **drawn}.items()}
        return {**rows, STEP: np.array(step, np.float32)}

    def _train_step(self, inputs: Inputs) -> None:
        """Train on one batch and emit the step's events."""
        self.run.progress.step += 1
        self.emit(Event.TRAIN_STEP_BEGIN)
        self.agreement.proceed(self._interruption.received)
        due = self.players.steps.list_due(self.run.step)
        if self._movement.waiting:
            self._movement.begin(due)
        scalars = self.players.train_step(inputs, due)
        self._movement.end()
        self.players.step_number = self.run.step
        self._on_step()
        self.run.progress.count_updates(due)
        self.run.scalars.publish(self.players.steps.scalars, scalars)
        self.run.epoch_means.add(scalars)
        self.emit(Event.TRAIN_STEP_END)
        if self.evaluator.due(self.run):
            self.evaluator.evaluate(self.run)
            self.emit(Event.EVAL_END)
        if self.run.progress.ends_epoch:
            self.emit(Event.TRAIN_EPOCH_END)

    def _interrupt(self, number: int) -> NoReturn:
        run = self.run
        self.agreement.leave(Order.INTERRUPT, number)
        if run.checkpoint is None:
            raise Interrupted("interrupted before the first step; nothing was saved", number)
        folder = shlex.quote(str(run.out_dir))
        raise Interrupted(
            f"interrupted and saved at step {run.step:,}; resume with: ms-gan resume {folder}", number
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Load a checkpoint; call it before :meth:`train`."""
        state = checkpoint.state
        self.players.load_weights(checkpoint.weights)
        self.players.step_number = checkpoint.step
        self._restore_progress(state["progress"], state.get("batch_size"))
        self.run.epoch_means.load_state(state["epoch_means"])
        self.run.rollbacks = list(state.get("rollbacks", ()))
        super().restore(checkpoint)

    def _restore_progress(self, then: Mapping[str, int], batch_size: int | None) -> None:
        progress = self.run.progress
        length, progress.steps_per_epoch = progress.steps_per_epoch, int(then["steps_per_epoch"])
        for counter in ("step", "epoch", "d_updates", "g_updates"):
            setattr(progress, counter, int(then[counter]))
        progress.epochs_before = int(then.get("epochs_before", 0))
        progress.steps_before = int(then.get("steps_before", 0))
        if length != progress.steps_per_epoch:
            # Older checkpoints do not contain the batch size: use the epoch lengths instead.
            images = (batch_size, self.source.batch_size) if batch_size else (length, progress.steps_per_epoch)
            progress.change_length(length, images)
