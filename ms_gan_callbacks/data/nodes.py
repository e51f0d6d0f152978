"""Inspection of the batches of a ``mindspore.dataset`` pipeline, without iterating over it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ms_gan_callbacks.errors import RecipeError

if TYPE_CHECKING:
    from mindspore.dataset import Dataset

CURE = "call .batch(32, drop_remainder=True) on it"
_ONE_TO_ONE = {"MapDataset", "ProjectDataset", "RenameDataset", "SyncWaitDataset", "TransferDataset"}


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch.

    Attributes:
        nodes: the last ``.batch()`` of each branch of the pipeline.
        size: images per batch.
        total: number of batches, including short ones.
        short: indices of short batches, sorted; None if unknown.
    """

    nodes: tuple[Any, ...]
    size: int
    total: int
    short: tuple[int, ...] | None


def name_leaf(dataset: Dataset) -> str:
    """Return the type name of the first leaf of a pipeline."""
    while dataset.children:
        dataset = dataset.children[0]
    return type(dataset).__name__


def count_repeats(name: str, node: Any) -> int:
    """Return the maximum number of passes over the data in an epoch; raise RecipeError if it never ends."""
    own: int = node.count if type(node).__name__ == "RepeatDataset" else 1
    if own < 1:
        raise RecipeError(f"{name}: the pipeline never ends; remove .repeat(), epochs are counted here")
    return own * math.prod(count_repeats(name, child) for child in node.children)


def find_buffer(node: Any) -> int:
    """Return the size of the largest ``.shuffle(size)`` of a pipeline, or 0."""
    own = getattr(node, "buffer_size", 0) if type(node).__name__ == "ShuffleDataset" else 0
    return max([int(own or 0), *(find_buffer(child) for child in node.children)])


def find_batches(name: str, dataset: Dataset) -> Batches:
    """Return the batches of an epoch of a pipeline.

    Raises:
        RecipeError: it is not batched, has several batch sizes, or may have a short batch before an epoch's end.
    """
    found = _find_batches(name, dataset)
    if found.short not in ((), (found.total - 1,)):
        raise RecipeError(
            f"{name}: short batches may occur in the middle of an epoch ({_format_calls(dataset)}): {CURE}"
        )
    return found


def check_shape(name: str, batches: Batches, column: str, shape: tuple[int, ...]) -> None:
    """Raise RecipeError if a batch does not have one row per image, or its shape varies between batches."""
    if len(shape) > 4 and any(_is_batched(child) for node in batches.nodes for child in node.children):
        raise RecipeError(
            f"{name}: the pipeline is batched twice, its images have the shape {shape[1:]}: call .batch() once"
        )
    if shape and shape[0] != batches.size:
        raise RecipeError(
            f"{name}: batches of {batches.size} become {shape[0]} images after .batch(), in a map or a"
            " per_batch_map: change the number of images before .batch()"
        )
    for node in batches.nodes:
        pads = getattr(node, "pad_info", None)
        if pads is not None and column in node.get_col_names() and not _is_full(pads.get(column)):
            raise RecipeError(
                f"{name}: .padded_batch() pads to the largest image of each batch; give one size for all batches:"
                f" pad_info={{{column!r}: ({list(shape[1:])}, 0)}}"
            )


def _is_full(padding: Any) -> bool:
    """Return whether the padding of a column specifies its complete shape."""
    return bool(padding) and padding[0] is not None and all((length or 0) > 0 for length in padding[0])


def _is_batched(node: Any) -> bool:
    return is_batch(node) or any(_is_batched(child) for child in node.children)


def is_batch(node: Any) -> bool:
    """Return whether a node is a ``.batch()`` of a fixed size."""
    return isinstance(getattr(node, "batch_size", None), int) and not getattr(node, "batch_size_func", None)


def _find_batches(name: str, node: Any) -> Batches:
    kind = type(node).__name__
    if is_batch(node):
        short = not node.drop_remainder and node.children[0].get_dataset_size() % node.batch_size > 0
        total = node.get_dataset_size()
        return Batches((node,), node.batch_size, total, (total - 1,) if short else ())
    if not node.children:
        raise RecipeError(f"{name}: the pipeline is not batched, or not to a fixed size: {CURE}")
    parts = [_find_batches(name, child) for child in node.children]
    if kind == "FilterDataset":
        raise RecipeError(
            f"{name}: .filter() after .batch() drops an unknown number of batches: call it before .batch()"
        )
    nodes = tuple(found for part in parts for found in part.nodes)
    if len({found.batch_size for found in nodes}) > 1:
        sizes = " and ".join(str(found.batch_size) for found in nodes)
        raise RecipeError(
            f"{name}: the pipeline combines batches of {sizes} images: call .batch() once, afterwards"
        )
    total = node.get_dataset_size()
    return Batches(nodes, nodes[0].batch_size, total, _locate_short(kind, node, parts, total))


def _locate_short(kind: str, node: Any, parts: list[Batches], total: int) -> tuple[int, ...] | None:
    """Return the indices of short batches in the output of a node, or None if unknown."""
    known = [part.short for part in parts if part.short is not None]
    places = sorted({place for short in known for place in short})
    if len(known) < len(parts):
        return None
    if kind == "ConcatDataset":
        befores = itertools.accumulate((part.total for part in parts), initial=0)
        return tuple(before + place for before, short in zip(befores, known, strict=False) for place in short)
    if kind == "RepeatDataset":
        return tuple(turn * parts[0].total + place for turn in range(node.count) for place in places)
    if kind == "SkipDataset":
        return tuple(place - node.count for place in places if place >= node.count)
    if kind in _ONE_TO_ONE or kind in ("TakeDataset", "ZipDataset"):
        return tuple(place for place in places if place < total)
    return None if places else ()  # shuffled, or an unknown node


def _format_calls(node: Any) -> str:
    """Return the calls after ``.batch()`` as source text."""
    calls = []
    while not is_batch(node):
        kind = type(node).__name__.removesuffix("Dataset").lower()
        calls += [] if type(node).__name__ in _ONE_TO_ONE else ["+" if kind == "concat" else f".{kind}()"]
        node = node.children[0]
    return f"{', '.join(reversed(calls))} after .batch()"
