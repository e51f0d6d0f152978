"""Decoding of image files of any size and format, whole or as two halves side by side.

::

    open ── rotate (EXIF) ── white background if transparent ── RGB or grey
         ── cut into halves ── centre crop ── resize ──> pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ms_gan_callbacks.data.folders import FileTree, name_some
from ms_gan_callbacks.data.protocol import check_whole, make_pixels
from ms_gan_callbacks.errors import DataError, RecipeError, describe

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def check_decoding(caller: str, size: int | None, grey: object) -> int | None:
    """Return the size as an int or None; raise RecipeError if it is below 1 or ``grey`` is not a bool."""
    if not isinstance(grey, bool):
        raise RecipeError(f"{caller}(grey=...) takes True or False, not {grey!r}")
    return None if size is None else check_whole(f"{caller}(size=...)", size, least=1)


def list_images(folder: Path) -> FileTree:
    """Return the image files below a folder; raise DataError if there are none or a folder cannot be read."""
    tree = FileTree(folder, SUFFIXES)
    if not tree.files:
        ignored = "; ".join(tree.describe_ignored())
        found = f"it contains {ignored}" if ignored else "it is empty"
        raise DataError(f"{folder} has no images ({', '.join(SUFFIXES)}): {found}")
    return tree


def decode_images(
    name: str, files: Sequence[Path], size: int | None, grey: bool, parts: int = 1
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Return pixels (parts, N, C, H, W), and a description of the error of each damaged file, by index.

    Args:
        name: name of the images in messages.
        files: the image files.
        size: height and width to crop and resize to; None keeps the size, which all files must have in common.
        grey: whether to convert to grey.
        parts: number of parts of equal width that a file holds side by side, from left to right.

    Raises:
        RecipeError: the pixels do not fit into memory.
        DataError: files differ in size, or a width is not a multiple of ``parts``.
    """
    images: NDArray[np.uint8] | None = None
    damaged: dict[int, str] = {}
    first = files[0]
    for number, file in enumerate(files):  # two threads were measured not to be faster
        try:
            pixels = read_parts(file, size, grey, parts)
        except DataError:
            raise
        except Exception as error:  # Pillow's readers raise many types
            damaged[number] = explain_damage(error, file)
            continue
        if images is None:
            images, first = make_pixels(name, (parts, len(files), *pixels.shape[1:])), file
        if pixels.shape[1:] != images.shape[2:]:
            sizes = [f"{shape[-1] * parts} x {shape[-2]}" for shape in (pixels.shape, images.shape)]
            raise DataError(
                f"{file} is {sizes[0]} pixels, but {first} is {sizes[1]}: pass size=... to crop and resize all"
            )
        images[:, number] = pixels
    return np.zeros((parts, len(files), 1, 1, 1), np.uint8) if images is None else images, damaged


def describe_damaged(folder: Path, files: Sequence[Path], damaged: dict[int, str]) -> str:
    """Return a phrase about damaged images; raise DataError if at least half of them are damaged."""
    named = name_some([f"{files[number].relative_to(folder)} ({why})" for number, why in damaged.items()])
    share = f"{len(damaged):,} of {len(files):,} images"
    if 2 * len(damaged) >= len(files):
        raise DataError(f"{share} in {folder} cannot be read: {named}")
    return f"{share}, which cannot be read: {named}"


def explain_damage(error: Exception, file: Path) -> str:
    """Describe the error of a file that cannot be decoded."""
    if isinstance(error, FileNotFoundError) and file.is_symlink():
        return "broken link"
    if isinstance(error, UnidentifiedImageError):
        return "not an image" if file.stat().st_size else "empty"
    return describe(error).replace(str(file), file.name)


def read_parts(file: Path, size: int | None, grey: bool, parts: int) -> NDArray[np.uint8]:
    """Return the pixels (parts, C, H, W) of an image file."""
    with Image.open(file) as image:
        if size is not None and parts == 1:
            image.draft(None, (2 * size, 2 * size))  # decode a JPEG at reduced resolution
        plain = _flatten(image, grey)
    if plain.width % parts:
        raise DataError(
            f"{file} is {plain.width} pixels wide, which is not divisible by {parts}: expected {parts} images of"
            " one size side by side"
        )
    width = plain.width // parts
    views = [plain.crop((part * width, 0, (part + 1) * width, plain.height)) for part in range(parts)]
    return np.stack([_to_pixels(view if size is None else _fit(view, size), grey) for view in views])


def _fit(image: Image.Image, size: int) -> Image.Image:
    """Return the centre square, resized with a Lanczos filter."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((size, size), Image.Resampling.LANCZOS)


def _to_pixels(image: Image.Image, grey: bool) -> NDArray[Any]:
    pixels = np.asarray(image)
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
