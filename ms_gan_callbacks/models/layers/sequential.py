"""Sequences of layers that pass features in feature-major layout, (C, N), to avoid transposes between layers.

::

    rows (N, C) ── Dense ── ReLU ── BatchNorm1d ── Dense ── Tanh ──> transposed once, at the end
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from mindspore import Tensor, nn

from ms_gan_callbacks.models.layers.activation import LeakyReLU
from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.dense import Dense
from ms_gan_callbacks.models.layers.feature_major import transpose
from ms_gan_callbacks.models.layers.normalization import BatchNorm1d
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
"""Elementwise layers, which support any layout."""


class SequentialCell(Fast, nn.SequentialCell):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.SequentialCell`, with the same arguments.

    It replaces sequences in which a ``Dense`` is followed by a layer that supports feature-major input.
    """

    @staticmethod
    def stands_for(layer: nn.SequentialCell) -> bool:
        return any(_find_starts(layer.cell_list))

    def refit(self) -> None:
        self.starts = _find_starts(self.cell_list)
        self.continues = tuple(map(_continues, self.cell_list))
        self.elementwise = tuple(map(_is_elementwise, self.cell_list))

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
        feature_major = False
        for number, layer in enumerate(self.cell_list):
            if self.elementwise[number]:
                x = layer(x)
            elif feature_major and self.continues[number]:
                x = layer.turn(x)
            elif self.starts[number] and len(x.shape) == 2:
                x, feature_major = layer.turn_rows(x), True
            elif feature_major:
                x, feature_major = layer(transpose(x)), False
            else:
                x = layer(x)
        return transpose(x) if feature_major else x


def _is_elementwise(layer: nn.Cell) -> bool:
    return type(layer) in ELEMENTWISE and is_plain(layer)


def _continues(layer: nn.Cell) -> bool:
    if not is_plain(layer):  # turn() would bypass its call
        return False
    if type(layer) is BatchNorm1d:
        return BatchNorm1d.stands_for(layer)
    return type(layer) is Dense and not layer.activation_flag


def _find_starts(cells: Sequence[nn.Cell]) -> tuple[bool, ...]:
    """Return for each layer whether it is a Dense at which a feature-major section starts."""
    found = []
    for number, layer in enumerate(cells):
        after = itertools.dropwhile(_is_elementwise, cells[number + 1 :])
        found.append(
            type(layer) is Dense and _continues(layer) and any(map(_continues, itertools.islice(after, 1)))
        )
    return tuple(found)
