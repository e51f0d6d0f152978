"""Whether fakes are copies of training images.

A fake's ratio is its distance, in features, to the nearest training image, over the median of that distance for
real images the generator never saw. Features and not pixels: a copy shifted by a pixel or slightly blurred is
still near. Fix the training images, and both functions are metrics::

    from functools import partial

    near = partial(memorisation, train)          # a function of (held_out, fake)
"""

from __future__ import annotations

import numpy as np

from ms_gan_callbacks.metrics.distances import Doubles, nearest
from ms_gan_callbacks.metrics.sample import Sample, paired_features

NEAREST_SHARE = 0.01


def memorisation(train: Sample, held_out: Sample, fake: Sample) -> float:
    """Return the median ratio of the fakes: near 0 for copies, about 1 for images as new as real ones.

    Well below 1 without copies means fakes that crowd where training images are dense: look at :func:`copied` too.

    Args:
        train: the images the generator was trained on, all of them.
        held_out: real images it never saw; where it is given as a metric's ``real``, take the test set.
        fake: the images to judge.

    Raises:
        UsageError: features of different length.
    """
    typical = np.median(_nearest(train, held_out))
    return float(np.median(_nearest(train, fake)) / max(typical, np.finfo(float).tiny))


def copied(train: Sample, held_out: Sample, fake: Sample) -> float:
    """Return the share of fakes nearer to a training image than 99 % of held-out images are: 0.01 for real images.

    It shows copies that are too few to move the median. Arguments and errors as in :func:`memorisation`.
    """
    limit = np.quantile(_nearest(train, held_out), NEAREST_SHARE)
    return float((_nearest(train, fake) < limit).mean())


def _nearest(train: Sample, other: Sample) -> Doubles:
    return other.once((_nearest, train), lambda: _nearest_of(train, other))


def _nearest_of(train: Sample, other: Sample) -> Doubles:
    known, points = paired_features(train, other, least=1)
    return nearest(points, known)
