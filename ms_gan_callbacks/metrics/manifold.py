"""Where two samples' features lie: precision, recall, density, coverage.

Every vector has a ball that reaches to its k-th nearest neighbour in its own sample; the balls of a sample stand
for where such images are. Precision and recall are Kynkaanniemi et al.'s (2019), density and coverage Naeem et
al.'s (2020). The four share their distances: whichever is asked for first computes all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.metrics.direction import higher_is_better
from ms_gan_callbacks.metrics.distances import Doubles, neighbour_radii, squared_distances
from ms_gan_callbacks.metrics.sample import Sample, paired, paired_features

K = 5  # neighbours, as in Naeem et al.


class Prdc(NamedTuple):
    """Four shares; higher is better in all.

    Attributes:
        precision: fakes that lie in any real image's ball, 0 to 1: are they plausible?
        recall: reals that lie in any fake's ball, 0 to 1: is everything there? One odd fake has a huge ball.
        density: in how many reals' balls a fake lies, over k, on average; 0 or more, about 1 for real images.
        coverage: reals whose ball holds any fake, 0 to 1; odd fakes do not help. Real images do not reach 1, but
            about 1 - 2^-k for equally many.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: NDArray[Any], fake: NDArray[Any], k: int = K) -> Prdc:
    """Return all four for two arrays of vectors, (N, D) and (M, D).

    Args:
        real: vectors of real images.
        fake: vectors of generated images.
        k: neighbours that a ball reaches to, 1 or more.

    Raises:
        UsageError: they differ in D, or N or M does not exceed k.
    """
    real, fake = paired(real, fake, least=k + 1)
    return _prdc(real, fake, neighbour_radii(real, k), neighbour_radii(fake, k), k)


@higher_is_better
def precision(real: Sample, fake: Sample) -> float:
    """Return the share of fakes that lie among the reals, 0 to 1; see :class:`Prdc`."""
    return _shared(real, fake).precision


@higher_is_better
def recall(real: Sample, fake: Sample) -> float:
    """Return the share of reals that lie among the fakes, 0 to 1; see :class:`Prdc`."""
    return _shared(real, fake).recall


@higher_is_better
def density(real: Sample, fake: Sample) -> float:
    """Return how densely reals lie around the fakes, about 1 at best; see :class:`Prdc`."""
    return _shared(real, fake).density


@higher_is_better
def coverage(real: Sample, fake: Sample) -> float:
    """Return the share of reals that have a fake near them, 0 to 1; see :class:`Prdc`."""
    return _shared(real, fake).coverage


def _shared(real: Sample, fake: Sample) -> Prdc:
    # Kept with the fakes, which are the shorter-lived; the reals' radii serve all that come.
    return fake.once((_shared, real), lambda: _of_samples(real, fake))


def _of_samples(real: Sample, fake: Sample) -> Prdc:
    a, b = paired_features(real, fake, least=K + 1)
    real_radii = real.once("radii", lambda: neighbour_radii(a, K))
    fake_radii = fake.once("radii", lambda: neighbour_radii(b, K))
    return _prdc(a, b, real_radii, fake_radii, K)


def _prdc(real: Doubles, fake: Doubles, real_radii: Doubles, fake_radii: Doubles, k: int) -> Prdc:
    plausible, visits = 0, 0
    covered, recalled = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, block in squared_distances(fake, real):
        inside = block <= real_radii
        plausible += int(inside.any(axis=1).sum())
        visits += int(inside.sum())
        covered |= inside.any(axis=0)
        recalled |= (block <= fake_radii[rows, np.newaxis]).any(axis=0)
    count = len(fake)
    return Prdc(plausible / count, float(recalled.mean()), visits / (k * count), float(covered.mean()))
