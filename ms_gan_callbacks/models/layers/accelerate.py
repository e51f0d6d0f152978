"""In-place replacement of MindSpore's layers by fast layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mindspore import Parameter, nn

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.plain import hooks_parameters, is_plain


def accelerate(network: nn.Cell) -> dict[str, int]:
    """Replace MindSpore's layers in a network by fast layers; return the number of fast layers of each type.

    The class of a layer is changed in place, so references to the layer and its Parameters remain valid. Not
    replaced are subclasses of MindSpore's layers, layers that would not be faster, and layers whose call does more
    than ``construct``, because of hooks, ``to_float`` or ``recompute``. Call it before the network is compiled.
    """
    if hooks_parameters(network):
        return {}
    # Inner layers first: a container inspects the replaced ones.
    for name, layer in reversed(list(network.cells_and_names())):
        fast = Fast.of_stock.get(type(layer))
        if fast is not None and is_plain(layer) and fast.stands_for(layer):
            known = {id(parameter) for parameter in layer.get_parameters(expand=False)}
            layer.__class__ = fast
            layer.refit()
            _add_prefix([one for one in layer.get_parameters(expand=False) if id(one) not in known], name)
    kinds = [type(layer) for _, layer in network.cells_and_names()]
    fast_kinds = [kind for kind in Fast.of_stock.values() if kind.counts]
    counts = Counter(kind.__name__ for kind in kinds if kind in fast_kinds)
    return dict(sorted(counts.items()))


def _add_prefix(parameters: Iterable[Parameter], layer: str) -> None:
    """Put the name of a layer in front of those of its parameters, as a container does when it is built."""
    for parameter in parameters:
        parameter.name = f"{layer}.{parameter.name}" if layer else parameter.name
