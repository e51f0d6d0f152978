"""MNIST, from a given folder or from the files included in the package; nothing is downloaded."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.idx_folder import IdxSplit, read_split
from ms_gan_callbacks.data.protocol import check_whole, make_pixels
from ms_gan_callbacks.errors import DataError, RecipeError, suggest

PACKAGED = Path(__file__).parent / "mnist_files"
"""Folder of the complete MNIST dataset included in the package."""

_SIDE = 28
_SUBFOLDERS = ("", "mnist", "MNIST/raw")  # the last is torchvision's layout
_FILES = {
    "train": IdxSplit("train", ("train",), _SUBFOLDERS),
    "test": IdxSplit("test", ("t10k",), _SUBFOLDERS),
}
_WHOLE = {"train": 60_000, "test": 10_000}


def mnist(
    root: str | os.PathLike[str] | None = None,
    *,
    split: str = "train",
    batch_size: int = 32,
    size: int | None = None,
    count: int | None = None,
) -> ArraySource:
    """Return handwritten digits, ``(1, 28, 28)`` in [-1, 1], with labels 0 to 9.

    Args:
        root: a folder with ``train-images-idx3-ubyte`` etc., plain or ``.gz``, directly or in ``mnist`` or
            ``MNIST/raw``. None uses the complete MNIST included in the package.
        split: ``"train"`` (60,000 digits) or ``"test"`` (10,000).
        batch_size: images per batch.
        size: pad each digit with background to size x size, at least 28, such as 32 for networks that halve it
            five times. An odd pixel is added at the right and the bottom.
        count: use only the first ``count`` images, for quick tests.

    Raises:
        RecipeError: unknown split; ``batch_size``, ``size`` or ``count`` is out of range.
        DataError: the folder is missing, incomplete or damaged; the images do not fill a batch.
    """
    if split not in _FILES:
        raise RecipeError(f"unknown split {split!r} of MNIST: {suggest(str(split), _FILES)}")
    check_whole("batch_size", batch_size, least=1)
    if size is not None:
        size = check_whole("mnist(size=...)", size, least=_SIDE)
    if count is not None:
        count = check_whole("mnist(count=...)", count, least=1)
    images, labels = _read_packaged(split) if root is None else _read(root, split)
    name = f"mnist {split}" if len(images) == _WHOLE[split] else f"mnist {split}, {len(images):,} images"
    if count is not None:
        if count > len(images):
            raise RecipeError(f"mnist(count={count:,}): {name!r} has {len(images):,} digits")
        name += f", first {count:,}" * (count < len(images))
        images, labels = images[:count], labels[:count]
    if size is not None and size != _SIDE:
        name += f", {size} x {size}"
        images = _pad(name, images, size)
    return ArraySource(images, batch_size, labels=labels, name=name)


@lru_cache
def _read_packaged(split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the included digits and labels, read once per process; read-only because they are shared."""
    both = _read(PACKAGED, split)
    for array in both:
        array.flags.writeable = False
    return both


def _read(root: str | os.PathLike[str], split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images_path, labels_path = _FILES[split].find(root, needs_labels=True)
    images, labels = read_split(images_path, labels_path)
    assert labels is not None
    if images.shape[1:] != (_SIDE, _SIDE):
        raise DataError(f"{images_path}: images are {images.shape[1]} x {images.shape[2]}, expected 28 x 28")
    if labels.max() > 9:
        raise DataError(f"{labels_path}: labels go up to {labels.max()}, expected 0 to 9")
    return images, labels


def _pad(name: str, images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the images centred in larger ones; the background of MNIST is 0."""
    padded = make_pixels(name, (len(images), size, size))
    first = (size - _SIDE) // 2
    padded[:, first : first + _SIDE, first : first + _SIDE] = images
    return padded
