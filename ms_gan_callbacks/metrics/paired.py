"""Metrics of paired image-to-image games: image i of the fakes is compared with image i of the targets.

All three are means over the images, computed from the pixels without features. Their standard error is that
of a mean, and does not require subsampling.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.direction import higher_is_better, lower_is_better, paired
from ms_gan_callbacks.metrics.distances import Doubles, split_rows
from ms_gan_callbacks.metrics.features import Pixels
from ms_gan_callbacks.metrics.sample import Estimate, Sample

RANGE = 255
MOST_DECIBELS = 100.0
"""PSNR of identical images, and the maximum of all others: that of one level in one of 150,000 numbers."""
SIGMA, RADIUS = 1.5, 5  # of the window of the structural similarity, which has 11 x 11 pixels
C1, C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
_ARRAYS = 16  # arrays in double precision that are in memory at once, at most


@paired
@lower_is_better
def l1(real: Sample, fake: Sample) -> Estimate:
    """Return the mean absolute difference of images scaled to [-1, 1]: 0 for identical images, at most 2.

    One level of 0..255 is 2 / 255. The unit is that of the L1 loss of a generator with outputs in [-1, 1].

    Args:
        real: the targets.
        fake: generated images; image i was generated for target i.

    Returns:
        The mean over the images, with its standard error (NaN for one image).

    Raises:
        UsageError: the samples differ in length or in the shape of their images.
    """
    return _average(real, fake, _measure_difference)


@paired
@higher_is_better
def psnr(real: Sample, fake: Sample) -> Estimate:
    """Return the peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE), averaged over the images.

    MSE is the mean squared difference of one image from its target, over all pixels and channels. An image has at
    most 100 dB, also if it is identical to its target: a single infinite value would make the mean infinite, which
    cannot be logged or monitored.

    For arguments, the standard error and errors see :func:`l1`.
    """
    return _average(real, fake, _measure_ratio)


@paired
@higher_is_better
def ssim(real: Sample, fake: Sample) -> Estimate:
    """Return the structural similarity (Wang et al. 2004), averaged over images and channels: 1 if identical.

    Every channel is compared separately, with a Gaussian window of sigma 1.5 and 11 x 11 pixels that lies within
    the image, K1 = 0.01 and K2 = 0.03. The values are those of scikit-image with ``gaussian_weights=True``,
    ``sigma=1.5``, ``use_sample_covariance=False``, ``data_range=255`` and ``channel_axis=0``.

    For arguments and the standard error see :func:`l1`.

    Raises:
        UsageError: the samples differ in length or in the shape of their images, or images are below 11 x 11.
    """
    size = 2 * RADIUS + 1
    height, width = real.images.shape[2:]
    if min(height, width) < size:
        raise UsageError(f"ssim requires images of at least {size} x {size} pixels, not {height} x {width}")
    return _average(real, fake, _measure_similarity)


def _average(real: Sample, fake: Sample, measure: Callable[[Pixels, Pixels], Doubles]) -> Estimate:
    """Return the mean of a function of targets and fakes, (N, C, H, W) each, to one number per pair, (N,)."""
    if real.images.shape != fake.images.shape:
        (targets, *shape), (fakes, *other) = real.images.shape, fake.images.shape
        raise UsageError(
            f"{targets:,} real images of shape {tuple(shape)} and {fakes:,} fakes of shape {tuple(other)} are not"
            " pairs: a paired metric compares each fake with the real image it was generated for"
        )
    found = np.empty(len(real))
    for rows in split_rows(len(real), _ARRAYS * real.images[0].size):
        found[rows] = measure(real.images[rows], fake.images[rows])
    error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
    return Estimate(float(found.mean()), float(error))


def _measure_difference(real: Pixels, fake: Pixels) -> Doubles:
    means: Doubles = np.abs(real.astype(np.float64) - fake).mean(axis=(1, 2, 3))
    return means * 2 / RANGE


def _measure_ratio(real: Pixels, fake: Pixels) -> Doubles:
    errors = ((real.astype(np.float64) - fake) ** 2).mean(axis=(1, 2, 3)) / RANGE**2
    ratios: Doubles = 10 * np.log10(1 / np.maximum(errors, 10 ** (-MOST_DECIBELS / 10)))
    return ratios


def _measure_similarity(real: Pixels, fake: Pixels) -> Doubles:
    x, y = real.astype(np.float64), fake.astype(np.float64)
    mean_x, mean_y = _smooth(x), _smooth(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = _smooth(x * y) - product
    variances = _smooth(x**2 + y**2) - squares  # the sum of both
    similarity = (2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))
    means: Doubles = similarity.mean(axis=(1, 2, 3))
    return means


def _smooth(images: Doubles) -> Doubles:
    """Return the mean of each window that lies within the image, (N, C, H - 10, W - 10)."""
    means: Doubles = scipy.ndimage.gaussian_filter(images, (0, 0, SIGMA, SIGMA), truncate=RADIUS / SIGMA)
    return means[..., RADIUS:-RADIUS, RADIUS:-RADIUS]
