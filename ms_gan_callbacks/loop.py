"""The loop of this library: a step is one real batch, every event is told, checkpoints have one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ms_gan_callbacks.bus import CallbackBus
from ms_gan_callbacks.callback import Event
from ms_gan_callbacks.data import Source, stream
from ms_gan_callbacks.networks import Floats
from ms_gan_callbacks.run import Requests, Run
from ms_gan_callbacks.store import CheckpointStore
from ms_gan_callbacks.training import SCALARS, Players

ENDS = (Event.TRAIN_STEP_END, Event.EVAL_END, Event.TRAIN_EPOCH_END, Event.TRAIN_END)


@dataclass
class TrainingLoop:
    """Trains from where ``run.progress`` stands to its last epoch, or until a callback asks to stop."""

    players: Players
    source: Source
    bus: CallbackBus
    run: Run
    store: CheckpointStore

    def train(self) -> None:
        """Train; what a network or a callback raises is raised, after every callback has released."""
        with self.bus:
            self._emit(Event.TRAIN_BEGIN)
            for epoch in range(self.run.progress.next_epoch, self.run.progress.epochs + 1):
                self._train_epoch(epoch)
                if self.run.stop_reason:
                    break
            self._emit(Event.TRAIN_END)
            self._commit()

    def _train_epoch(self, epoch: int) -> None:
        done = self.run.progress.begin(epoch)  # batches of this epoch consumed already
        if done == 0:
            self.run.epoch_means.restart()
            self._emit(Event.TRAIN_EPOCH_BEGIN)
        for real in self.source.batches(self.run.seed, epoch, start=done):
            self._train_step(real)
            self._commit()  # the one place a checkpoint is written
            if self.run.stop_reason:
                return

    def _train_step(self, real: Floats) -> None:
        """Use one real batch: STEP_BEGIN, both updates, STEP_END, and at the epoch's last step EPOCH_END."""
        self.run.progress.step += 1
        self._emit(Event.TRAIN_STEP_BEGIN)
        scalars = self.players.train_step(real, self._noise(self.run.progress.step, len(real)))
        self.run.progress.d_updates += 1
        self.run.progress.g_updates += 1
        self.run.scalars.publish(SCALARS, scalars)
        self.run.epoch_means.add(scalars)
        self._emit(Event.TRAIN_STEP_END)
        if self.run.progress.ends_epoch:
            self._emit(Event.TRAIN_EPOCH_END)

    def _noise(self, step: int, count: int) -> Floats:
        """Return the noise of a step: a function of (seed, step) and of nothing that happened before."""
        return stream(self.run.seed, "noise", step).standard_normal((count, self.run.noise_dim), dtype=np.float32)

    def _emit(self, event: Event) -> None:
        self.bus.emit(event, self.run)
        if event in ENDS:
            self.run.forget_logged()

    def _commit(self) -> None:
        """Write the checkpoint that was asked for, if one was: the step's events are all delivered."""
        requests = self.run.requests
        if not requests.checkpoint:
            return
        self.run.checkpoint = self.store.save(self.run.progress.step, self.players.weights(), self._state())
        self.store.prune(requests.keep)
        self.run.requests = Requests(stop_reason=requests.stop_reason)
        self._emit(Event.CHECKPOINT)

    def _state(self) -> dict[str, Any]:
        return {
            "progress": asdict(self.run.progress),
            "epoch_means": self.run.epoch_means.state(),
            "metrics": self.run.metrics,
            "callbacks": self.bus.state(),
        }
