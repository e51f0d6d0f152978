"""Session: a run and its callbacks; emits events, writes checkpoints and removes old ones.

The training loop, the run of a ``mindspore.train.Model`` and a simulated run are sessions:
all three call callbacks in the same order and write checkpoints at the same point of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.storage.checkpoints import Checkpoint, CheckpointStore


class Session:
    """A run with its callbacks and its checkpoints.

    Args:
        note: called with each event after the callbacks, before the logged values are cleared.

    Attributes:
        kept: steps of the retained checkpoints, by the owner of the request.
        resumed_from: step of the checkpoint that the run was resumed from; it is retained, too.
    """

    def __init__(
        self, run: Run, bus: CallbackBus, store: CheckpointStore, note: Callable[[Event], None] | None = None
    ) -> None:
        self.run, self.bus, self.store, self._note = run, bus, store, note
        self.kept: dict[str, list[int]] = {}
        self.resumed_from: int | None = None

    def emit(self, event: Event) -> None:
        """Call the hooks of an event, then clear the values they logged."""
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
        """Write the requested checkpoint, if any. Call it after all events of the step."""
        requests = self.run.requests
        asked, requests.checkpoints = requests.checkpoints, {}
        if not asked:
            return
        for owner, count in asked.items():
            steps = [*(step for step in self.kept.get(owner, []) if step != self.run.step), self.run.step]
            self.kept[owner] = steps if count is None else steps[-count:]
        self.save()
        self.prune()
        self.emit(Event.CHECKPOINT)

    def save(self) -> None:
        """Write a checkpoint of the current step."""
        self.run.checkpoint = self.store.save(self.run.step, self.weights(), self.state())

    def prune(self) -> None:
        """Remove the checkpoints that are no longer retained."""
        steps = {step for kept in self.kept.values() for step in kept}
        self.store.prune(steps if self.resumed_from is None else steps | {self.resumed_from})

    def weights(self) -> Mapping[str, NDArray[Any]]:
        """Return the parameters that a checkpoint holds, by name."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint's ``state.json``."""
        return {
            "progress": asdict(self.run.progress),
            "metrics": self.run.metrics,
            "kept": self.kept,
            "callbacks": self.bus.state(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore metrics and callback states from a checkpoint; subclasses also restore weights and progress."""
        state = checkpoint.state
        self.run.metrics.clear()
        self.run.metrics.update(state["metrics"])
        self.bus.load_state(state["callbacks"])
        self.kept = {owner: [int(step) for step in steps] for owner, steps in state["kept"].items()}
        self.resumed_from, self.run.checkpoint = checkpoint.step, checkpoint.path
