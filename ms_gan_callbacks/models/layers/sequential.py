"""Sequences of layers that pass features and images in batch-last layout, to avoid transposes between layers.

::

    noise (N, C) ── Dense ── Unflatten ── BatchNorm2d ── ReLU ── Conv2dTranspose ── Tanh ──> moved once, at the end
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mindspore import Tensor, nn

from ms_gan_callbacks.models.layers.activation import LeakyReLU
from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import move_batch_first, move_batch_last, supports_batch_last
from ms_gan_callbacks.models.layers.dense import Dense
from ms_gan_callbacks.models.layers.plain import is_plain

ELEMENTWISE = (
    LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.Identity,
    nn.LeakyReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
)
"""Elementwise layers, which take any layout."""

FEW_IMAGES = 8
"""Below this batch size images stay as they are: gathers would move too few numbers at a time."""


class SequentialCell(Fast, nn.SequentialCell):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.SequentialCell`, with the same arguments.

    It replaces sequences in which two layers in a row, not counting elementwise ones, are faster in batch-last
    layout.
    """

    @staticmethod
    def stands_for(layer: nn.SequentialCell) -> bool:
        return any(_find_starts(tuple(_list_layers(layer))))

    def refit(self) -> None:
        self.steps = tuple(_list_layers(self))
        self.starts = _find_starts(self.steps)
        self.batch_last = tuple(map(supports_batch_last, self.steps))
        self.elementwise = tuple(map(_is_elementwise, self.steps))
        self.ranks = tuple(getattr(layer, "ranks", ()) for layer in self.steps)
        self.dense = tuple(type(layer) is Dense for layer in self.steps)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "cell_list":  # set whenever a layer is added, replaced or removed
            self.refit()

    # Layers may have received hooks or casts. They are inspected again at every call and, because compiled graphs
    # do not call __call__, by the set_train() before compilation.
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.refit()
        return super().__call__(*args, **kwargs)

    def add_flags(self, **flags: Any) -> nn.Cell:
        super().add_flags(**flags)
        if isinstance(self, SequentialCell):  # False after a change back to MindSpore's class
            self.refit()
        return self

    def construct(self, x: Tensor) -> Tensor:
        """Return the output of the last layer."""
        moved = False
        for number, layer in enumerate(self.steps):
            if self.elementwise[number]:
                x = layer(x)
            elif moved and self._takes(number, x):
                x = layer.run_batch_last(x)
            elif moved:
                x, moved = layer(move_batch_first(x)), False
            elif self.starts[number] and self.dense[number] and len(x.shape) == 2:
                x, moved = layer.turn_rows(x), True
            elif self.starts[number] and self._takes(number, x) and x.shape[0] >= FEW_IMAGES:
                x, moved = layer.run_batch_last(move_batch_last(x)), True
            else:
                x = layer(x)
        return move_batch_first(x) if moved else x

    def _takes(self, number: int, x: Tensor) -> bool:
        """Return whether a layer takes an input of this rank in batch-last layout."""
        return self.batch_last[number] and (len(x.shape) in self.ranks[number] or len(self.ranks[number]) == 0)


def _list_layers(sequence: nn.SequentialCell) -> Iterator[nn.Cell]:
    """Yield the layers of a sequence, and those of sequences in it."""
    for layer in sequence.cell_list:
        if type(layer) in (nn.SequentialCell, SequentialCell) and is_plain(layer):
            yield from _list_layers(layer)
        else:
            yield layer


def _is_elementwise(layer: nn.Cell) -> bool:
    return type(layer) in ELEMENTWISE and is_plain(layer)


def _find_starts(cells: Sequence[nn.Cell]) -> tuple[bool, ...]:
    """Return for each layer whether a section in batch-last layout that starts here is worth the moves."""
    found, pays = [], 0
    for layer in reversed(cells):
        if supports_batch_last(layer):
            pays += layer.pays
            found.append(layer.pays and pays > 1)
        else:
            found.append(False)
            pays *= _is_elementwise(layer)
    return tuple(reversed(found))
