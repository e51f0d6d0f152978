"""Images of a game, generated in evaluation mode with the averaged networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np
from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.games.averages import Averages
from ms_gan_callbacks.models.games.game import STEP, Bound, Game, bind
from ms_gan_callbacks.models.games.step import Call, Loss
from ms_gan_callbacks.models.networks import Floats, Forward

Inputs: TypeAlias = Mapping[str, NDArray[Any]]
"""Columns and random inputs by name."""
BATCHES = 16
"""Number of batches from which batch statistics are measured."""


class Shown(nn.Cell):  # type: ignore[misc]
    """The result of a method of a game, computed from the result of ``make``."""

    def __init__(self, game: Game, make: Bound, show: Bound) -> None:
        super().__init__(auto_prefix=False)
        self.game, self.make_of, self.show_of = game, Call(make), Call(show)

    def construct(self, *batch: Tensor) -> Any:
        """Return the method's outputs."""
        return self.show_of(self.make_of((), batch), batch)


class Judged(nn.Cell):  # type: ignore[misc]
    """The scalars of all losses for what ``make`` returned."""

    def __init__(self, game: Game, make: Bound, losses: Sequence[Bound]) -> None:
        super().__init__(auto_prefix=False)
        self.game, self.make_of = game, Call(make)
        self.losses = nn.CellList([Loss(loss) for loss in losses], auto_prefix=False)

    def construct(self, *batch: Tensor) -> Tensor:
        """Return the scalars, (1, number of scalars)."""
        made = self.make_of((), batch)
        told: tuple[Tensor, ...] = ()
        for loss in self.losses:
            told = told + loss(made, batch)
        return ops.stack(told).reshape(1, -1)


class Renderer:
    """Runs ``make`` and ``picture`` of a game in evaluation mode, in chunks.

    Args:
        game: the game, with its networks.
        averages: moving averages of networks by name, which replace the networks.
        draw: yields the inputs of ``make`` for a number of batches; none if they are not random inputs.
    """

    def __init__(self, game: Game, averages: Mapping[str, EMA], draw: Callable[[int], Iterator[Inputs]]) -> None:
        self._game, self._draw = game, draw
        self._averages = Averages(game, averages, self._run_batches)
        self._batches: Forward | None = None
        self._judges: dict[int, Forward] = {}  # by the number of rows
        self._forwards: dict[str, tuple[Forward, tuple[str, ...]]] = {}

    def render(self, method: str, inputs: Inputs, step: int) -> tuple[Floats, ...]:
        """Return the images of ``picture`` or ``select_images``, each (N, C, H, W).

        Args:
            method: the name of the method.
            inputs: columns and random inputs by name, each with N rows; others are ignored.
            step: the newest step.
        """
        with self._averages.use():
            forward, names = self._get_forward(method)
            return forward.predict(*_select(inputs, names, step))

    def judge(self, losses: Sequence[Bound], names: Sequence[str], inputs: Inputs, step: int) -> dict[str, float]:
        """Return the scalars of losses, which are bound to the inputs of these names, in evaluation mode."""
        count = len(next(iter(inputs.values())))
        if count not in self._judges:
            make = bind(self._game, "make", names)
            self._judges[count] = Forward(Judged(self._game, make, losses), count)
        with self._averages.use():
            [values] = self._judges[count].predict(*_select(inputs, names, step))
        scalars = [name for loss in losses for name in loss.scalars]
        return dict(zip(scalars, map(float, values[0]), strict=True))

    def _get_forward(self, method: str) -> tuple[Forward, tuple[str, ...]]:
        if method not in self._forwards:
            names = tuple(dict.fromkeys((*self._game.get_inputs("make"), *self._game.get_inputs(method))))
            self._forwards[method] = Forward(self._build_shown(method, names)), names
        return self._forwards[method]

    def use_averages(self) -> AbstractContextManager[None]:
        """Return a context in which the averages replace the networks of the game; see :class:`Averages`."""
        return self._averages.use()

    def _run_batches(self, layers: Sequence[nn.Cell]) -> int:
        """Make batches of images from random inputs, with some layers in training mode; return their number."""
        names, count = self._game.get_inputs("make"), 0
        if self._batches is None:
            self._batches = Forward(self._build_shown("select_images", names), training=layers)
        for inputs in self._draw(BATCHES):
            self._batches.predict(*[inputs[name] for name in names])
            count += 1
        return count

    def _build_shown(self, method: str, names: Sequence[str]) -> Shown:
        return Shown(self._game, bind(self._game, "make", names), bind(self._game, method, names))


def _select(inputs: Inputs, names: Sequence[str], step: int) -> list[NDArray[Any]]:
    """Return the inputs of these names, in order, with the number of the step."""
    given = {**inputs, STEP: np.array(step, np.float32)}
    return [given[name] for name in names]


def list_image_columns(game: Game, method: str = "make") -> tuple[str, ...]:
    """Return the columns from which a game makes images, or those that a further method needs, too."""
    names = dict.fromkeys((*game.get_inputs("make"), *game.get_inputs(method)))
    return tuple(name for name in names if name not in game.chance and name != STEP)
