"""The kernel distance between two samples' features, with its standard error.

The squared maximum mean discrepancy (Gretton et al. 2012) under the kernel k(x, y) = (x.y / D + 1)^3, in its
unbiased form (Binkowski et al. 2018): 0 on average for two samples of one distribution, whatever their size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.metrics.direction import lower_is_better
from ms_gan_callbacks.metrics.distances import row_chunks
from ms_gan_callbacks.metrics.estimate import Estimate
from ms_gan_callbacks.metrics.sample import Sample, paired, paired_features

Doubles = NDArray[np.float64]


def kernel_distance(real: NDArray[Any], fake: NDArray[Any]) -> Estimate:
    """Return the kernel distance between two arrays of vectors, (N, D) and (M, D); see :func:`kid`.

    Raises:
        UsageError: they differ in D, or N or M is below 2.
    """
    real, fake = paired(real, fake, least=2)
    return _distance(_within(real), _within(fake), _between(real, fake))


@lower_is_better
def kid(real: Sample, fake: Sample) -> Estimate:
    """Return the kernel distance of two samples' features: around 0 at best, lower is better.

    The standard error is that of the number over repeated draws of both samples. It comes from the part that each
    image has in it (the first-order projection of a U-statistic); where the true distance is 0 that part is all
    noise, and the error comes out up to 1.4 times too large.

    Raises:
        UsageError: the features differ in number, or there are fewer than 2 images.
    """
    a, b = paired_features(real, fake, least=2)
    of_real, of_fake = real.once("kernel", lambda: _within(a)), fake.once("kernel", lambda: _within(b))
    return _distance(of_real, of_fake, _between(a, b))


class _Means(NamedTuple):
    """The kernel's mean between each vector of one sample and all of the other, both ways round."""

    real: Doubles
    fake: Doubles


def _distance(real: Doubles, fake: Doubles, between: _Means) -> Estimate:
    pulls = real - between.real, fake - between.fake
    error = 2 * np.sqrt(sum(pull.var(ddof=1) / len(pull) for pull in pulls))
    return Estimate(float(pulls[0].mean() + pulls[1].mean()), float(error))


def _within(points: Doubles) -> Doubles:
    """Return, for each vector, the kernel's mean with all others of its sample."""
    sums = np.empty(len(points))
    for rows in row_chunks(len(points), len(points)):
        sums[rows] = _kernel(points[rows], points).sum(axis=1)
    own = (np.einsum("nd,nd->n", points, points) / points.shape[1] + 1) ** 3
    means: Doubles = (sums - own) / (len(points) - 1)
    return means


def _between(real: Doubles, fake: Doubles) -> _Means:
    of_real, of_fake = np.empty(len(real)), np.zeros(len(fake))
    for rows in row_chunks(len(real), len(fake)):
        block = _kernel(real[rows], fake)
        of_real[rows] = block.mean(axis=1)
        of_fake += block.sum(axis=0)
    return _Means(of_real, of_fake / len(real))


def _kernel(a: Doubles, b: Doubles) -> Doubles:
    base: Doubles = a @ b.T
    base /= a.shape[1]
    base += 1
    cube: Doubles = base * base  # ** 3 is ten times slower
    cube *= base
    return cube
