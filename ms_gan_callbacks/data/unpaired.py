"""A source of columns that do not belong together, each in its own order, as for CycleGAN."""

from __future__ import annotations

import os
from pathlib import Path

from ms_gan_callbacks.data.decoding import check_decoding
from ms_gan_callbacks.data.folder_columns import Column, check_folder_or_columns, read_columns
from ms_gan_callbacks.data.folders import list_data, require_folder
from ms_gan_callbacks.data.protocol import LABELS, check_whole
from ms_gan_callbacks.data.stored import ColumnSource
from ms_gan_callbacks.errors import DataError, RecipeError, suggest


def unpaired(
    folder: str | os.PathLike[str] | None = None,
    /,
    *,
    batch_size: int = 1,
    split: str | None = None,
    size: int | None = None,
    grey: bool = False,
    name: str | None = None,
    **arrays: Column,
) -> ColumnSource:
    """Return columns that do not belong together, such as horses and zebras.

    ::

        unpaired(a=horses, b=zebras)                 # arrays
        unpaired(a="photos", b="paintings", size=64) # folders
        unpaired("horse2zebra", split="test")        # testA and testB: columns a and b

    A column has its own order, ``stream(seed, "data <column>", epoch)``. Columns may differ in length: an epoch
    ends with the shortest, and has other rows of the longer ones every time. Images of folders are decoded as by
    :func:`folder_images` and kept in memory.

    Args:
        folder: a folder with ``trainA`` and ``trainB``, which become the columns a and b.
        batch_size: rows per batch.
        split: the beginning of the folders' names in ``folder``; by default train.
        size: height and width of images from folders, cropped to the centre square and resized; by default they
            keep their size, and all images of a folder must have the same.
        grey: whether to convert images from folders to grey.
        name: name of the source in logs; by default that of ``folder`` and the split, or "unpaired".
        **arrays: instead of ``folder``, the columns by name: images as :class:`ArraySource` takes them, integers
            (N,), vectors (N, K), or folders. "labels" would not belong to their images: use :func:`pairs`.

    Raises:
        RecipeError: an option is invalid, there are fewer than two columns, or both a folder and columns.
        DataError: a folder is missing, has no images or images of different sizes; an array cannot be used; the
            shortest column does not fill a batch.

    Warns:
        GanWarning: files were left out; the range of a column indicates wrong scaling, such as [0, 1].
    """
    check_whole("batch_size", batch_size, least=1)
    size = check_decoding("unpaired", size, grey)
    check_folder_or_columns("unpaired", folder, arrays)
    if folder is None:
        if split is not None:
            raise RecipeError("unpaired(split=...) selects folders such as trainA: pass the folder that has them")
        if LABELS in arrays:
            raise RecipeError(
                "unpaired: labels would be shuffled apart from their images: use pairs(), or another name"
            )
        name = "unpaired" if name is None else name
    else:
        split = "train" if split is None else split
        root = require_folder(folder, f"{split}A and {split}B")
        arrays = {column: _find_folder(root, f"{split}{column.upper()}") for column in ("a", "b")}
        name = f"{root.resolve().name} {split}" if name is None else name
    return ColumnSource(read_columns(name, arrays, size, grey, paired=False), batch_size, name=name, paired=False)


def _find_folder(root: Path, name: str) -> Path:
    """Return a folder in ``root``; raise DataError, with the nearest match, if it does not exist."""
    if not (root / name).is_dir():
        names = [entry.name for entry in list_data(root) if entry.is_dir()]
        raise DataError(f"{root} has no folder {name!r}: {suggest(name, names)}")
    return root / name
