"""The loop of the ranks other than 0: it trains, without callbacks, evaluation and files."""

from __future__ import annotations

from pathlib import Path

from ms_gan_callbacks.errors import Interrupted
from ms_gan_callbacks.events.requests import Requests, RollBack
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.training.loop import TrainingLoop
from ms_gan_callbacks.training.ranks import Left, Order


class Follower(TrainingLoop):
    """Takes the steps that rank 0 takes, and leaves when rank 0 does."""

    def commit(self) -> None:
        """Save nothing: rank 0 does."""
        self.run.requests.checkpoints = {}

    def get_signal(self) -> int | None:
        """Return None: rank 0 ends the run for all ranks, which it does one step after a signal to any of them."""
        return None

    def train(self) -> RollBack | None:
        """Train until rank 0 ends the run; after a rollback, from the checkpoint that rank 0 returned to."""
        while True:
            before = self.run.progress.step
            try:
                return super().train()
            except Left as left:
                self._obey(left, before)
                if left.order is Order.END:
                    return None

    def start_ranks(self) -> None:
        """Restore the checkpoint that rank 0 has restored, if any."""
        self.run.out_dir = Path(self.players.world.share(""))
        self.store = CheckpointStore(self.run.out_dir / "checkpoints")
        self.restore_step(self.agreement.start())
        self.agreement.check_weights()

    def restore_step(self, value: int) -> None:
        """Restore the checkpoint of a step; the value is the step plus 1, or 0 for none."""
        if value:
            self.restore(self.store.load(value - 1, self.players.weights()))

    def _obey(self, left: Left, before: int) -> None:
        if left.order is Order.ROLL_BACK:
            self.restore_step(left.value)
            self.run.requests = Requests()
            return
        if left.order is Order.INTERRUPT:
            raise Interrupted("interrupted together with rank 0", left.value)
        # The step that has begun here was not taken.
        self.run.progress.step = max(before, self.run.progress.step - 1)
        self.run.stop("rank 0 ended the run")
        if left.value:
            self.load_best(left.value - 1)
