"""The Frechet distance between two samples' features, and what it is when there is nothing to find.

With features of mean m and covariance S (Dowson and Landau 1982; Heusel et al. 2017 for GANs)::

    d = |m_r - m_f|^2 + tr(S_r + S_f) - 2 tr((S_r^1/2 S_f S_r^1/2)^1/2)

On the LeNet's features it is called ``fld``, Frechet LeNet distance; it is not the FID, which takes Inception's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, svdvals

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.direction import lower_is_better
from ms_gan_callbacks.metrics.sample import Doubles, Sample, paired, paired_features


class Moments(NamedTuple):
    """A Gaussian fitted to vectors.

    Attributes:
        mean: (D,).
        covariance: (D, D), unbiased.
        root: the covariance's symmetric square root.
    """

    mean: Doubles
    covariance: Doubles
    root: Doubles


def moments(features: NDArray[Any]) -> Moments:
    """Fit a Gaussian to vectors (N, D), N of at least 2."""
    points = features.astype(np.float64, copy=False)
    covariance = np.atleast_2d(np.cov(points, rowvar=False))
    return Moments(points.mean(axis=0), covariance, _root(covariance))


def moments_distance(real: Moments, fake: Moments) -> float:
    """Return the Frechet distance between two Gaussians, 0 or more, in squared units of the features."""
    # The trace is the sum of the singular values of S_r^1/2 S_f^1/2: the same number as from the eigenvalues of
    # the symmetric product, but without the square roots of rounding errors.
    overlap = svdvals(real.root @ fake.root).sum()
    shift = real.mean - fake.mean
    distance = shift @ shift + np.trace(real.covariance) + np.trace(fake.covariance) - 2 * overlap
    return max(float(distance), 0.0)


def frechet_distance(real: NDArray[Any], fake: NDArray[Any]) -> float:
    """Return the Frechet distance between two arrays of vectors, (N, D) and (M, D).

    Raises:
        UsageError: they differ in D, or N or M is below 2.
    """
    real, fake = paired(real, fake, least=2)
    return moments_distance(moments(real), moments(fake))


@lower_is_better
def fld(real: Sample, fake: Sample) -> float:
    """Return the Frechet distance of two samples' features: 0 or more, lower is better.

    It falls with the number of images, so compare it only between equal numbers, and read it beside
    :func:`frechet_floor`.

    Raises:
        UsageError: the features differ in number, or there are fewer than 2 images.
    """
    paired_features(real, fake, least=2)
    return moments_distance(_moments_of(real), _moments_of(fake))


def frechet_floor(features: NDArray[Any], real_count: int, fake_count: int | None = None) -> float:
    """Return the Frechet distance expected between two samples of one distribution, which is not 0.

    To second order in the deviations of the two samples, in the basis in which S is diagonal with l_i, it is

        (1 / N_r + 1 / N_f) (sum_i l_i + 1/2 sum_ij V_ij / (l_i + l_j))

    with V_ij = Var(y_i y_j), y the centred features. Gaussian ones have V_ij = l_i l_j (1 + [i = j]); a ReLU's do
    not, so V is measured. The first term is the means' part, the second the covariances'.

    Args:
        features: vectors (N, D) of the distribution, as many as there are.
        real_count: images in the one sample.
        fake_count: images in the other; by default as many.

    Raises:
        UsageError: there are fewer than 2 vectors, or a count is below 2.
    """
    fake_count = real_count if fake_count is None else fake_count
    if features.ndim != 2 or min(len(features), real_count, fake_count) < 2:
        raise UsageError("the Frechet distance's floor needs features (N, D) and counts of at least 2")
    mean, covariance, _ = moments(features)
    spread, basis = eigh(covariance)
    spread = np.clip(spread, 0, None)
    squares = ((features - mean) @ basis) ** 2
    variances = squares.T @ squares / len(features) - np.diag(spread**2)
    sums = spread[:, np.newaxis] + spread
    alive = sums > 1e-12 * spread.max(initial=0.0)  # features that never vary have no part in it
    covariances = np.divide(variances, sums, out=np.zeros_like(sums), where=alive).sum()
    return float((1 / real_count + 1 / fake_count) * (spread.sum() + covariances / 2))


def _moments_of(sample: Sample) -> Moments:
    return sample.once("moments", lambda: moments(sample.features))


def _root(covariance: Doubles) -> Doubles:
    """Return the symmetric square root of a covariance; eigenvalues that rounding made negative are 0."""
    values, vectors = eigh(covariance)
    root: Doubles = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root
