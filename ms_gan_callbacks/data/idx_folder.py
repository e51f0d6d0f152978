"""Folders of IDX files, the layout of MNIST, Fashion-MNIST, KMNIST and EMNIST."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.folders import list_data, name_some, require_folder
from ms_gan_callbacks.data.idx import read_idx
from ms_gan_callbacks.data.protocol import check_whole
from ms_gan_callbacks.errors import DataError, RecipeError, suggest, warn

_STEMS = {"train": ("train",), "test": ("t10k", "test")}

FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Folder of Debian's package dataset-fashion-mnist."""

_GET_FASHION = (
    "get Fashion-MNIST with apt-get install dataset-fashion-mnist (Debian, Ubuntu), or its four files from "
    "https://github.com/zalandoresearch/fashion-mnist, and pass their folder"
)


@dataclass(frozen=True)
class IdxSplit:
    """Names and locations of the two files of a split.

    Attributes:
        split: name of the split in messages.
        stems: file name prefixes before ``-images``.
        subfolders: subfolders to search, in this order.
        hint: how to obtain the files; added to errors.
    """

    split: str
    stems: tuple[str, ...]
    subfolders: tuple[str, ...]
    hint: str = ""

    def list_names(self, kind: str) -> list[str]:
        """Return all accepted file names of "images" or "labels"."""
        ends = [f"{kind}{dot}idx{3 if kind == 'images' else 1}-ubyte" for dot in "-."]
        return [f"{stem}-{end}{packed}" for stem in self.stems for end in ends for packed in ("", ".gz")]

    def find(self, root: str | os.PathLike[str], *, needs_labels: bool) -> tuple[Path, Path | None]:
        """Return the paths of the images and labels, both from the first subfolder that has either of them.

        Labels are None if there is no file and ``needs_labels`` is False.

        Raises:
            DataError: the folder or a file is missing or cannot be read.

        Warns:
            GanWarning: other files of the split were ignored.
        """
        hint = f"; {self.hint}" if self.hint else ""
        base = require_folder(root, self.list_names("images")[1], hint)
        places = [base / subfolder for subfolder in self.subfolders]
        listed = {place: [path.name for path in list_data(place, missing_ok=place != base)] for place in places}
        both = self.list_names("images") + self.list_names("labels")
        folder = next((place for place, names in listed.items() if not set(both).isdisjoint(names)), base)
        images, labels = (
            next((folder / name for name in self.list_names(kind) if name in listed[folder]), None)
            for kind in ("images", "labels")
        )
        for kind, path in (("images", images), ("labels", labels)):
            if path is None and (kind == "images" or needs_labels):
                names = ", ".join(self.list_names(kind))
                raise DataError(f"{folder} has no {self.split} {kind}: looked for {names}{hint}")
        assert images is not None
        self._warn_of_others(base, listed, [path for path in (images, labels) if path is not None])
        return images, labels

    def _warn_of_others(self, base: Path, listed: dict[Path, list[str]], taken: list[Path]) -> None:
        """Warn about ignored files of the split, except gzipped or unpacked copies of those read."""
        known = {path.with_name(path.name.removesuffix(".gz")) for path in taken}
        begins = tuple(f"{stem}-" for stem in self.stems)
        others = [folder / name for folder, names in listed.items() for name in names if name.startswith(begins)]
        passed = [path for path in others if path.with_name(path.name.removesuffix(".gz")) not in known]
        if passed:
            named = name_some([str(path.relative_to(base)) for path in passed])
            used = " and ".join(str(path.relative_to(base)) for path in taken)
            warn(f"{base}: read {used}; left out {len(passed):,} other files of the {self.split} split: {named}")


def read_split(images_path: Path, labels_path: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return images (N, rows, columns) and labels (N,), if any; raise DataError if their numbers differ."""
    images = read_idx(images_path, "images")
    labels = None if labels_path is None else read_idx(labels_path, "labels")
    if labels is not None and len(images) != len(labels):
        raise DataError(f"{images_path.parent}: {len(images):,} images but {len(labels):,} labels")
    return images, labels


def idx_images(
    folder: str | os.PathLike[str], *, split: str = "train", batch_size: int = 32, prefix: str = ""
) -> ArraySource:
    """Return images from a folder of IDX files, ``(1, rows, columns)`` in [-1, 1], with labels if available.

    Args:
        folder: contains ``train-images-idx3-ubyte`` etc., plain or ``.gz``, directly or in a subfolder ``raw`` as
            torchvision stores them.
        split: ``"train"``, or ``"test"``, whose files begin with ``t10k`` or ``test``.
        batch_size: images per batch.
        prefix: prefix of all file names, such as ``"emnist-letters-"``.

    Raises:
        RecipeError: unknown split, or ``batch_size`` is below 1.
        DataError: the folder or its images are missing, a file is damaged, or the images do not fill a batch.

    Warns:
        GanWarning: other files of the split were ignored.
    """
    return _load(folder, split, batch_size, prefix, "")


def fashion_mnist(
    root: str | os.PathLike[str] | None = None, *, split: str = "train", batch_size: int = 32
) -> ArraySource:
    """Return images of clothes, ``(1, 28, 28)`` in [-1, 1], labels 0 to 9 (Xiao et al., 2017, arXiv:1708.07747).

    Args:
        root: see ``folder`` of :func:`idx_images`. None uses the folder of Debian's package
            ``dataset-fashion-mnist``.
        split: ``"train"`` (60,000 images) or ``"test"`` (10,000).
        batch_size: images per batch.

    Raises:
        RecipeError: unknown split, or ``batch_size`` is below 1.
        DataError: the folder is missing, incomplete or damaged; the images do not fill a batch.
    """
    return _load(FASHION if root is None else root, split, batch_size, "", _GET_FASHION)


def _load(root: str | os.PathLike[str], split: str, batch_size: int, prefix: str, hint: str) -> ArraySource:
    if split not in _STEMS:
        raise RecipeError(f"unknown split {split!r} of IDX files: {suggest(str(split), _STEMS)}")
    check_whole("batch_size", batch_size, least=1)
    files = IdxSplit(split, tuple(prefix + stem for stem in _STEMS[split]), ("", "raw"), hint)
    images, labels = read_split(*files.find(root, needs_labels=bool(hint)))
    name = f"{Path(root).expanduser().resolve().name} {prefix}{split}"
    return ArraySource(images, batch_size, labels=labels, name=name)
