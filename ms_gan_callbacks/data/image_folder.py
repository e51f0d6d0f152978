"""A source of images from a folder of image files of any size and format.

::

    open ── rotate (EXIF) ── white background if transparent ── RGB or grey ── centre crop ── resize ──> pixels
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.folders import FileTree, name_some, require_folder
from ms_gan_callbacks.data.protocol import check_whole, make_pixels
from ms_gan_callbacks.errors import DataError, RecipeError, describe, pluralize, warn

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


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
    if not isinstance(grey, bool):
        raise RecipeError(f"folder_images(grey=...) takes True or False, not {grey!r}")
    folder = require_folder(path, "the images")
    tree = FileTree(folder, SUFFIXES)
    name = folder.resolve().name or str(folder)
    _check_enough(name, folder, tree, batch_size)
    images, damaged = _decode(name, tree.files, size, grey)
    left_out = tree.describe_ignored()
    if damaged:
        left_out.insert(0, _describe_damaged(folder, tree.files, damaged))
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


def _check_enough(name: str, folder: Path, tree: FileTree, batch_size: int) -> None:
    """Raise DataError if there are too few images, before decoding any of them."""
    ignored = "; ".join(tree.describe_ignored())
    if not tree.files:
        found = f"it contains {ignored}" if ignored else "it is empty"
        raise DataError(f"{folder} has no images ({', '.join(SUFFIXES)}): {found}")
    if len(tree.files) < batch_size:
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


def _decode(name: str, files: Sequence[Path], size: int, grey: bool) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Return pixels (N, C, size, size), and a description of the error of each damaged file, by index."""
    images = make_pixels(name, (len(files), 1 if grey else 3, size, size))
    damaged: dict[int, str] = {}
    for number, file in enumerate(files):  # two threads were measured not to be faster
        try:
            images[number] = _read_pixels(file, size, grey)
        except Exception as error:  # Pillow's readers raise many types
            damaged[number] = _explain(error, file)
    return images, damaged


def _describe_damaged(folder: Path, files: Sequence[Path], damaged: dict[int, str]) -> str:
    """Return a phrase about damaged images; raise DataError if at least half of them are damaged."""
    named = name_some([f"{files[number].relative_to(folder)} ({why})" for number, why in damaged.items()])
    share = f"{len(damaged):,} of {len(files):,} images"
    if 2 * len(damaged) >= len(files):
        raise DataError(f"{share} in {folder} cannot be read: {named}")
    return f"{share}, which cannot be read: {named}"


def _explain(error: Exception, file: Path) -> str:
    if isinstance(error, FileNotFoundError) and file.is_symlink():
        return "broken link"
    if isinstance(error, UnidentifiedImageError):
        return "not an image" if file.stat().st_size else "empty"
    return describe(error).replace(str(file), file.name)


def _read_pixels(file: Path, size: int, grey: bool) -> NDArray[np.uint8]:
    """Return the pixels (C, size, size) of an image file."""
    with Image.open(file) as image:
        image.draft(None, (2 * size, 2 * size))  # decode a JPEG at reduced resolution
        plain = _flatten(image, grey)
    side = min(plain.size)
    left, top = (plain.width - side) // 2, (plain.height - side) // 2
    square = plain.crop((left, top, left + side, top + side))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _flatten(image: Image.Image, grey: bool) -> Image.Image:
    """Return the first frame, rotated, on a white background, in RGB or grey."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits, which convert() would clip at 255
        image = Image.fromarray((np.asarray(image, np.uint32) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if grey else "RGB")
