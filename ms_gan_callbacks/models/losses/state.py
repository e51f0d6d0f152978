"""Parameters of objectives and penalties, such as the k of BEGAN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, ModuleType

import numpy as np
from mindspore import Parameter, Tensor, nn, ops


def collect_state(holders: Mapping[str, object], taken: Iterable[Parameter] = ()) -> list[Parameter]:
    """Return the Parameters of objects, reset to their initial values and with unique names.

    Attributes are searched recursively, including objects, lists, tuples, dicts and cells.

    Args:
        holders: the objects, by the prefix of their Parameters' names.
        taken: Parameters of networks, which are skipped.
    """
    seen = {id(parameter) for parameter in taken}
    found = [held for prefix, holder in holders.items() for held in _find_parameters(holder, prefix, seen)]
    for name, parameter in found:
        parameter.name = name
        if not hasattr(parameter, "as_made"):
            parameter.as_made = parameter.asnumpy().copy()
        elif not np.array_equal(parameter.asnumpy(), parameter.as_made, equal_nan=True):
            ops.assign(parameter, Tensor(parameter.as_made))  # changed by an earlier run
    return [parameter for _, parameter in found]


def _find_parameters(value: object, name: str, seen: set[int]) -> Iterator[tuple[str, Parameter]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Parameter):
        yield name, value
        return
    for key, one in _list_parts(value):
        yield from _find_parameters(one, f"{name}.{key}", seen)


def _list_parts(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, nn.Cell):
        yield from enumerate(value.get_parameters())
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)
    elif isinstance(value, dict):
        yield from value.items()
    elif hasattr(value, "__dict__") and not isinstance(value, (type, ModuleType, FunctionType, Tensor)):
        yield from vars(value).items()
