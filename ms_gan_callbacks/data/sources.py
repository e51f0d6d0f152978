"""Conversion of arrays and pipelines to sources, and the check of user-defined sources."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.columns import check_batch
from ms_gan_callbacks.data.pipelines import DatasetSource
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.data.stored import ColumnSource
from ms_gan_callbacks.errors import RecipeError

if TYPE_CHECKING:
    from mindspore.dataset import Dataset


SELF_CHECKED: tuple[type[Source], ...] = (ArraySource, ColumnSource, DatasetSource)
"""Sources that check their images themselves; a subclass may yield others."""


def make_source(data: Source | NDArray[Any] | Dataset, batch_size: int = 32) -> Source:
    """Convert training data to a source.

    Args:
        data: a :class:`Source`, an array of images or a batched ``mindspore.dataset`` pipeline.
        batch_size: used for an array only; sources and pipelines define their batch size.

    Raises:
        RecipeError: the data is of another type.
        DataError: the data is damaged, not scaled or does not fill a batch.
    """
    if isinstance(data, np.ndarray):
        return ArraySource(data, batch_size)
    if isinstance(data, Source) and not isinstance(data, type):
        return data
    # A pipeline exists only if mindspore.dataset was imported, and importing it here would be slow.
    pipelines = sys.modules.get("mindspore.dataset")
    if pipelines is not None and isinstance(data, pipelines.Dataset):
        return DatasetSource(data)
    raise RecipeError(
        f"cannot train on data of type {type(data).__name__}: pass a NumPy array of images,"
        " a batched mindspore.dataset pipeline, or a source such as ArraySource or mnist()"
    )


def check_source(source: Source, seed: int) -> None:
    """Check the first batch of a user-defined source, see :func:`check_batch`."""
    if type(source) not in SELF_CHECKED:
        check_batch(source, next(iter(source.batches(seed, 1)), None))
