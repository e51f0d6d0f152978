"""A folder of pictures, of any sizes and kinds, as one array of squares.

::

    open ── upright (EXIF) ── on white if transparent ── RGB or grey ── middle square ── resize ──> pixels
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.protocol import check_batch_size
from ms_gan_callbacks.errors import DataError, GanWarning, RecipeError, describe, is_whole

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
_NAMED = 3  # damaged files that a line has room for


def folder_images(
    path: str | os.PathLike[str], *, size: int = 32, grey: bool = False, batch_size: int = 64
) -> ArraySource:
    """All pictures in a folder and its subfolders: their middle squares, ``(3 or 1, size, size)`` in [-1, 1].

    Files are taken in the order of their names; those that begin with a dot are not. A photograph is turned
    upright, a transparent picture is laid on white, of an animation the first frame is taken, and sixteen bits
    become eight. All are resized by Lanczos's filter, small ones enlarged, and kept in memory, size * size bytes
    for each channel. If every picture lies in a subfolder, labels number the subfolders, 0 the first by name.

    Args:
        path: a folder of .bmp, .gif, .jpg, .png and .webp files.
        size: pixels on each side, at least 1.
        grey: whether to make them grey, (1, size, size).
        batch_size: images in a batch.

    Raises:
        RecipeError: ``size``, ``grey`` or ``batch_size`` is of no use.
        DataError: the folder is missing, holds no picture or too few for a batch, or half of them are damaged.

    Warns:
        GanWarning: some are damaged; they are left out.
    """
    check_batch_size(batch_size)
    if not is_whole(size, 1):
        raise RecipeError(f"folder_images(size=...) takes a whole number of at least 1, not {size!r}")
    if not isinstance(grey, bool):
        raise RecipeError(f"folder_images(grey=...) takes True or False, not {grey!r}")
    folder = _checked(path)
    files = _pictures(folder)
    name = folder.resolve().name or str(folder)
    if len(files) < batch_size:
        raise DataError(f"{name}: {len(files)} images do not fill one batch of {batch_size}")
    images, whole = _decoded(folder, files, size, grey)
    labels = _labels([file.relative_to(folder) for file in files])
    if not whole.all():
        images, labels = images[whole], None if labels is None else labels[whole]
    return ArraySource(images, batch_size, labels=labels, name=name)


def _checked(path: str | os.PathLike[str]) -> Path:
    folder = Path(path).expanduser()
    if not os.fspath(path) or not folder.exists():
        raise DataError(f"there is no folder {os.fspath(path)!r} of pictures")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file, expected the folder that holds the pictures")
    return folder


def _pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, however deep, in the order of their paths."""
    found, others = [], 0
    for parent, folders, names in os.walk(folder, onerror=_cannot_be_read):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                is_picture = Path(name).suffix.lower() in SUFFIXES
                found += [Path(parent, name)] if is_picture else []
                others += not is_picture
    if not found:
        what = f"none of its {others:,} files is one" if others else "it is empty"
        raise DataError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}): {what}")
    return sorted(found)


def _cannot_be_read(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename} cannot be read ({error.strerror})") from error


def _labels(files: Sequence[Path]) -> NDArray[np.int64] | None:
    """The number of each picture's subfolder, by name; None if some lie in none."""
    if any(len(file.parts) == 1 for file in files):
        return None
    return np.unique([file.parts[0] for file in files], return_inverse=True)[1]


def _decoded(
    folder: Path, files: Sequence[Path], size: int, grey: bool
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Pixels (N, C, size, size), and which of them are a picture; the others were damaged and are warned of."""
    images = np.zeros((len(files), 1 if grey else 3, size, size), np.uint8)
    damaged: dict[int, str] = {}
    for number, file in enumerate(files):  # by one thread: two were measured to be no faster
        try:
            images[number] = _pixels(file, size, grey)
        except Exception as error:  # whatever Pillow's many readers stumble over
            damaged[number] = f"{file.relative_to(folder)} ({_what_is_wrong(error, file)})"
    if damaged:
        named = ", ".join([*damaged.values()][:_NAMED]) + ", ..." * (len(damaged) > _NAMED)
        told = f"{len(damaged):,} of {len(files):,} pictures in {folder} cannot be read: {named}"
        if 2 * len(damaged) >= len(files):
            raise DataError(told)
        warnings.warn(f"{told}; left out", GanWarning, stacklevel=3)
    return images, np.array([number not in damaged for number in range(len(files))])


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
