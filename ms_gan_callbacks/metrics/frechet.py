"""The Frechet distance between the features of two samples, and its expected value for equal distributions.

With features of mean m and covariance S (Dowson and Landau 1982; Heusel et al. 2017 for GANs)::

    d = |m_r - m_f|^2 + tr(S_r + S_f) - 2 tr((S_r^1/2 S_f S_r^1/2)^1/2)

With the LeNet's features it is called ``fld``, Frechet LeNet distance. It is not the FID, which uses Inception.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.direction import lower_is_better
from ms_gan_callbacks.metrics.distances import Doubles
from ms_gan_callbacks.metrics.sample import Sample, pair_features


class Moments(NamedTuple):
    """The moments of a Gaussian fitted to vectors.

    Attributes:
        mean: (D,).
        covariance: (D, D), unbiased.
        root: symmetric square root of the covariance.
    """

    mean: Doubles
    covariance: Doubles
    root: Doubles


def fit_moments(features: NDArray[Any]) -> Moments:
    """Fit a Gaussian to vectors (N, D), N of at least 2."""
    points = features.astype(np.float64, copy=False)
    covariance = np.atleast_2d(np.cov(points, rowvar=False))
    values, vectors = scipy.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T  # eigenvalues may be negative by rounding
    return Moments(points.mean(axis=0), covariance, root)


@lower_is_better
def fld(real: Sample, fake: Sample) -> float:
    """Return the Frechet distance of the features of two samples: at least 0, lower is better.

    In squared units of the features. It decreases with the number of images: compare only values for equal
    numbers, and compare with :func:`frechet_floor`.

    Raises:
        UsageError: the features cannot be compared, or there are fewer than 2 images.
    """
    pair_features(real, fake, least=2)
    a, b = (sample.once("moments", partial(fit_moments, sample.features)) for sample in (real, fake))
    # The trace as the sum of the singular values of S_r^1/2 S_f^1/2: eigenvalues of the symmetric product would
    # require square roots of rounding errors.
    overlap = scipy.linalg.svdvals(a.root @ b.root).sum()
    shift = a.mean - b.mean
    distance = shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return max(float(distance), 0.0)


def frechet_floor(features: NDArray[Any], real_count: int, fake_count: int | None = None) -> float:
    """Return the expected Frechet distance between two samples of one distribution, which is not 0.

    To second order in the deviations of the samples, in the basis in which S is diagonal with l_i, it is

        (1 / N_r + 1 / N_f) (sum_i l_i + 1/2 sum_ij V_ij / (l_i + l_j))

    with V_ij = Var(y_i y_j), y the centred features. V is estimated from the features, because V_ij =
    l_i l_j (1 + [i = j]) holds only for Gaussians. The terms are the contributions of means and covariances.

    Args:
        features: vectors (N, D) of the distribution, as many as available.
        real_count: images in the real sample.
        fake_count: images in the fake sample; by default ``real_count``.

    Raises:
        UsageError: there are fewer than 2 vectors, or a count is below 2.
    """
    fake_count = real_count if fake_count is None else fake_count
    if features.ndim != 2 or min(len(features), real_count, fake_count) < 2:
        raise UsageError("frechet_floor requires features (N, D) and counts of at least 2")
    mean, covariance, _ = fit_moments(features)
    spread, basis = scipy.linalg.eigh(covariance)
    spread = np.clip(spread, 0, None)
    squares = ((features - mean) @ basis) ** 2
    variances = squares.T @ squares / len(features) - np.diag(spread**2)
    sums = spread[:, np.newaxis] + spread
    alive = sums > 1e-12 * spread.max(initial=0.0)  # constant features do not contribute
    covariances = np.divide(variances, sums, out=np.zeros_like(sums), where=alive).sum()
    return float((1 / real_count + 1 / fake_count) * (spread.sum() + covariances / 2))
