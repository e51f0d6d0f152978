"""Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020) of generated images.

The manifold of a sample is estimated by a ball around each feature vector, whose radius is the distance to its
k-th nearest neighbour in the sample. All four metrics are computed together at the first call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ms_gan_callbacks.metrics.direction import higher_is_better
from ms_gan_callbacks.metrics.distances import measure_radii, squared_distances
from ms_gan_callbacks.metrics.sample import Sample, pair_features

K = 5  # neighbours, as in Naeem et al.


class Prdc(NamedTuple):
    """The four metrics; higher is better for all of them.

    Attributes:
        precision: share of fakes inside the ball of a real image, 0 to 1.
        recall: share of real images inside the ball of a fake, 0 to 1; sensitive to outliers, whose balls are
            large.
        density: mean number of real images whose ball contains a fake, divided by k; at least 0, about 1 for real
            images.
        coverage: share of real images whose ball contains a fake, 0 to 1; robust to outliers. Real images reach
            about 1 - 2^-k for samples of equal size.
    """

    precision: float
    recall: float
    density: float
    coverage: float


@higher_is_better
def precision(real: Sample, fake: Sample) -> float:
    """Return the share of fakes inside the manifold of the real images, 0 to 1 (Kynkaanniemi et al. 2019)."""
    return compute_prdc(real, fake).precision


@higher_is_better
def recall(real: Sample, fake: Sample) -> float:
    """Return the share of real images inside the manifold of the fakes, 0 to 1 (Kynkaanniemi et al. 2019)."""
    return compute_prdc(real, fake).recall


@higher_is_better
def density(real: Sample, fake: Sample) -> float:
    """Return the density of real images around the fakes, about 1 for real images (Naeem et al. 2020)."""
    return compute_prdc(real, fake).density


@higher_is_better
def coverage(real: Sample, fake: Sample) -> float:
    """Return the share of real images with a fake nearby, 0 to 1 (Naeem et al. 2020)."""
    return compute_prdc(real, fake).coverage


def compute_prdc(real: Sample, fake: Sample) -> Prdc:
    """Return all four metrics; raise UsageError if the features cannot be compared or are of K images or fewer."""
    # Cached with the fakes, which are discarded first; the radii of the real images are reused.
    return fake.once((compute_prdc, real), lambda: _compute(real, fake))


def _compute(real: Sample, fake: Sample) -> Prdc:
    a, b = pair_features(real, fake, least=K + 1)
    real_radii = real.once("radii", lambda: measure_radii(a, K))
    fake_radii = fake.once("radii", lambda: measure_radii(b, K))
    plausible, visits = 0, 0
    covered, recalled = np.zeros(len(a), bool), np.zeros(len(a), bool)
    for rows, block in squared_distances(b, a):
        inside = block <= real_radii
        plausible += int(inside.any(axis=1).sum())
        visits += int(inside.sum())
        covered |= inside.any(axis=0)
        recalled |= (block <= fake_radii[rows, np.newaxis]).any(axis=0)
    count = len(b)
    return Prdc(plausible / count, float(recalled.mean()), visits / (K * count), float(covered.mean()))
