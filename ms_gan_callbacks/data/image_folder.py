"""A source of images from a folder of image files of any size and format."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.decoding import check_decoding, decode_images, describe_damaged, list_images
from ms_gan_callbacks.data.folder_source import Decoder, FolderSource, look_at
from ms_gan_callbacks.data.folders import FileTree, name_some, require_folder
from ms_gan_callbacks.data.memory import fits_in_memory
from ms_gan_callbacks.data.protocol import check_whole
from ms_gan_callbacks.errors import DataError, RecipeError, pluralize, warn


def folder_images(
    path: str | os.PathLike[str],
    *,
    size: int = 32,
    grey: bool = False,
    batch_size: int = 64,
    in_memory: bool | None = None,
) -> ArraySource | FolderSource:
    """Return the centre squares of all images in a folder and its subfolders, ``(3 or 1, size, size)`` in [-1, 1].

    Files are sorted by path; linked folders are followed. EXIF rotation is applied, transparent images get a white
    background, only the first frame of an animation is used, and 16-bit images are reduced to 8 bits. Images are
    resized with a Lanczos filter and kept in memory, size * size bytes per channel.

    If they would take more than half of the memory, files are decoded again for every batch, which are the same.
    All files are then decoded once before the first run, to find damaged ones; the result is kept in the user's
    cache folder until a file changes.

    If all images are in subfolders, the subfolders directly below the folder are classes, and labels are their
    indices in alphabetical order. A subfolder without images keeps its index and is listed in the warning.

    Args:
        path: a folder of .bmp, .gif, .jpg, .png and .webp files.
        size: height and width in pixels, at least 1.
        grey: whether to convert to grey, (1, size, size).
        batch_size: images per batch.
        in_memory: whether to keep the images in memory; by default if they take at most half of it.

    Raises:
        RecipeError: ``size``, ``grey``, ``batch_size`` or ``in_memory`` is invalid.
        DataError: the folder is missing, has no images or too few for a batch, at least half of them are damaged,
            or a folder in it cannot be read.

    Warns:
        GanWarning: one warning lists all entries left out: damaged images, files of other types, hidden files and
            folders, broken links.
    """
    check_whole("batch_size", batch_size, least=1)
    size = check_whole("folder_images(size=...)", size, least=1)
    check_decoding("folder_images", size, grey)
    if in_memory not in (None, True, False):
        raise RecipeError(f"folder_images(in_memory=...) takes True, False or None, not {in_memory!r}")
    folder = require_folder(path, "the images")
    tree = list_images(folder)
    name = folder.resolve().name or str(folder)
    _check_enough(name, tree, batch_size)
    decoder = Decoder(size, grey)
    if in_memory or (in_memory is None and fits_in_memory(len(tree.files) * math.prod(decoder.shape))):
        [images], damaged = decode_images(name, tree.files, size, grey)
        labels = _report(folder, tree, damaged)
        return ArraySource(np.delete(images, list(damaged), axis=0), batch_size, labels=labels, name=name)
    found = look_at(name, tree.files, decoder)
    labels = _report(folder, tree, found.damaged)
    intact = [file for number, file in enumerate(tree.files) if number not in found.damaged]
    return FolderSource(intact, decoder, batch_size, found.sha256, labels=labels, name=name)


def _report(folder: Path, tree: FileTree, damaged: dict[int, str]) -> NDArray[np.int64] | None:
    """Return the labels of the intact images, or None; warn about everything that was left out."""
    left_out = tree.describe_ignored()
    if damaged:
        left_out.insert(0, describe_damaged(folder, tree.files, damaged))
    whole = [file.relative_to(folder) for number, file in enumerate(tree.files) if number not in damaged]
    labels, empty = _label(whole, tree.folders)
    messages = [f"left out: {'; '.join(left_out)}"] if left_out else []
    if empty:
        messages.append(
            f"{pluralize(len(empty), 'class folders')} without images, with unused labels ({name_some(empty)})"
        )
    if messages:
        warn(f"{folder}: {'; '.join(messages)}")
    return labels


def _check_enough(name: str, tree: FileTree, batch_size: int) -> None:
    """Raise DataError if there are too few images, before decoding any of them."""
    if len(tree.files) < batch_size:
        ignored = "; ".join(tree.describe_ignored())
        others = f"; left out: {ignored}" if ignored else ""
        raise DataError(f"{name}: {len(tree.files)} images do not fill one batch of {batch_size}{others}")


def _label(files: Sequence[Path], folders: Sequence[str]) -> tuple[NDArray[np.int64] | None, list[str]]:
    """Return the label of each image, None if some are not in a subfolder, and the subfolders without images."""
    if any(len(file.parts) == 1 for file in files):
        return None, []
    numbers = {name: number for number, name in enumerate(folders)}
    used = {file.parts[0] for file in files}
    empty = [f"{name}: {number}" for name, number in numbers.items() if name not in used]
    return np.array([numbers[file.parts[0]] for file in files]), empty
