"""How far the images of a sample lie from each other."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist, pdist

from ms_gan_callbacks.metrics.direction import higher_is_better
from ms_gan_callbacks.metrics.distances import Doubles, row_chunks
from ms_gan_callbacks.metrics.sample import Sample, paired_features


@higher_is_better
def diversity(real: Sample, fake: Sample) -> float:
    """Return the mean distance between two fakes over that between two reals, in features.

    0 for one image again and again, about 1 for as much variety as the real images have. A single digit, drawn as
    variously as people do, has about 0.5. It takes a hundred images, where a Frechet distance takes thousands, but
    it says nothing of whether they look real: noise may be as diverse.

    Raises:
        UsageError: there are fewer than 2 images of either kind, or their features cannot be compared.
    """
    paired_features(real, fake, least=2)
    return _spread(fake) / max(_spread(real), float(np.finfo(float).tiny))


def _spread(sample: Sample) -> float:
    return sample.once(_spread, lambda: _mean_distance(sample.features.astype(np.float64)))


def _mean_distance(points: Doubles) -> float:
    """Return the mean distance between two of some vectors (N, D), never holding all N * N of them."""
    total = 0.0
    for rows in row_chunks(len(points), len(points)):
        total += float(cdist(points[rows], points[rows.stop :]).sum() + pdist(points[rows]).sum())
    return total / (len(points) * (len(points) - 1) / 2)
