"""Diversity of generated images relative to real images."""

from __future__ import annotations

import numpy as np
import scipy

from ms_gan_callbacks.metrics.direction import higher_is_better
from ms_gan_callbacks.metrics.distances import Doubles, split_rows
from ms_gan_callbacks.metrics.sample import Sample, pair_features


@higher_is_better
def diversity(real: Sample, fake: Sample) -> float:
    """Return the mean pairwise feature distance of the fakes divided by that of the real images.

    0 if all images are equal, about 1 for the diversity of real images, about 0.5 for real images of one digit. A
    hundred images are enough, compared with thousands for a Frechet distance. It does not measure realism: noise
    may be as diverse.

    Raises:
        UsageError: a sample has fewer than 2 images, or the features cannot be compared.
    """
    pair_features(real, fake, least=2)
    return _measure_spread(fake) / max(_measure_spread(real), float(np.finfo(float).tiny))


def _measure_spread(sample: Sample) -> float:
    return sample.once(_measure_spread, lambda: _average_distance(sample.features.astype(np.float64)))


def _average_distance(points: Doubles) -> float:
    """Return the mean distance between pairs of vectors (N, D), computed in blocks."""
    total = 0.0
    for rows in split_rows(len(points), len(points)):
        total += float(
            scipy.spatial.distance.cdist(points[rows], points[rows.stop :]).sum()
            + scipy.spatial.distance.pdist(points[rows]).sum()
        )
    return total / (len(points) * (len(points) - 1) / 2)
