"""Detection of fakes that are copies of training images.

The ratio of a fake is its feature distance to the nearest training image, divided by the median of that distance
for held-out real images. In features, shifted or slightly blurred copies are near, too. With fixed training images
both functions are metrics::

    from functools import partial

    near = partial(memorisation, train)          # a function of (held_out, fake)
"""

from __future__ import annotations

import numpy as np

from ms_gan_callbacks.metrics.distances import Doubles, measure_nearest
from ms_gan_callbacks.metrics.sample import Sample, pair_features

NEAREST_SHARE = 0.01


def memorisation(train: Sample, held_out: Sample, fake: Sample) -> float:
    """Return the median ratio of the fakes: near 0 for copies, about 1 for images as novel as real ones.

    Values well below 1 may also be caused by fakes in dense regions of the training images: compare
    :func:`copied`.

    Args:
        train: all training images.
        held_out: real images not used for training, such as the test set.
        fake: generated images.

    Raises:
        UsageError: the features cannot be compared.
    """
    typical = np.median(_measure_once(train, held_out))
    return float(np.median(_measure_once(train, fake)) / max(typical, np.finfo(float).tiny))


def copied(train: Sample, held_out: Sample, fake: Sample) -> float:
    """Return the share of fakes nearer to a training image than 99 % of held-out images: 0.01 for real images.

    Detects copies that are too few to change the median. For arguments and errors see :func:`memorisation`.
    """
    limit = np.quantile(_measure_once(train, held_out), NEAREST_SHARE)
    return float((_measure_once(train, fake) < limit).mean())


def _measure_once(train: Sample, other: Sample) -> Doubles:
    return other.once((_measure_once, train), lambda: _measure(train, other))


def _measure(train: Sample, other: Sample) -> Doubles:
    known, points = pair_features(train, other, least=1)
    return measure_nearest(points, known)
