"""Watches the ink of a run's images."""

from ms_gan_callbacks import Every, Periodic, Run


class InkLog(Periodic):
    """Logs how much ink generated images hold: 0 where they are black, 1 where they are white."""

    publishes = ("ink",)

    def __init__(self, every: Every = Every.steps(50), samples: int = 64) -> None:
        super().__init__(every)
        self.samples = samples

    def act(self, run: Run) -> None:
        """Look at images of the same noise each time."""
        run.log(ink=float(run.sample(self.samples, "ink").mean() + 1) / 2)
