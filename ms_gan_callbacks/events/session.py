"""One run with the callbacks that watch it: emits events, commits checkpoints, and decides which of them stay.

The training loop, the adapter for ``mindspore.train.Model`` and the test kit each have one, so that all three call
callbacks in the same order, with the same log, and write checkpoints at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.storage.checkpoints import CheckpointStore


class Session:
    """Runs the callbacks of one run.

    Args:
        run: the run.
        bus: its callbacks.
        store: where its checkpoints are; None where none is written.
        note: called with each event after the callbacks, before what they logged is forgotten.

    Attributes:
        kept: the steps whose checkpoints stay, by the owner of the request.
        resumed_from: the step of the checkpoint that the run continues; it stays, too.
    """

    def __init__(
        self,
        run: Run,
        bus: CallbackBus,
        store: CheckpointStore | None,
        note: Callable[[Event], None] | None = None,
    ) -> None:
        self.run, self.bus, self.store, self._note = run, bus, store, note
        self.kept: dict[str, list[int]] = {}
        self.resumed_from: int | None = None

    def emit(self, event: Event) -> None:
        """Call the hooks of an event; what they logged is forgotten afterwards."""
        self.bus.emit(event, self.run, self._note)

    def begin(self) -> None:
        """Start training: call the first hooks, and write a checkpoint if one is requested."""
        self.emit(Event.TRAIN_BEGIN)
        self.commit()

    def end(self) -> int | None:
        """End training: call the last hooks, and write a checkpoint if one is requested.

        Returns:
            The step whose weights the networks are to end with, if a callback asked for one.
        """
        self.emit(Event.TRAIN_END)
        best = self.run.requests.end_with  # read first: a request made during the commit comes too late
        self.commit()
        return best

    def commit(self) -> None:
        """Write the requested checkpoint, if any: call this once all events of the step are emitted."""
        requests = self.run.requests
        asked, requests.checkpoints = requests.checkpoints, {}
        if not asked:
            return
        self._keep(asked)
        self.save()
        if self.store is not None:
            steps = {step for kept in self.kept.values() for step in kept}
            self.store.prune(steps if self.resumed_from is None else steps | {self.resumed_from})
        self.emit(Event.CHECKPOINT)

    def _keep(self, asked: Mapping[str, int | None]) -> None:
        """Keep this step's checkpoint for each owner, and as many of the owner's older ones as requested."""
        for owner, count in asked.items():
            steps = [*(step for step in self.kept.get(owner, []) if step != self.run.step), self.run.step]
            self.kept[owner] = steps if count is None else steps[-count:]

    def save(self) -> None:
        """Write a checkpoint of the current step."""
        if self.store is None:
            raise RuntimeError("this session has no checkpoints")
        self.run.checkpoint = self.store.save(self.run.step, self.weights(), self.state())

    def weights(self) -> Mapping[str, NDArray[Any]]:
        """Return the parameters that a checkpoint holds, by name."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return the rest of what a checkpoint holds, as JSON values."""
        return {
            "progress": asdict(self.run.progress),
            "metrics": self.run.metrics,
            "kept": self.kept,
            "callbacks": self.bus.state(),
        }

    def restore(self, state: Mapping[str, Any], step: int, folder: Path) -> None:
        """Continue from a checkpoint: its state, its step and its folder. The caller restores the progress."""
        self.run.metrics.clear()
        self.run.metrics.update(state["metrics"])
        self.bus.load_state(state["callbacks"])
        self.kept = {owner: [int(step) for step in steps] for owner, steps in state["kept"].items()}
        self.resumed_from, self.run.checkpoint = step, folder
