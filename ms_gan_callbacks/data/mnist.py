"""MNIST from the first place that has it.

::

    a folder the caller names  >  MS_GAN_DATA  >  the user's cache  >  a mirror  >  5,000 bundled digits
    \\____________ must be right ____________/   \\___ repaired if damaged ___/     \\_____ warns _____/

``MS_GAN_OFFLINE=1`` leaves the mirrors alone.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import platformdirs

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.download import check, download
from ms_gan_callbacks.data.idx_folder import IdxSplit, read_split
from ms_gan_callbacks.data.protocol import check_batch_size
from ms_gan_callbacks.errors import DataError, GanWarning, RecipeError, choices

BUNDLED = Path(__file__).parent / "digits"
"""The folder of the bundled digits: 500 of each class, from MNIST's training set."""

_SUBFOLDERS = ("", "mnist", "MNIST/raw")  # the last is where torchvision puts them
_FILES = {
    "train": IdxSplit("train", ("train",), _SUBFOLDERS),
    "test": IdxSplit("test", ("t10k",), _SUBFOLDERS),
}
_WHOLE = {"train": 60_000, "test": 10_000}
_HELP = "for the whole set, name a folder that has it with data_dir or MS_GAN_DATA"


def mnist(
    root: str | os.PathLike[str] | None = None, *, split: str = "train", batch_size: int = 32
) -> ArraySource:
    """Handwritten digits, ``(1, 28, 28)`` in [-1, 1], with their labels 0 to 9.

    Args:
        root: a folder with ``train-images-idx3-ubyte`` and so on, plain or ``.gz``, or with a subfolder
            ``mnist`` that has them. None: search as told at the head of this module.
        split: ``"train"`` (60,000 digits) or ``"test"`` (10,000).
        batch_size: images in a batch.

    Raises:
        RecipeError: no such split, or ``batch_size`` is below 1.
        DataError: a named folder is missing, incomplete or damaged; there is no test set; too few images.

    Warns:
        GanWarning: the bundled 5,000 digits are used, or a damaged cache is repaired.
    """
    if split not in _FILES:
        raise RecipeError(f"MNIST has no split {split!r}: {choices(str(split), _FILES)}")
    check_batch_size(batch_size)  # before anything is fetched
    if root is not None:
        return _load(root, split, batch_size)
    if named := os.environ.get("MS_GAN_DATA"):
        try:
            return _load(named, split, batch_size)
        except DataError as error:
            raise DataError(f"MS_GAN_DATA: {error}") from error
    try:
        folder = _cached(split)
    except DataError as error:
        if split == "test":
            raise DataError(f"the bundled digits have no test split, and {error}; {_HELP}") from error
        warnings.warn(
            f"training on the 5,000 bundled digits only, not on MNIST's 60,000: {error}; {_HELP}",
            GanWarning,
            stacklevel=2,
        )
        folder = BUNDLED
    return _load(folder, split, batch_size)


def _cached(split: str) -> Path:
    """The cache folder, once it holds the split whole; DataError tells why it does not."""
    folder = Path(platformdirs.user_cache_dir("ms_gan_callbacks", appauthor=False)) / "mnist"
    names = [_FILES[split].names(kind)[0] for kind in ("images", "labels")]
    needed = []
    for name in names:
        if not _intact(folder / f"{name}.gz", name):
            needed.append(name)
    if needed and os.environ.get("MS_GAN_OFFLINE", "") not in ("", "0"):
        raise DataError("it is not in the cache and MS_GAN_OFFLINE is set")
    if needed:
        download(needed, folder)
    return folder


def _intact(path: Path, name: str) -> bool:
    if not path.exists():
        return False
    try:
        check(path.read_bytes(), name)
    except (DataError, OSError) as error:
        warnings.warn(f"cached {path} is damaged and will not be used: {error}", GanWarning, stacklevel=4)
        return False
    return True


def _load(root: str | os.PathLike[str], split: str, batch_size: int) -> ArraySource:
    files = _FILES[split]
    folder = files.folder(root)
    images_path, labels_path = files.need(folder, "images"), files.need(folder, "labels")
    images, labels = read_split(images_path, labels_path)
    if images.shape[1:] != (28, 28):
        raise DataError(f"{images_path}: images are {images.shape[1]} x {images.shape[2]}, expected 28 x 28")
    if labels.max() > 9:
        raise DataError(f"{labels_path}: labels go up to {labels.max()}, expected 0 to 9")
    name = f"mnist {split}" if len(images) == _WHOLE[split] else f"mnist {split}, {len(images):,} images"
    if folder == BUNDLED:
        name = f"mnist {len(images):,} bundled"
    return ArraySource(images, batch_size, labels=labels, name=name)
