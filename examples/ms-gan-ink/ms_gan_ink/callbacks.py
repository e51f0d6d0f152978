"""InkLog: logs the mean brightness of generated images."""

from ms_gan_callbacks import Every, Periodic, Run


class InkLog(Periodic):
    """Logs the mean brightness of the generated images: 0 is black, 1 is white."""

    publishes = ("ink",)

    def __init__(self, every: Every = Every.steps(50), samples: int = 64) -> None:
        super().__init__(every)
        self.samples = samples

    def act(self, run: Run) -> None:
        """Log the mean brightness of images generated from fixed noise."""
        run.log(ink=float(run.sample(self.samples, "ink").mean() + 1) / 2)
