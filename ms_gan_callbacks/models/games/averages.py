"""Moving averages in place of the networks of a game, with batch statistics that belong to them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from mindspore import Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.mindspore_private import BatchNorm
from ms_gan_callbacks.models.probe import restore_values

Statistics: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""The moving mean and variance of a layer."""
Runs: TypeAlias = Callable[[Sequence[nn.Cell]], int]
"""Makes batches of images with these layers in training mode; returns their number, 0 if it cannot make them."""


class Averages:
    """Replaces the networks of a game by their moving averages.

    Weights that change quickly have an average with smaller outputs than their own. The averages of the moving
    statistics of batch normalisation are too large for it, and would make all images nearly the same. The
    statistics are therefore measured for the averaged weights ("standing statistics": Brock et al., 2019,
    arXiv:1809.11096). They are in effect in :meth:`use` only, so that training and checkpoints do not depend
    on when images are made.

    Args:
        game: the game, with its networks.
        averages: the moving averages by network.
        run: makes batches of images from random inputs.
    """

    def __init__(self, game: nn.Cell, averages: Mapping[str, EMA], run: Runs) -> None:
        self._game, self._averages, self._run = game, averages, run
        self._measured: tuple[int | None, list[Statistics]] = (None, [])

    @contextmanager
    def use(self) -> Iterator[None]:
        """Replace the networks and the statistics until the context ends."""
        networks = {name: getattr(self._game, name) for name in self._averages}
        for name, average in self._averages.items():
            setattr(self._game, name, average.network)
        layers = self._list_layers()
        averaged = [one for layer in layers for one in (layer.moving_mean, layer.moving_variance)]
        try:
            with restore_values(averaged):
                if layers:
                    self._set_statistics(layers)
                yield
        finally:
            for name, network in networks.items():
                setattr(self._game, name, network)

    def _list_layers(self) -> list[Any]:
        """Return the layers of the averages that use moving statistics in evaluation mode and update them."""
        cells = [cell for average in self._averages.values() for _, cell in average.network.cells_and_names()]
        found = [cell for cell in cells if isinstance(cell, BatchNorm) and cell.use_batch_statistics is None]
        return [layer for layer in found if layer.momentum > 0]

    def _set_statistics(self, layers: list[Any]) -> None:
        """Assign the statistics of the present weights, which are measured if the weights are new."""
        state = 0
        for average in self._averages.values():
            for weight in average.network.trainable_params():
                state = zlib.crc32(weight.asnumpy().tobytes(), state)
        if state != self._measured[0]:
            self._measured = state, self._measure(layers)
        for layer, values in zip(layers, self._measured[1], strict=True):
            _assign(layer, values)

    def _measure(self, layers: list[Any]) -> list[Statistics]:
        averaged = [_read(layer) for layer in layers]
        for layer, values in zip(layers, averaged, strict=True):
            _assign(layer, (0 * values[0], 0 * values[1]))
        count = self._run(layers)
        measured = []
        for layer, before in zip(layers, averaged, strict=True):
            mean, variance = _read(layer)
            # From zero, the weights of the batches add up to this. A layer without inputs is still at zero.
            total = 1 - (1 - layer.momentum) ** count
            measured.append((mean / total, variance / total) if variance.any() else before)
        return measured


def _read(layer: Any) -> Statistics:
    return layer.moving_mean.asnumpy().copy(), layer.moving_variance.asnumpy().copy()


def _assign(layer: Any, values: Statistics) -> None:
    ops.assign(layer.moving_mean, Tensor(values[0]))
    ops.assign(layer.moving_variance, Tensor(values[1]))
