"""Layers in a row that hand their features on turned, (C, N), so that none of them has to turn its own.

::

    rows (N, C) ── Dense ── ReLU ── BatchNorm1d ── Dense ── Tanh ──> turned once, at the end
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from mindspore import Tensor, nn

from ms_gan_callbacks.models.layers.activation import LeakyReLU
from ms_gan_callbacks.models.layers.dense import Dense
from ms_gan_callbacks.models.layers.fast import Fast
from ms_gan_callbacks.models.layers.normalization import BatchNorm1d
from ms_gan_callbacks.models.layers.plain import is_plain
from ms_gan_callbacks.models.layers.turn import transpose

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
"""Layers to which it is all the same how their input lies."""


class SequentialCell(Fast, nn.SequentialCell):  # type: ignore[misc]
    """:class:`mindspore.nn.SequentialCell`; see there for its arguments.

    It takes the place of one in which a ``Dense`` is followed by a layer that works on turned features.
    """

    @staticmethod
    def stands_for(layer: nn.SequentialCell) -> bool:
        return any(_starts(layer.cell_list))

    def refit(self) -> None:
        self.starts = _starts(self.cell_list)
        self.goes_on = tuple(map(_goes_on, self.cell_list))
        self.elementwise = tuple(map(_is_elementwise, self.cell_list))

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "cell_list":  # set anew whenever a layer is added, replaced or removed
            self.refit()

    # A layer may have been given a hook or a cast since. It is looked at again at every call, and, for a graph, in
    # which nothing is called, by the set_train() that comes before it is compiled.
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.refit()
        return super().__call__(*args, **kwargs)

    def add_flags(self, **flags: Any) -> nn.Cell:
        super().add_flags(**flags)
        if isinstance(self, SequentialCell):  # and has not become the stock layer
            self.refit()
        return self

    def construct(self, x: Tensor) -> Tensor:
        """Return what the last layer makes of what the others make of x."""
        on_its_side = False
        for number, layer in enumerate(self.cell_list):
            if self.elementwise[number]:
                x = layer(x)
            elif on_its_side and self.goes_on[number]:
                x = layer.turn(x)
            elif self.starts[number] and len(x.shape) == 2:
                x, on_its_side = layer.turn_rows(x), True
            elif on_its_side:
                x, on_its_side = layer(transpose(x)), False
            else:
                x = layer(x)
        return transpose(x) if on_its_side else x


def _is_elementwise(layer: nn.Cell) -> bool:
    return type(layer) in ELEMENTWISE and is_plain(layer)


def _goes_on(layer: nn.Cell) -> bool:
    if not is_plain(layer):  # turn() would pass its call by
        return False
    if type(layer) is BatchNorm1d:
        return BatchNorm1d.stands_for(layer)
    return type(layer) is Dense and not layer.activation_flag


def _starts(cells: Sequence[nn.Cell]) -> tuple[bool, ...]:
    """Return of each layer whether to turn features there: at a Dense before one that goes on with them."""
    found = []
    for number, layer in enumerate(cells):
        after = itertools.dropwhile(_is_elementwise, cells[number + 1 :])
        found.append(type(layer) is Dense and _goes_on(layer) and any(map(_goes_on, itertools.islice(after, 1))))
    return tuple(found)
