"""Samples of images, with features that are computed once and on demand.

A metric is a function of two samples; a custom metric can be any function such as::

    def ink(real: Sample, fake: Sample) -> float:
        return abs(float(real.images.mean() - fake.images.mean()))
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, NamedTuple, SupportsFloat, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import take_images
from ms_gan_callbacks.data.images import to_uint8
from ms_gan_callbacks.data.protocol import REAL, Source, check_dtype
from ms_gan_callbacks.errors import DataError, UsageError
from ms_gan_callbacks.metrics.distances import Doubles
from ms_gan_callbacks.metrics.features import FeatureExtractor, Features, Pixels, classify, extract, name_features
from ms_gan_callbacks.metrics.lenet import load_lenet

T = TypeVar("T")


class Sample:
    """An immutable sample of real or generated images.

    Args:
        images: (N, C, H, W), uint8, or floats in [-1, 1], which are clipped and rounded to 0..255, so that real
            and generated images have the same depth. A uint8 array is not copied: do not modify it.
        extractor: see :data:`~ms_gan_callbacks.metrics.features.FeatureExtractor`; by default the included LeNet,
            for images of shape (1, 28, 28).

    Attributes:
        images: uint8 (N, C, H, W).
        extractor: the feature extractor.

    Raises:
        DataError: the images have another type or shape, are empty, or are not finite.
    """

    def __init__(self, images: NDArray[Any], extractor: FeatureExtractor | None = None) -> None:
        self.images = _convert_pixels(images)
        self.extractor: FeatureExtractor = load_lenet() if extractor is None else extractor
        self._cache: dict[Hashable, Any] = {}

    @classmethod
    def from_source(
        cls,
        source: Source,
        count: int,
        extractor: FeatureExtractor | None = None,
        *,
        seed: int = 0,
        column: str = REAL,
    ) -> Sample:
        """Return the first ``count`` images of a column of a source's first epoch with ``seed``.

        Raises:
            DataError: an epoch has fewer images, or the source does not have the column.
        """
        return cls(take_images(source, count, seed, column), extractor)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Sample({len(self):,} images of shape {self.images.shape[1:]}, features {self.feature_name!r})"

    @property
    def feature_name(self) -> str:
        """The name of the features; results of features with different names cannot be compared."""
        return name_features(self.extractor)

    @cached_property
    def features(self) -> Features:
        """The features, floats (N, D).

        Raises:
            UsageError: the extractor does not support the images, or returns an invalid array.
        """
        return extract(self.extractor, self.images)

    @cached_property
    def probabilities(self) -> Features:
        """The probabilities of each class, floats (N, K).

        Raises:
            UsageError: the extractor does not classify.
        """
        return classify(self.extractor, self.features)

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return ``compute()``, cached under the key, for values shared by several metrics."""
        if key not in self._cache:
            self._cache[key] = compute()
        value: T = self._cache[key]
        return value

    def take(self, indices: NDArray[np.integer[Any]]) -> Sample:
        """Return a subset of the images as a sample, with features and probabilities that are already computed."""
        part = Sample(self.images[indices], self.extractor)
        for name in ("features", "probabilities"):
            if name in self.__dict__:
                part.__dict__[name] = self.__dict__[name][indices]
        return part


class Estimate(NamedTuple):
    """A metric value with its standard error; ``float(estimate)`` is the value.

    Attributes:
        value: the metric's value.
        standard_error: standard deviation of the value over repeated draws of the samples.
    """

    value: float
    standard_error: float

    def __float__(self) -> float:
        """Return the value."""
        return float(self.value)


Metric: TypeAlias = Callable[[Sample, Sample], SupportsFloat]
"""A function of a real and a fake sample to a number, or to an :class:`Estimate`."""


def pair_features(real: Sample, fake: Sample, least: int) -> tuple[Doubles, Doubles]:
    """Return the features of two samples in double precision; raise UsageError if they cannot be compared."""
    if real.feature_name != fake.feature_name:
        raise UsageError(
            f"features {real.feature_name!r} and {fake.feature_name!r} cannot be compared:"
            " both samples need features from the same extractor"
        )
    return pair(real.features, fake.features, least)


def pair(real: NDArray[Any], fake: NDArray[Any], least: int) -> tuple[Doubles, Doubles]:
    """Return two arrays, (N, D) and (M, D), as doubles; raise UsageError unless N and M are at least ``least``."""
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise UsageError(
            f"features of shapes {real.shape} and {fake.shape} cannot be compared:"
            " both must be (N, D), from the same extractor"
        )
    if min(len(real), len(fake)) < least:
        raise UsageError(
            f"{len(real):,} real and {len(fake):,} fake images are too few: this metric needs {least} of each"
        )
    return real.astype(np.float64, copy=False), fake.astype(np.float64, copy=False)


def _convert_pixels(images: NDArray[Any]) -> Pixels:
    if not isinstance(images, np.ndarray) or images.ndim != 4 or not images.size:
        found = f"shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise DataError(f"Sample: images must be an array (N, C, H, W) with N of at least 1, not {found}")
    check_dtype("sample", images.dtype)
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        raise DataError(
            "Sample: images contain values that are not finite (NaN or infinity); did the generator diverge?"
        )
    pixels = to_uint8(images)
    if pixels is images:  # the caller's array: make only a view read-only
        pixels = images.view()
    pixels.flags.writeable = False
    return pixels
