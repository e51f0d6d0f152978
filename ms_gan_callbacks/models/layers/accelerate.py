"""Stock layers of a network replaced, in place, by their fast equals."""

from __future__ import annotations

from collections import Counter

from mindspore import nn

from ms_gan_callbacks.models.layers.activation import LeakyReLU
from ms_gan_callbacks.models.layers.convolution import Conv2d, Conv2dTranspose
from ms_gan_callbacks.models.layers.dense import Dense
from ms_gan_callbacks.models.layers.fast import Fast
from ms_gan_callbacks.models.layers.normalization import BatchNorm1d
from ms_gan_callbacks.models.layers.plain import hooks_parameters, is_plain
from ms_gan_callbacks.models.layers.sequential import SequentialCell

FAST: dict[type[nn.Cell], type[Fast]] = {
    nn.BatchNorm1d: BatchNorm1d,
    nn.Conv2d: Conv2d,
    nn.Conv2dTranspose: Conv2dTranspose,
    nn.Dense: Dense,
    nn.LeakyReLU: LeakyReLU,
    nn.SequentialCell: SequentialCell,
}


def accelerate(network: nn.Cell) -> dict[str, int]:
    """Replace the stock layers in a network, however deep, by their equals here; return how many of each it has.

    A layer stays the object it was, with its Parameters, so that nothing that refers to it or them goes stale; it
    becomes one of the fast class. Subclasses of a stock layer are left alone, and so is what would gain nothing.
    So is a layer whose call does more than its ``construct``: one with hooks, ``to_float`` or ``recompute``.
    Call it before anything has compiled the network.
    """
    if hooks_parameters(network):
        return {}
    # What holds others comes after them: it looks at what they have become.
    for _, layer in reversed(list(network.cells_and_names())):
        fast = FAST.get(type(layer))
        if fast is not None and is_plain(layer) and fast.stands_for(layer):
            layer.__class__ = fast
            layer.refit()
    fast_ones = (type(layer) for _, layer in network.cells_and_names() if type(layer) in FAST.values())
    counts = Counter(layer.__name__ for layer in fast_ones)
    return dict(sorted(counts.items()))
