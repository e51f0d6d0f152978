"""The kernel distance between the features of two samples, with its standard error.

The squared maximum mean discrepancy (Gretton et al. 2012) under the kernel k(x, y) = (x.y / D + 1)^3, in its
unbiased form (Binkowski et al. 2018): 0 on average for two samples of one distribution, at any sample size.
"""

from __future__ import annotations

import numpy as np

from ms_gan_callbacks.metrics.direction import lower_is_better
from ms_gan_callbacks.metrics.distances import Doubles, split_rows
from ms_gan_callbacks.metrics.sample import Estimate, Sample, pair_features


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
    between_a, between_b = _average_between(a, b)
    terms = (
        real.once("kernel", lambda: _average_within(a)) - between_a,
        fake.once("kernel", lambda: _average_within(b)) - between_b,
    )
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


def _average_between(real: Doubles, fake: Doubles) -> tuple[Doubles, Doubles]:
    """Return the mean kernel value between each vector of one sample and all of the other, for both samples."""
    of_real, of_fake = np.empty(len(real)), np.zeros(len(fake))
    for rows in split_rows(len(real), len(fake)):
        block = _evaluate_kernel(real[rows], fake)
        of_real[rows] = block.mean(axis=1)
        of_fake += block.sum(axis=0)
    return of_real, of_fake / len(real)


def _evaluate_kernel(a: Doubles, b: Doubles) -> Doubles:
    base: Doubles = a @ b.T
    base /= a.shape[1]
    base += 1
    cube: Doubles = base * base  # ** 3 is ten times slower
    cube *= base
    return cube
