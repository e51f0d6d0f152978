"""Reference samples of known quality, to validate metrics."""

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
"""Maximum size of an image for which the full covariance is computed, in cubic time."""
MOST_COMBINED = 5_000
"""Maximum number of training images used for a Gaussian of larger images."""
_CHUNK = 500


def sanity_rows(
    train: NDArray[Any],
    labels: ArrayLike | None = None,
    *,
    count: int = 10_000,
    extractor: FeatureExtractor | None = None,
    seed: int = 0,
) -> dict[str, Sample]:
    """Return samples to compare with a generator's, evaluated with real images that are not in ``train``.

    ::

        real            training images
        uniform noise   random pixels, 0 to 255
        mean image      the mean of the training images, repeated
        one digit       images of the first class only
        five digits     images of the first five classes only
        gaussian        a Gaussian with the mean and covariance of the pixels (for images of more than 1,024
                        numbers, of at most 5,000 training images)

    Each sample has ``count`` images, repeated if a class has too few. Without classes the rows of digits are
    omitted. Rows taken from the training images are copies, which :func:`memorisation` detects.

    The images are not generated for particular targets. A :func:`paired` metric has the values of a generator that
    ignores its input, and ``real`` is not its floor.

    Args:
        train: real images (N, C, H, W), uint8 or floats in [-1, 1].
        labels: their classes; by default predicted with the extractor's ``classify``, if it has one.
        count: images per sample, 1 to N.
        extractor: see :class:`Sample`.
        seed: seed of all random draws.

    Raises:
        UsageError: there are fewer than ``count`` training images.
        DataError: the images have the wrong type or shape.
    """
    real = Sample(train, extractor)
    if not 1 <= count <= len(real):
        raise UsageError(f"sanity_rows(count={count:,}) requires as many training images, not {len(real):,}")
    random = stream(seed, "sanity", 0)
    shape, mean = (count, *real.images.shape[1:]), real.images.mean(axis=0)
    rows = {
        "real": real.images[random.permutation(len(real))[:count]],
        "uniform noise": random.integers(0, 256, shape, np.uint8),
        "mean image": np.broadcast_to(np.rint(mean), shape).astype(np.uint8),
    }
    classes = _find_classes(real, labels)
    if classes is not None:
        kinds = np.unique(classes)
        for name, chosen in (("one digit", kinds[:1]), ("five digits", kinds[:CLASSES])):
            rows[name] = real.images[_draw_indices(np.flatnonzero(np.isin(classes, chosen)), count, random)]
    rows["gaussian"] = _draw_gaussian(real.images, count, random)
    return {name: Sample(images, real.extractor) for name, images in rows.items()}


def _find_classes(real: Sample, labels: ArrayLike | None) -> NDArray[Any] | None:
    if labels is not None:
        found = np.asarray(labels)
        if found.shape != (len(real),):
            raise UsageError(f"{len(real):,} images need as many labels in one dimension, not shape {found.shape}")
        return found
    classes = hasattr(real.extractor, "classify")
    return real.probabilities.argmax(axis=1) if classes else None


def _draw_indices(indices: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``count`` indices, repeating only after all were drawn."""
    rounds = -(-count // len(indices))
    drawn: NDArray[np.int64] = np.concatenate([random.permutation(indices) for _ in range(rounds)])[:count]
    return drawn


def _draw_gaussian(images: Pixels, count: int, random: np.random.Generator) -> Pixels:
    if images[0].size > MOST_VALUES:
        return _draw_combined(images[:MOST_COMBINED], count, random)
    flat = images.reshape(len(images), -1).astype(np.float32)
    mean, covariance = flat.mean(axis=0), np.atleast_2d(np.cov(flat, rowvar=False))
    drawn = random.multivariate_normal(mean, covariance, count, check_valid="ignore", method="eigh")
    return np.rint(np.clip(drawn, 0, 255)).astype(np.uint8).reshape(count, *images.shape[1:])


def _draw_combined(images: Pixels, count: int, random: np.random.Generator) -> Pixels:
    """Draw from the same Gaussian without computing its covariance.

    Sums of the images' deviations from their mean, weighted by N(0, 1) / sqrt(N - 1), have this covariance.
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
