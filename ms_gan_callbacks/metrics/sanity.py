"""Fakes whose quality is known beforehand: what a metric must tell apart before it is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.features import FeatureExtractor, Pixels
from ms_gan_callbacks.metrics.sample import Sample

CLASSES = 5
MOST_VALUES = 1024
"""Numbers in an image whose whole covariance is made, which takes the cube of them in time."""
MOST_COMBINED = 5_000
"""Training images that make a Gaussian of larger images, at most."""
_CHUNK = 500


def sanity_rows(
    train: NDArray[Any],
    labels: ArrayLike | None = None,
    *,
    count: int = 10_000,
    extractor: FeatureExtractor | None = None,
    seed: int = 0,
) -> dict[str, Sample]:
    """Return fakes to put beside a generator's, against real images that are not among ``train``.

    ::

        real            training images
        uniform noise   every pixel 0 to 255 by chance
        mean image      the training images' mean, every time
        one digit       images of the first class only
        five digits     images of the first five classes only
        gaussian        a Gaussian fitted to the pixels: their mean and full covariance (that of 5,000 training
                        images at most, where an image has more than 1,024 numbers)

    All have ``count`` images: where a class has too few, some are repeated. Without classes there are no such
    rows. What is chosen from the training images is a copy, and :func:`memorisation` says so.

    Args:
        train: real images (N, C, H, W), uint8 or floats in [-1, 1].
        labels: their classes; by default what the extractor's ``classify`` says, where it has that.
        count: images in a row, 1 to N.
        extractor: see :class:`Sample`.
        seed: what all chance follows from.

    Raises:
        UsageError: there are fewer than ``count`` training images.
        DataError: the images are of the wrong type or shape.
    """
    real = Sample(train, extractor)
    if not 1 <= count <= len(real):
        raise UsageError(
            f"a sanity row of {count:,} images takes as many training images, there are {len(real):,}"
        )
    random = stream(seed, "sanity", 0)
    shape, mean = (count, *real.images.shape[1:]), real.images.mean(axis=0)
    rows = {
        "real": real.images[random.permutation(len(real))[:count]],
        "uniform noise": random.integers(0, 256, shape, np.uint8),
        "mean image": np.broadcast_to(np.rint(mean), shape).astype(np.uint8),
    }
    classes = _classes(real, labels)
    if classes is not None:
        kinds = np.unique(classes)
        for name, chosen in (("one digit", kinds[:1]), ("five digits", kinds[:CLASSES])):
            rows[name] = real.images[_some(np.flatnonzero(np.isin(classes, chosen)), count, random)]
    rows["gaussian"] = _gaussian(real.images, count, random)
    return {name: Sample(images, real.extractor) for name, images in rows.items()}


def _classes(real: Sample, labels: ArrayLike | None) -> NDArray[Any] | None:
    if labels is not None:
        found = np.asarray(labels)
        if found.shape != (len(real),):
            raise UsageError(f"{len(real):,} images need as many labels in one row, not shape {found.shape}")
        return found
    classes = hasattr(real.extractor, "classify")
    return real.probabilities.argmax(axis=1) if classes else None


def _some(places: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``count`` places, none twice before all were drawn once."""
    rounds = -(-count // len(places))
    drawn: NDArray[np.int64] = np.concatenate([random.permutation(places) for _ in range(rounds)])[:count]
    return drawn


def _gaussian(images: Pixels, count: int, random: np.random.Generator) -> Pixels:
    if images[0].size > MOST_VALUES:
        return _combined(images[:MOST_COMBINED], count, random)
    flat = images.reshape(len(images), -1).astype(np.float32)
    mean, covariance = flat.mean(axis=0), np.atleast_2d(np.cov(flat, rowvar=False))
    drawn = random.multivariate_normal(mean, covariance, count, check_valid="ignore", method="eigh")
    return np.rint(np.clip(drawn, 0, 255)).astype(np.uint8).reshape(count, *images.shape[1:])


def _combined(images: Pixels, count: int, random: np.random.Generator) -> Pixels:
    """Draw from the same Gaussian without its covariance.

    Sums of the images' deviations from their mean, weighted by N(0, 1) / sqrt(N - 1), have it.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    mean = flat.mean(axis=0)
    flat -= mean
    flat /= np.float32(np.sqrt(max(len(images) - 1, 1)))
    drawn = np.empty((count, *images.shape[1:]), np.uint8)
    for start in range(0, count, _CHUNK):
        part = drawn[start : start + _CHUNK]
        weights = random.standard_normal((len(part), len(flat)), dtype=np.float32)
        part[:] = np.rint(np.clip(weights @ flat + mean, 0, 255)).reshape(part.shape)
    return drawn
