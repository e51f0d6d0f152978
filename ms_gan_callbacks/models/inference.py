"""Generation and evaluation of images with the networks of a game."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np
from mindspore import Parameter
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError, suggest
from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.games.chance import draw_all
from ms_gan_callbacks.models.games.game import STEP, Game
from ms_gan_callbacks.models.games.rendering import Inputs, Renderer, list_image_columns
from ms_gan_callbacks.models.games.steps import Steps
from ms_gan_callbacks.models.networks import CHUNK, Floats
from ms_gan_callbacks.models.probe import restore_values

ColumnReader: TypeAlias = Callable[[int], Inputs]
"""Returns the first rows of the training data, by column."""


class Inference:
    """Makes images in evaluation mode, with moving averages in place of the networks that have one.

    Attributes:
        game: the game, with the networks as attributes.
        seed: determines the random inputs.
        averages: the moving averages by network.
        state: Parameters of the game.
        step_number: the step of the newest update, for games that use ``step`` to make images.
        classes: number of classes of a conditional run with a generator and a discriminator.
        critic: whether ``d_real`` and ``d_fake`` are scores of a critic.
    """

    classes: int | None = None
    critic = False

    def __init__(self, game: Game, seed: int) -> None:
        self.game, self.seed, self.step_number = game, seed, 0
        self.averages: dict[str, EMA] = {}
        self.state: list[Parameter] = []
        self._renderer = Renderer(game, self.averages, self._draw_batches)

    @property
    def noise_dim(self) -> int:
        """Length of the random input ``noise``, or 0 if the game does not have one that is a vector."""
        shape: tuple[int, ...] = getattr(self.game.chance.get("noise"), "shape", ())
        return int(shape[0]) if len(shape) == 1 else 0

    @property
    def takes_noise(self) -> bool:
        """Whether images are made from noise vectors alone, or with labels in a conditional run."""
        return bool(self.noise_dim) and {"noise", STEP}.issuperset(self.game.get_inputs("make"))

    def list_image_columns(self) -> tuple[str, ...]:
        """Return the columns of the data from which a game makes images; none for a generator of noise."""
        return list_image_columns(self.game)

    def generate(self, noise: Floats, labels: Any = None) -> Floats:
        """Return images for noise (N, noise_dim); raise UsageError if the game needs other inputs."""
        if labels is not None or not self.takes_noise:
            kind, needed = type(self.game).__name__, ", ".join(self.game.get_inputs("make"))
            raise UsageError(f"{kind} makes images from {needed}, not from noise alone")
        given = {"noise": np.ascontiguousarray(noise, np.float32)}
        return self._renderer.render("select_images", given, self.step_number)[0]

    def draw_images(self, count: int, name: str, read: ColumnReader) -> Floats:
        """Return ``count`` generated images, (count, C, H, W), in evaluation mode.

        Args:
            count: number of images.
            name: the purpose, which determines the random inputs together with the seed.
            read: returns the first rows of the data by column, for games that make images from columns.
        """
        inputs = self._draw_inputs(count, name, read, "make")
        return self._renderer.render("select_images", inputs, self.step_number)[0]

    def draw_picture(self, count: int, columns: int, name: str, read: ColumnReader) -> tuple[Floats, ...]:
        """Return the groups of images that a grid shows for ``count`` examples, ``columns`` in a row.

        See :meth:`draw_images` for the other arguments, and :meth:`Game.picture`.
        """
        inputs = self.game.arrange(self._draw_inputs(count, name, read, "picture"), columns)
        return self._renderer.render("picture", inputs, self.step_number)

    def sample(self, count: int, name: str, labels: Any, columns: Inputs) -> Floats:
        """Return ``count`` images from random inputs and the first rows of columns; see :meth:`Runner.sample`."""
        if labels is not None:
            raise UsageError("this run is not conditional: its networks do not take labels")
        for one in self.list_image_columns():
            if len(columns.get(one, ())) < count:
                raise UsageError(f"this game makes images from the column {one!r}: pass columns={{{one!r}: ...}}")
        return self.draw_images(count, name, lambda rows: {one: columns[one][:rows] for one in columns})

    def use_averages(self) -> AbstractContextManager[None]:
        """Return a context in which the moving averages replace the networks of the game."""
        return self._renderer.use_averages()

    def _draw_batches(self, count: int) -> Iterator[Inputs]:
        """Yield batches of random inputs of ``make``, the same for all seeds; none if it takes columns."""
        taken = self.game.get_inputs("make")
        chance = {name: one for name, one in self.game.chance.items() if name in taken}
        for number in range(0 if self.list_image_columns() else count):
            drawn = draw_all(chance, 0, number, CHUNK, purpose="statistics")
            yield {**drawn, STEP: np.array(self.step_number, np.float32)}

    def _draw_inputs(self, count: int, name: str, read: ColumnReader, method: str) -> dict[str, NDArray[Any]]:
        columns = list_image_columns(self.game, method)
        given = {column: rows for column, rows in read(count).items() if column in columns} if columns else {}
        # Only these: the draws of a pool, for example, are limited to its size.
        taken = {*self.game.get_inputs("make"), *self.game.get_inputs(method)}
        chance = {one: values for one, values in self.game.chance.items() if one in taken}
        return {**given, **draw_all(chance, self.seed, 0, count, purpose=name)}

    def _judge(self, columns: Inputs, steps: Steps, batch_size: int) -> dict[str, float]:
        for name in steps.inputs:
            if name not in columns and name not in self.game.chance and name != STEP:
                raise UsageError(f"eval needs the column {name!r}; {suggest(name, columns)}")
        count = len(next(iter(columns.values())))
        size = min(count, batch_size)
        told = []
        for number in range(count // size):
            rows = {name: one[number * size : (number + 1) * size] for name, one in columns.items()}
            told.append(self._judge_batch(rows, steps, number, size))
        return {name: float(np.mean([one[name] for one in told])) for name in told[0]}

    def _judge_batch(self, columns: Inputs, steps: Steps, number: int, size: int) -> dict[str, float]:
        drawn = draw_all(self.game.chance, self.seed, number, size, purpose="eval")
        with restore_values(self.state):
            return self._renderer.judge(steps.list_losses(), steps.inputs, {**columns, **drawn}, self.step_number)
