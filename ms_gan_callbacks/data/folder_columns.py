"""Reading of columns from arrays and folders of images, for sources of several columns."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import locate_column
from ms_gan_callbacks.data.decoding import decode_images, describe_damaged, list_images
from ms_gan_callbacks.data.folders import FileTree, name_some, require_folder
from ms_gan_callbacks.data.stored import check_lengths
from ms_gan_callbacks.errors import DataError, RecipeError, suggest, warn

Column: TypeAlias = "NDArray[Any] | str | os.PathLike[str]"
"""A column: an array, or a folder of images."""

OPTIONS = ("batch_size", "columns", "grey", "name", "size", "split")


class ImageFolder:
    """The image files below a folder.

    Args:
        name: name of the images in messages.
        path: the folder.

    Raises:
        RecipeError: ``path`` is not a path.
        DataError: the folder is missing, cannot be read, or has no images.

    Attributes:
        files: the image files in the order of their rows, at first sorted by path.
    """

    def __init__(self, name: str, path: str | os.PathLike[str]) -> None:
        self.name = name
        try:
            self.path = require_folder(path, "the images")
            self._tree: FileTree = list_images(self.path)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        self.files: Sequence[Path] = self._tree.files

    def index(self) -> dict[str, Path]:
        """Return the files by their paths in the folder without suffix; raise DataError if two are equal."""
        found: dict[str, Path] = {}
        for file in self.files:
            key = file.relative_to(self.path).with_suffix("").as_posix()
            if key in found:
                names = " and ".join(one.relative_to(self.path).as_posix() for one in (found[key], file))
                raise DataError(f"{self.name}: {self.path} has two images of one name: {names}")
            found[key] = file
        return found

    def decode(
        self, size: int | None, grey: bool, parts: int = 1, *, paired: bool
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """Return the pixels (parts, N, C, H, W), and the indices of damaged images, which must be left out.

        Raises:
            DataError, RecipeError: see :func:`decode_images`; or at least half of the images are damaged.

        Warns:
            GanWarning: images are damaged, or other files were ignored.
        """
        pixels, damaged = decode_images(self.name, self.files, size, grey, parts)
        left_out = self._tree.describe_ignored()
        if damaged:
            rows = " (their rows are left out of all columns)" if paired else ""
            left_out.insert(0, f"{describe_damaged(self.path, self.files, damaged)}{rows}")
        if left_out:
            warn(f"{self.path}: left out: {'; '.join(left_out)}")
        return pixels, list(damaged)


def check_folder_or_columns(caller: str, folder: object, given: Mapping[str, Column]) -> None:
    """Raise RecipeError if columns are not given by name, or are given in addition to a folder."""
    if folder is None:
        return
    if not isinstance(folder, (str, os.PathLike)):
        raise RecipeError(f"{caller} takes columns by name, {caller}(a=..., b=...), not {type(folder).__name__}")
    if given:
        raise RecipeError(f"{caller} takes a folder or columns by name, not both: remove {', '.join(given)}")


def read_columns(
    caller: str, given: Mapping[str, Column], size: int | None, grey: bool, *, paired: bool
) -> dict[str, NDArray[Any]]:
    """Return the columns as arrays, folders decoded to uint8 (N, C, H, W).

    Args:
        caller: name of the source in messages.
        given: the columns by name.
        size: height and width of images from folders, see :func:`decode_images`.
        grey: whether to convert images from folders to grey.
        paired: whether rows belong together: folders must have images of the same names, and all columns the same
            number of rows; a damaged image is left out with its row.

    Raises:
        RecipeError: there are fewer than two columns; ``size`` or ``grey`` is given without a folder.
        DataError: a column is of another type, a folder cannot be used, or columns do not match.
    """
    _check_kinds(caller, given)
    arrays = {column: value for column, value in given.items() if isinstance(value, np.ndarray)}
    folders = {
        column: ImageFolder(locate_column(caller, column), value)
        for column, value in given.items()
        if not isinstance(value, np.ndarray)
    }
    if not folders and (size is not None or grey):
        raise RecipeError(f"{caller}: size= and grey= apply to folders of images: convert the arrays instead")
    if paired:
        _match(caller, folders)
        lengths = {column: len(folders[column].files if column in folders else arrays[column]) for column in given}
        check_lengths(caller, lengths)
    damaged: dict[str, Collection[int]] = {}
    for column, folder in folders.items():
        [arrays[column]], damaged[column] = folder.decode(size, grey, paired=paired)
    together = {row for rows in damaged.values() for row in rows}
    return {
        column: _leave_out(arrays[column], together if paired else damaged.get(column, ())) for column in given
    }


def read_parts(
    folder: ImageFolder, columns: Sequence[str], size: int | None, grey: bool
) -> dict[str, NDArray[Any]]:
    """Return the parts of images that hold all columns side by side, uint8 (N, C, H, W) by column."""
    pixels, damaged = folder.decode(size, grey, len(columns), paired=True)
    return {column: _leave_out(part, damaged) for column, part in zip(columns, pixels, strict=True)}


def _leave_out(rows: NDArray[Any], damaged: Collection[int]) -> NDArray[Any]:
    return np.delete(rows, sorted(damaged), axis=0) if damaged else rows


def _check_kinds(caller: str, given: Mapping[str, Column]) -> None:
    """Raise an error unless there are two columns, each an array or a path."""
    for column, value in given.items():
        if isinstance(value, (str, os.PathLike)) or (isinstance(value, np.ndarray) and value.ndim):
            continue
        known = f"; options: {suggest(column, OPTIONS)}" if not isinstance(value, np.ndarray) else ""
        kind = "array without rows" if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"{caller}: column {column!r} must be an array or a folder of images, not {kind}{known}")
    if len(given) < 2:
        found = f"only {next(iter(given))!r}" if given else "none"
        raise RecipeError(f"{caller} needs at least two columns, such as source=..., target=..., got {found}")


def _match(caller: str, folders: Mapping[str, ImageFolder]) -> None:
    """Bring the files of all folders into the order of the first; raise DataError if their names differ."""
    if len(folders) < 2:
        return
    (first, leader), *others = folders.items()
    wanted = leader.index()
    for column, folder in others:
        found = folder.index()
        lacks = [
            f"{one.path} has no {name_some(sorted(names))}"
            for one, names in ((folder, wanted.keys() - found.keys()), (leader, found.keys() - wanted.keys()))
            if names
        ]
        if lacks:
            raise DataError(
                f"{caller}: the folders of {first!r} and {column!r} need images of the same names:"
                f" {'; '.join(lacks)}"
            )
        folder.files = [found[key] for key in wanted]
