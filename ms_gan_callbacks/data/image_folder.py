"""A source of images from a folder of image files of any size and format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.decoding import check_decoding, decode_images, describe_damaged, list_images
from ms_gan_callbacks.data.folders import FileTree, name_some, require_folder
from ms_gan_callbacks.data.protocol import check_whole
from ms_gan_callbacks.errors import DataError, pluralize, warn


def folder_images(
    path: str | os.PathLike[str], *, size: int = 32, grey: bool = False, batch_size: int = 64
) -> ArraySource:
    """Return the centre squares of all images in a folder and its subfolders, ``(3 or 1, size, size)`` in [-1, 1].

    Files are sorted by path; linked folders are followed. EXIF rotation is applied, transparent images get a white
    background, only the first frame of an animation is used, and 16-bit images are reduced to 8 bits. Images are
    resized with a Lanczos filter and kept in memory, size * size bytes per channel.

    If all images are in subfolders, the subfolders directly below the folder are classes, and labels are their
    indices in alphabetical order. A subfolder without images keeps its index and is listed in the warning.

    Args:
        path: a folder of .bmp, .gif, .jpg, .png and .webp files.
        size: height and width in pixels, at least 1.
        grey: whether to convert to grey, (1, size, size).
        batch_size: images per batch.

    Raises:
        RecipeError: ``size``, ``grey`` or ``batch_size`` is invalid.
        DataError: the folder is missing, has no images or too few for a batch, at least half of them are damaged,
            or a folder in it cannot be read.

    Warns:
        GanWarning: one warning lists all entries left out: damaged images, files of other types, hidden files and
            folders, broken links.
    """
    check_whole("batch_size", batch_size, least=1)
    size = check_whole("folder_images(size=...)", size, least=1)
    check_decoding("folder_images", size, grey)
    folder = require_folder(path, "the images")
    tree = list_images(folder)
    name = folder.resolve().name or str(folder)
    _check_enough(name, tree, batch_size)
    [images], damaged = decode_images(name, tree.files, size, grey)
    left_out = tree.describe_ignored()
    if damaged:
        left_out.insert(0, describe_damaged(folder, tree.files, damaged))
        images = np.delete(images, list(damaged), axis=0)
    whole = [file.relative_to(folder) for number, file in enumerate(tree.files) if number not in damaged]
    labels, empty = _label(whole, tree.folders)
    messages = [f"left out: {'; '.join(left_out)}"] if left_out else []
    if empty:
        messages.append(
            f"{pluralize(len(empty), 'class folders')} without images, with unused labels ({name_some(empty)})"
        )
    if messages:
        warn(f"{folder}: {'; '.join(messages)}")
    return ArraySource(images, batch_size, labels=labels, name=name)


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
