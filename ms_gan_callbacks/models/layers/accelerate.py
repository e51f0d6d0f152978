"""Stock layers of a network replaced, in place, by their fast equals."""

from __future__ import annotations

from collections import Counter

from mindspore import nn

from ms_gan_callbacks.models.layers.fast import Fast
from ms_gan_callbacks.models.layers.plain import hooks_parameters, is_plain


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
        fast = Fast.of_stock.get(type(layer))
        if fast is not None and is_plain(layer) and fast.stands_for(layer):
            layer.__class__ = fast
            layer.refit()
    kinds = [type(layer) for _, layer in network.cells_and_names()]
    counts = Counter(kind.__name__ for kind in kinds if kind in Fast.of_stock.values())
    return dict(sorted(counts.items()))
