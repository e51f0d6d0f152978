"""A folder of pictures, of any sizes and kinds, as one array of squares.

::

    open ── upright (EXIF) ── on white if transparent ── RGB or grey ── middle square ── resize ──> pixels
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.folders import FileTree, name_some, need_folder
from ms_gan_callbacks.data.protocol import check_batch_size, check_whole, make_pixels
from ms_gan_callbacks.errors import DataError, RecipeError, describe, pluralize, warn

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def folder_images(
    path: str | os.PathLike[str], *, size: int = 32, grey: bool = False, batch_size: int = 64
) -> ArraySource:
    """All pictures in a folder and its subfolders: their middle squares, ``(3 or 1, size, size)`` in [-1, 1].

    Files are taken in the order of their paths, from linked folders too. A photograph is turned upright, a
    transparent picture is laid on white, of an animation the first frame is taken, and sixteen bits become eight.
    All are resized by Lanczos's filter, small ones enlarged, and kept in memory, size * size bytes a channel.

    If every picture lies in a subfolder, the subfolders right below the folder are classes, and labels are their
    numbers in the order of their names, 0 the first. A subfolder without a picture keeps its number, so that it
    shifts no other, and is named in the warning.

    Args:
        path: a folder of .bmp, .gif, .jpg, .png and .webp files.
        size: pixels on each side, at least 1.
        grey: whether to make them grey, (1, size, size).
        batch_size: images in a batch.

    Raises:
        RecipeError: ``size``, ``grey`` or ``batch_size`` is of no use.
        DataError: the folder is missing, holds no picture or too few for a batch, or half of them are damaged; a
            folder in it cannot be read.

    Warns:
        GanWarning: something is left out: damaged pictures, files of other types, hidden files and folders, links
            to nothing; all are counted and named, in one warning.
    """
    check_batch_size(batch_size)
    size = check_whole("folder_images(size=...)", size, least=1)
    if not isinstance(grey, bool):
        raise RecipeError(f"folder_images(grey=...) takes True or False, not {grey!r}")
    folder = need_folder(path, "the pictures")
    tree = FileTree(folder, SUFFIXES)
    name = folder.resolve().name or str(folder)
    _check_enough(name, folder, tree, batch_size)
    images, damaged = _decode(name, tree.files, size, grey)
    left_out = tree.describe_passed()
    if damaged:
        left_out.insert(0, _tell_damaged(folder, tree.files, damaged))
        images = np.delete(images, list(damaged), axis=0)
    whole = [file.relative_to(folder) for number, file in enumerate(tree.files) if number not in damaged]
    labels, empty = _label(whole, tree.folders)
    told = [f"left out: {'; '.join(left_out)}"] if left_out else []
    if empty:
        told.append(
            f"{pluralize(len(empty), 'class folders')} without a picture, whose labels stay ({name_some(empty)})"
        )
    if told:
        warn(f"{folder}: {'; '.join(told)}")
    return ArraySource(images, batch_size, labels=labels, name=name)


def _check_enough(name: str, folder: Path, tree: FileTree, batch_size: int) -> None:
    """Refuse a folder with too few pictures, before any of them is decoded."""
    passed = "; ".join(tree.describe_passed())
    if not tree.files:
        what = f"there are {passed}" if passed else "it is empty"
        raise DataError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}): {what}")
    if len(tree.files) < batch_size:
        others = f"; left out: {passed}" if passed else ""
        raise DataError(f"{name}: {len(tree.files)} images do not fill one batch of {batch_size}{others}")


def _label(files: Sequence[Path], folders: Sequence[str]) -> tuple[NDArray[np.int64] | None, list[str]]:
    """The number of each picture's subfolder among all by name, and which subfolders have no picture.

    None and nothing if some pictures lie in no subfolder: there are no classes then.
    """
    if any(len(file.parts) == 1 for file in files):
        return None, []
    numbers = {name: number for number, name in enumerate(folders)}
    used = {file.parts[0] for file in files}
    empty = [f"{name}: {number}" for name, number in numbers.items() if name not in used]
    return np.array([numbers[file.parts[0]] for file in files]), empty


def _decode(name: str, files: Sequence[Path], size: int, grey: bool) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Pixels (N, C, size, size), and of those files that are no whole picture what is wrong with them."""
    images = make_pixels(name, (len(files), 1 if grey else 3, size, size))
    damaged: dict[int, str] = {}
    for number, file in enumerate(files):  # by one thread: two were measured to be no faster
        try:
            images[number] = _pixels(file, size, grey)
        except Exception as error:  # whatever Pillow's many readers stumble over
            damaged[number] = _what_is_wrong(error, file)
    return images, damaged


def _tell_damaged(folder: Path, files: Sequence[Path], damaged: dict[int, str]) -> str:
    """Tell which pictures cannot be read; a DataError if half of them cannot."""
    named = name_some([f"{files[number].relative_to(folder)} ({why})" for number, why in damaged.items()])
    told = f"{len(damaged):,} of {len(files):,} pictures"
    if 2 * len(damaged) >= len(files):
        raise DataError(f"{told} in {folder} cannot be read: {named}")
    return f"{told}, which cannot be read: {named}"


def _what_is_wrong(error: Exception, file: Path) -> str:
    if isinstance(error, FileNotFoundError) and file.is_symlink():
        return "a link to nothing"
    if isinstance(error, UnidentifiedImageError):
        return "no picture" if file.stat().st_size else "empty"
    return describe(error).replace(str(file), file.name)


def _pixels(file: Path, size: int, grey: bool) -> NDArray[np.uint8]:
    """The pixels (C, size, size) of a picture."""
    with Image.open(file) as picture:
        picture.draft(None, (2 * size, 2 * size))  # a JPEG need not be decoded in all its detail
        plain = _opaque(picture, grey)
    side = min(plain.size)
    left, top = (plain.width - side) // 2, (plain.height - side) // 2
    square = plain.crop((left, top, left + side, top + side))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _opaque(picture: Image.Image, grey: bool) -> Image.Image:
    """The first frame upright, on white, in the wanted colours."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # sixteen bits, which convert() would cut off at 255
        picture = Image.fromarray((np.asarray(picture, np.uint32) // 257).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("L" if grey else "RGB")
