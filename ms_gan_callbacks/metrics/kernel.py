"""The kernel distance between the features of two samples, with its standard error.

The squared maximum mean discrepancy (Gretton et al. 2012) under the kernel k(x, y) = (x.y / D + 1)^3, in its
unbiased form (Binkowski et al. 2018): 0 on average for two samples of one distribution, at any sample size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.metrics.direction import lower_is_better
from ms_gan_callbacks.metrics.distances import Doubles, split_rows
from ms_gan_callbacks.metrics.estimate import Estimate
from ms_gan_callbacks.metrics.sample import Sample, pair, pair_features


def kernel_distance(real: NDArray[Any], fake: NDArray[Any]) -> Estimate:
    """Return the kernel distance between two arrays of vectors, (N, D) and (M, D), see :func:`kid`."""
    real, fake = pair(real, fake, least=2)
    return _combine(_average_within(real), _average_within(fake), _average_between(real, fake))


@lower_is_better
def kid(real: Sample, fake: Sample) -> Estimate:
    """Return the kernel distance of two samples' features: around 0 for equal distributions, lower is better.

    The standard error is that over repeated draws of both samples, estimated from the contribution of each image
    (the first-order projection of a U-statistic). If the true distance is 0 it is overestimated by a factor of up
    to 1.4.

    Raises:
        UsageError: the features cannot be compared, or there are fewer than 2 images.
    """
    a, b = pair_features(real, fake, least=2)
    of_real, of_fake = (
        real.once("kernel", lambda: _average_within(a)),
        fake.once("kernel", lambda: _average_within(b)),
    )
    return _combine(of_real, of_fake, _average_between(a, b))


class _Means(NamedTuple):
    """The mean kernel value between each vector of one sample and all vectors of the other, for both samples."""

    real: Doubles
    fake: Doubles


def _combine(real: Doubles, fake: Doubles, between: _Means) -> Estimate:
    terms = real - between.real, fake - between.fake
    error = 2 * np.sqrt(sum(term.var(ddof=1) / len(term) for term in terms))
    return Estimate(float(terms[0].mean() + terms[1].mean()), float(error))


def _average_within(points: Doubles) -> Doubles:
    """Return the mean kernel value between each vector and all others of its sample."""
    sums = np.empty(len(points))
    for rows in split_rows(len(points), len(points)):
        sums[rows] = _evaluate_kernel(points[rows], points).sum(axis=1)
    own = (np.einsum("nd,nd->n", points, points) / points.shape[1] + 1) ** 3
    means: Doubles = (sums - own) / (len(points) - 1)
    return means


def _average_between(real: Doubles, fake: Doubles) -> _Means:
    of_real, of_fake = np.empty(len(real)), np.zeros(len(fake))
    for rows in split_rows(len(real), len(fake)):
        block = _evaluate_kernel(real[rows], fake)
        of_real[rows] = block.mean(axis=1)
        of_fake += block.sum(axis=0)
    return _Means(of_real, of_fake / len(real))


def _evaluate_kernel(a: Doubles, b: Doubles) -> Doubles:
    base: Doubles = a @ b.T
    base /= a.shape[1]
    base += 1
    cube: Doubles = base * base  # ** 3 is ten times slower
    cube *= base
    return cube
