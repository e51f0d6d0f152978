"""Where a run stands: its counters, and how steps make epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """The counters of a run. ``step`` counts real batches, whatever each player does with them.

    Attributes:
        epochs: how many epochs the run is asked to have in all.
        steps_per_epoch: whole batches in one pass over the data.
        step: the step at hand, from 1; 0 before the first.
        epoch: the epoch at hand, from 1; 0 before the first.
        d_updates: updates of the discriminator so far.
        g_updates: updates of the generator so far.
        epochs_before: epochs before ``steps_before``.
        steps_before: the step from which on epochs are ``steps_per_epoch`` long. A run that goes on with another
            batch size has had epochs of another length before.
    """

    epochs: int
    steps_per_epoch: int
    step: int = 0
    epoch: int = 0
    d_updates: int = 0
    g_updates: int = 0
    epochs_before: int = 0
    steps_before: int = 0

    @property
    def steps(self) -> int:
        """How many steps the run is asked to have in all."""
        return self.steps_before + (self.epochs - self.epochs_before) * self.steps_per_epoch

    @property
    def next_epoch(self) -> int:
        """The epoch that the next batch belongs to."""
        return (self.step - self.steps_before) // self.steps_per_epoch + self.epochs_before + 1

    def begin(self, epoch: int) -> int:
        """Enter an epoch; return how many of its batches have been consumed already."""
        self.epoch = epoch
        return self.step - self.steps_before - (epoch - self.epochs_before - 1) * self.steps_per_epoch

    @property
    def ends_epoch(self) -> bool:
        """Whether the step at hand is its epoch's last."""
        return self.step > 0 and (self.step - self.steps_before) % self.steps_per_epoch == 0

    def change_length(self, steps_per_epoch: int, images: tuple[int, int]) -> None:
        """Let epochs have another length from here on; the epoch at hand goes on behind the images it has used.

        Args:
            steps_per_epoch: whole batches in one pass over the data from now on.
            images: images in a batch until now and from now on.
        """
        epoch = self.next_epoch
        used = self.begin(epoch) * images[0]
        # A batch that was used in part is not used again, but for the epoch's last: the epoch has yet to end.
        done = min(-(-used // images[1]), steps_per_epoch - 1)
        self.steps_per_epoch = steps_per_epoch
        self.epochs_before, self.steps_before = epoch - 1, self.step - done
        self.epoch = epoch if used else epoch - 1
