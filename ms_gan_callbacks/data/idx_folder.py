"""Folders of IDX files: MNIST's layout, which Fashion-MNIST, KMNIST, EMNIST and others have taken over."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.folders import list_data, name_some, need_folder
from ms_gan_callbacks.data.idx import read_images, read_labels
from ms_gan_callbacks.data.protocol import check_batch_size
from ms_gan_callbacks.errors import DataError, RecipeError, choices, warn

_STEMS = {"train": ("train",), "test": ("t10k", "test")}
_DIMENSIONS = {"images": 3, "labels": 1}

FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts Fashion-MNIST."""

_GET_FASHION = (
    "get Fashion-MNIST with apt-get install dataset-fashion-mnist (Debian, Ubuntu), or its four files from "
    "https://github.com/zalandoresearch/fashion-mnist, and name their folder"
)


@dataclass(frozen=True)
class IdxSplit:
    """A split's two files, as they may be called and wherever they may lie in a folder that somebody names.

    Attributes:
        split: what to call it.
        stems: what their names begin with, up to ``-images``.
        subfolders: where to look, in this order.
        hint: how to get them, for whoever has not.
    """

    split: str
    stems: tuple[str, ...]
    subfolders: tuple[str, ...]
    hint: str = ""

    def names(self, kind: str) -> list[str]:
        """Return the spellings that are in use for the file of "images" or "labels"."""
        ends = [f"{kind}{dot}idx{_DIMENSIONS[kind]}-ubyte" for dot in "-."]
        return [f"{stem}-{end}{packed}" for stem in self.stems for end in ends for packed in ("", ".gz")]

    def find(self, root: str | os.PathLike[str], *, needs_labels: bool) -> tuple[Path, Path | None]:
        """Return the paths of the images and of their labels, None where there are none and none are needed.

        Both are taken from the first place that has one of them.

        Raises:
            DataError: the folder or a file is not there, or cannot be read.

        Warns:
            GanWarning: other files of the split are passed over.
        """
        base = need_folder(root, self.names("images")[1], self._hint())
        places = [base / subfolder for subfolder in self.subfolders]
        listed = {place: [path.name for path in list_data(place, missing_ok=place != base)] for place in places}
        both = self.names("images") + self.names("labels")
        folder = next((place for place, names in listed.items() if not set(both).isdisjoint(names)), base)
        images, labels = (self._choose(folder, kind, listed[folder]) for kind in ("images", "labels"))
        for kind, path in (("images", images), ("labels", labels)):
            if path is None and (kind == "images" or needs_labels):
                names = ", ".join(self.names(kind))
                raise DataError(f"{folder} holds no {self.split} {kind}: looked for {names}{self._hint()}")
        assert images is not None
        self._warn_of_others(base, listed, [path for path in (images, labels) if path is not None])
        return images, labels

    def _choose(self, folder: Path, kind: str, listed: list[str]) -> Path | None:
        return next((folder / name for name in self.names(kind) if name in listed), None)

    def _warn_of_others(self, base: Path, listed: dict[Path, list[str]], taken: list[Path]) -> None:
        """Warn of files that are named like the split's and were not taken, nor are those, packed or unpacked."""
        known = {path.with_name(path.name.removesuffix(".gz")) for path in taken}
        begins = tuple(f"{stem}-" for stem in self.stems)
        others = [folder / name for folder, names in listed.items() for name in names if name.startswith(begins)]
        passed = [path for path in others if path.with_name(path.name.removesuffix(".gz")) not in known]
        if passed:
            named = name_some([str(path.relative_to(base)) for path in passed])
            used = " and ".join(str(path.relative_to(base)) for path in taken)
            warn(f"{base}: read {used}; left out {len(passed):,} other files of the {self.split} split: {named}")

    def _hint(self) -> str:
        return f"; {self.hint}" if self.hint else ""


def read_split(images_path: Path, labels_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (N, rows, columns) and their labels (N,).

    Raises:
        DataError: a file is damaged or something else, or their numbers differ.
    """
    images, labels = read_images(images_path), read_labels(labels_path)
    if len(images) != len(labels):
        raise DataError(f"{images_path.parent}: {len(images):,} images but {len(labels):,} labels")
    return images, labels


def idx_images(
    folder: str | os.PathLike[str], *, split: str = "train", batch_size: int = 32, prefix: str = ""
) -> ArraySource:
    """Images of any size from a folder of IDX files, ``(1, rows, columns)`` in [-1, 1], labels with them if there.

    Args:
        folder: holds ``train-images-idx3-ubyte`` and so on, plain or ``.gz``, or has them in a subfolder ``raw``,
            as those of torchvision do.
        split: ``"train"``, or ``"test"``, whose files begin with ``t10k`` or ``test``.
        batch_size: images in a batch.
        prefix: what stands before that in the names of the files, such as ``"emnist-letters-"``.

    Raises:
        RecipeError: no such split, or ``batch_size`` is below 1.
        DataError: the folder is missing, holds no such images, or is damaged; too few images.

    Warns:
        GanWarning: there are other files of the split, which are left out.
    """
    return _load(folder, split, batch_size, prefix, "")


def fashion_mnist(
    root: str | os.PathLike[str] | None = None, *, split: str = "train", batch_size: int = 32
) -> ArraySource:
    """Clothes, ``(1, 28, 28)`` in [-1, 1], with labels 0 to 9 (Xiao et al., 2017, arXiv:1708.07747).

    Args:
        root: the folder of its files, as :func:`idx_images` takes it. None: where Debian's package
            ``dataset-fashion-mnist`` puts them.
        split: ``"train"`` (60,000 images) or ``"test"`` (10,000).
        batch_size: images in a batch.

    Raises:
        RecipeError: no such split, or ``batch_size`` is below 1.
        DataError: the folder is missing, incomplete or damaged; too few images.
    """
    return _load(FASHION if root is None else root, split, batch_size, "", _GET_FASHION)


def _load(root: str | os.PathLike[str], split: str, batch_size: int, prefix: str, hint: str) -> ArraySource:
    if split not in _STEMS:
        raise RecipeError(f"there is no split {split!r} of IDX files: {choices(str(split), _STEMS)}")
    check_batch_size(batch_size)
    files = IdxSplit(split, tuple(prefix + stem for stem in _STEMS[split]), ("", "raw"), hint)
    images_path, labels_path = files.find(root, needs_labels=bool(hint))
    name = f"{Path(root).expanduser().resolve().name} {prefix}{split}"
    if labels_path is None:
        return ArraySource(read_images(images_path), batch_size, name=name)
    images, labels = read_split(images_path, labels_path)
    return ArraySource(images, batch_size, labels=labels, name=name)
