"""A source of pairs: several columns in one order, from arrays, folders, or images that hold both halves."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ms_gan_callbacks.data.decoding import check_decoding
from ms_gan_callbacks.data.folder_columns import (
    Column,
    ImageFolder,
    check_folder_or_columns,
    read_columns,
    read_parts,
)
from ms_gan_callbacks.data.protocol import check_whole
from ms_gan_callbacks.data.stored import ColumnSource
from ms_gan_callbacks.errors import RecipeError

_HALVES = ("source", "target")
_SPLITS = ("test", "train", "val")


def pairs(
    folder: str | os.PathLike[str] | None = None,
    /,
    *,
    batch_size: int = 16,
    columns: Sequence[str] | None = None,
    size: int | None = None,
    grey: bool = False,
    name: str | None = None,
    **arrays: Column,
) -> ColumnSource:
    """Return rows of several columns that belong together, such as edges and photographs.

    ::

        pairs(source=edges, target=photos)                   # arrays, in the same order
        pairs(source="shoes/edges", target="shoes/photos")   # folders with images of the same names
        pairs("facades/train", columns=("target", "source")) # images that hold the columns side by side
        pairs(real=images, labels=digits)                    # integers, one per row

    All columns have one order, ``stream(seed, "data", epoch)``, as in an :class:`ArraySource`. Columns of images
    may differ in shape. Images of folders are decoded as by :func:`folder_images` and kept in memory, sorted by
    path.

    Args:
        folder: a folder of images that hold the columns side by side, all of the same width.
        batch_size: rows per batch.
        columns: names of the parts of an image in ``folder``, from left to right; by default source and target.
        size: height and width of images from folders, cropped to the centre square and resized; by default they
            keep their size, and all images of a folder must have the same.
        grey: whether to convert images from folders to grey.
        name: name of the source in logs; by default that of ``folder``, or "pairs".
        **arrays: instead of ``folder``, the columns by name: images as :class:`ArraySource` takes them, integers
            (N,), vectors (N, K), or folders, whose images are matched by their names without suffix.

    Raises:
        RecipeError: an option is invalid, there are fewer than two columns, or both a folder and columns.
        DataError: columns differ in length or in the names of images; a folder is missing, has no images, or
            images of different sizes or of a width that cannot be divided; an array cannot be used; the rows do
            not fill a batch.

    Warns:
        GanWarning: files were left out; the range of a column indicates wrong scaling, such as [0, 1].
    """
    check_whole("batch_size", batch_size, least=1)
    size = check_decoding("pairs", size, grey)
    check_folder_or_columns("pairs", folder, arrays)
    if folder is None:
        if columns is not None:
            raise RecipeError("pairs(columns=...) names the parts of images in a folder: pass the folder first")
        name = "pairs" if name is None else name
        return ColumnSource(
            read_columns(name, arrays, size, grey, paired=True), batch_size, name=name, paired=True
        )
    names = _check_names(_HALVES if columns is None else columns)
    images = ImageFolder("pairs" if name is None else name, folder)
    resolved = images.path.resolve()
    parent = f"{resolved.parent.name} " if resolved.name in _SPLITS else ""
    name = f"{parent}{resolved.name}" if name is None else name
    return ColumnSource(read_parts(images, names, size, grey), batch_size, name=name, paired=True)


def _check_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names as a tuple; raise RecipeError unless they are two or more different strings."""
    names = tuple(columns) if isinstance(columns, (list, tuple)) else ()
    if len(names) < 2 or not all(isinstance(one, str) for one in names) or len(set(names)) < len(names):
        raise RecipeError(
            f"pairs(columns=...) takes two or more different names, such as {_HALVES}, not {columns!r}"
        )
    return names
