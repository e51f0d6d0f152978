"""Draws what the generator makes of the same noise, again and again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ms_gan_callbacks.data.images import image_grid, save_png
from ms_gan_callbacks.errors import CallbackError, is_whole
from ms_gan_callbacks.events.callback import Periodic
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run

COLUMNS = 5
TAKEN = ("checkpoints",)


class ImageGrid(Periodic):
    """Saves a grid of generated images as ``samples/epoch-0001.png`` and shows it to the other callbacks.

    The noise follows from the run's seed alone, so every grid of a run shows the same latents. The generator draws
    in evaluation mode; training is not disturbed.

    Args:
        every: when to draw. Pictures drawn within an epoch are named ``step-00000050.png``.
        rows: rows of the grid, at least 1.
        columns: columns of the grid, at least 1; by default 5, or in a conditional run one for each class.
        folder: where the pictures go, below the run's folder.
        scale: how many times images are enlarged, by whole pixels; by default as :func:`image_grid` chooses by
            their size, three times for 28 x 28. What other callbacks are shown, TensorBoard say, is enlarged, too.

    Raises:
        CallbackError: a number of rows or columns, or the scale, is below 1, the folder is not one of its own
            below the run's, or (before the first step) the images are neither grey nor colour.
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
                raise CallbackError(f"ImageGrid({name}=...) takes a whole number of at least 1, got {value!r}")
        if (
            not Path(folder).parts
            or Path(folder).is_absolute()
            or ".." in Path(folder).parts
            or Path(folder).parts[0] in TAKEN
        ):
            raise CallbackError(f"ImageGrid(folder=...) takes a folder of its own below the run's, not {folder!r}")
        self.rows, self.columns, self.folder, self.scale = rows, columns, folder, scale
        self.writes = (f"{folder}/{'epoch' if every.by_epoch else 'step'}-*.png",)
        self._newest: str | None = None

    def check(self, run: Run) -> Iterable[str]:
        # One image more costs nothing: the generator is compiled for drawing here instead of at the first grid.
        shape = run.sample(1).shape[1:]
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise CallbackError(
                f"{self.name} draws images of shape (1, H, W) or (3, H, W), and the generator's are {shape}; "
                "leave it out, or draw them with a callback of your own"
            )
        return super().check(run)

    def act(self, run: Run) -> None:
        columns = self.columns or run.classes or COLUMNS
        grid = image_grid(run.sample(self.rows * columns), columns, scale=self.scale)
        whole_epochs = self.every.by_epoch and self.every.due(run)
        name = f"epoch-{run.epoch:04d}.png" if whole_epochs else f"step-{run.step:08d}.png"
        save_png(run.out_dir / self.folder / name, grid)
        run.log({f"{self.folder}/grid": grid})
        self._newest = f"{self.folder}/{name}"

    def summary(self) -> str | None:
        return self._newest
