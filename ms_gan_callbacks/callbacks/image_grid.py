"""ImageGrid: saves grids of images generated from fixed noise."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ms_gan_callbacks.data.images import image_grid, interleave, save_png
from ms_gan_callbacks.errors import CallbackError, is_whole
from ms_gan_callbacks.events.callback import Periodic
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run

COLUMNS = 5


class ImageGrid(Periodic):
    """Saves a grid of generated images as ``samples/epoch-0001.png`` and logs it for other callbacks.

    The noise depends on the run's seed only, so all grids of a run show the same noise vectors. Images are
    generated in evaluation mode; training is not affected. A game shows what its method ``picture`` returns: for
    several groups of images, each row is repeated with the images of every group.

    Args:
        every: when to save. Grids saved within an epoch are named ``step-00000050.png``.
        rows: number of rows, at least 1.
        columns: number of columns, at least 1; by default 5, or in a conditional run one per class.
        folder: subdirectory of the run directory.
        scale: integer factor by which images are enlarged, also in the logged grid; by default chosen by
            :func:`image_grid` from their size, 3 for 28 x 28.

    Raises:
        CallbackError: ``rows``, ``columns`` or ``scale`` is below 1, ``folder`` is not a separate subdirectory, or
            (before the first step) the images are neither greyscale nor RGB.
    """

    needs = ("a generator",)

    def __init__(
        self,
        every: Every = Every.epochs(1),
        rows: int = 5,
        columns: int | None = None,
        folder: str = "samples",
        scale: int | None = None,
    ) -> None:
        super().__init__(every)
        for name, value in (("rows", rows), ("columns", columns), ("scale", scale)):
            if not is_whole(value, 1) and (value is not None or name == "rows"):
                raise CallbackError(f"ImageGrid({name}=...) must be an integer of at least 1, got {value!r}")
        parts = Path(folder).parts
        if not parts or Path(folder).is_absolute() or ".." in parts or parts[0] == "checkpoints":
            raise CallbackError(
                f"ImageGrid(folder=...) must be a separate folder in the run directory, not {folder!r}"
            )
        self.rows, self.columns, self.folder, self.scale = rows, columns, folder, scale
        self.writes = (f"{folder}/{'epoch' if every.by_epoch else 'step'}-*.png",)
        self._newest: str | None = None

    def check(self, run: Run) -> Iterable[str]:
        # This costs no extra time: the generator is compiled for sampling here instead of at the first grid.
        for group in run.picture(1, 1):
            if group.ndim != 4 or group.shape[1] not in (1, 3):
                raise CallbackError(
                    f"{self.name} requires images of shape (1, H, W) or (3, H, W), the generator's are "
                    f"{group.shape[1:]}; remove it, or save images with a custom callback"
                )
        return super().check(run)

    def act(self, run: Run) -> None:
        columns = self.columns or run.classes or COLUMNS
        groups = run.picture(self.rows * columns, columns)
        grid = image_grid(interleave(groups, columns), columns, scale=self.scale)
        whole_epochs = self.every.by_epoch and self.every.due(run)
        name = f"epoch-{run.epoch:04d}.png" if whole_epochs else f"step-{run.step:08d}.png"
        save_png(run.out_dir / self.folder / name, grid)
        run.log({f"{self.folder}/grid": grid})
        self._newest = f"{self.folder}/{name}"

    def summary(self) -> str | None:
        return self._newest
