"""Stacked MNIST: three random digits as the colour channels of an image, 1,000 modes."""

from __future__ import annotations

import os

import numpy as np

from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.mnist import mnist
from ms_gan_callbacks.data.protocol import check_whole
from ms_gan_callbacks.data.rng import stream

_DEFAULT_COUNT = {"train": 60_000, "test": 26_000}


def stacked_mnist(
    root: str | os.PathLike[str] | None = None,
    *,
    split: str = "train",
    batch_size: int = 64,
    count: int | None = None,
) -> ArraySource:
    """Return stacked MNIST (Metz et al., 2016, arXiv:1611.02163), ``(3, 28, 28)`` in [-1, 1], labels 0 to 999.

    The channels of each image are three digits, drawn independently with replacement and always the same for a
    split; the label has the digits as its decimal places, the first channel first. The benchmark counts which of
    the 1,000 classes a generator reaches with 26,000 images: see :class:`StackedLeNet` and :func:`stacked_modes`.

    Args:
        root: folder of MNIST, see :func:`mnist`.
        split: ``"train"`` or ``"test"``, the digits to draw from.
        batch_size: images per batch.
        count: number of images; by default 60,000 for training and 26,000 for tests. 60,000 take 141 MB.

    Raises:
        RecipeError: unknown split; ``batch_size`` or ``count`` is out of range.
        DataError: the folder is missing, incomplete or damaged; the images do not fill a batch.
    """
    digits = mnist(root, split=split, batch_size=1)
    assert digits.labels is not None
    count = _DEFAULT_COUNT[split] if count is None else check_whole("stacked_mnist(count=...)", count, least=1)
    drawn = stream(0, f"stacked mnist {split}", 0).integers(0, digits.count, (count, 3))
    images = digits.images[drawn, 0]
    labels = digits.labels[drawn].astype(np.int32) @ np.array([100, 10, 1], np.int32)
    name = f"stacked {digits.name}" + f", {count:,}" * (count != _DEFAULT_COUNT[split])
    return ArraySource(images, batch_size, labels=labels, name=name)
