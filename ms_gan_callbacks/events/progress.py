"""Step and epoch counters of a run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass
class Progress:
    """Counters of a run. ``step`` counts real batches, regardless of the number of updates.

    Attributes:
        epochs: planned number of epochs.
        steps_per_epoch: full batches in one pass over the data.
        step: current step, counted from 1; 0 before the first.
        epoch: current epoch, counted from 1; 0 before the first.
        d_updates: updates of the discriminator so far; 0 in other games.
        g_updates: updates of the generator so far; 0 in other games.
        epochs_before: epochs before ``steps_before``.
        steps_before: the step after which epochs are ``steps_per_epoch`` long. Earlier epochs have a different
            length if the run was resumed with another batch size.
    """

    epochs: int
    steps_per_epoch: int
    step: int = 0
    epoch: int = 0
    d_updates: int = 0
    g_updates: int = 0
    epochs_before: int = 0
    steps_before: int = 0

    def count_updates(self, players: Collection[str]) -> None:
        """Count an update of the players ``d`` and ``g``, if they are among these."""
        self.d_updates += "d" in players
        self.g_updates += "g" in players

    @property
    def steps(self) -> int:
        """Planned number of steps."""
        return self.steps_before + (self.epochs - self.epochs_before) * self.steps_per_epoch

    @property
    def next_epoch(self) -> int:
        """Epoch of the next batch."""
        return (self.step - self.steps_before) // self.steps_per_epoch + self.epochs_before + 1

    def begin(self, epoch: int) -> int:
        """Begin an epoch; return the number of its batches that are already consumed."""
        self.epoch = epoch
        return self.step - self.steps_before - (epoch - self.epochs_before - 1) * self.steps_per_epoch

    @property
    def ends_epoch(self) -> bool:
        """Whether the current step is the last of its epoch."""
        return self.step > 0 and (self.step - self.steps_before) % self.steps_per_epoch == 0

    def change_length(self, steps_per_epoch: int, images: tuple[int, int]) -> None:
        """Change the length of an epoch; the current epoch continues after the images it has already used.

        Args:
            steps_per_epoch: full batches in one pass over the data from now on.
            images: the previous and the new batch size.
        """
        epoch = self.next_epoch
        used = self.begin(epoch) * images[0]
        # Partly used batches are not repeated, except the last one: the epoch must still end with a step.
        done = min(-(-used // images[1]), steps_per_epoch - 1)
        self.steps_per_epoch = steps_per_epoch
        self.epochs_before, self.steps_before = epoch - 1, self.step - done
        self.epoch = epoch if used else epoch - 1
