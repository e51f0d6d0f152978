"""Where real images come from: the protocol, its two implementations, and what turns data into one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.pipelines import DatasetSource
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.errors import RecipeError

if TYPE_CHECKING:
    from mindspore.dataset import Dataset

__all__ = ["ArraySource", "DatasetSource", "Source", "as_source"]


def as_source(data: Source | NDArray[Any] | Dataset, batch_size: int = 32) -> Source:
    """Take whatever a user trains on.

    Args:
        data: a :class:`Source`, an array of images or a batched ``mindspore.dataset`` pipeline.
        batch_size: for an array; a source and a pipeline have their own.

    Raises:
        RecipeError: the data is of another type.
        DataError: the data is damaged, unscaled or too little.
    """
    if isinstance(data, np.ndarray):
        return ArraySource(data, batch_size)
    if isinstance(data, Source) and not isinstance(data, type):
        return data
    # Whoever has a pipeline has imported mindspore.dataset; nobody else should wait for that.
    pipelines = sys.modules.get("mindspore.dataset")
    if pipelines is not None and isinstance(data, pipelines.Dataset):
        return DatasetSource(data)
    raise RecipeError(
        f"cannot train on data of type {type(data).__name__}: give a NumPy array of images,"
        " a batched mindspore.dataset pipeline, or a source such as ArraySource or mnist()"
    )
