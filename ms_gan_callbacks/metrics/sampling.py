"""How much of a metric is chance: its noise under other fakes, and its value where there is nothing to find."""

from __future__ import annotations

import numpy as np

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.sample import Metric, Sample

LEAST = 4  # images


def sampling_noise(metric: Metric, real: Sample, fake: Sample, *, draws: int = 20, seed: int = 0) -> float:
    """Return a metric's standard error over draws of the fakes, the real images staying as they are.

    The metric is computed on random halves of the fakes, drawn without replacement; the standard deviation over
    them is the result (the delete-half jackknife: Wu 1990; Shao and Tu 1995). For a mean of N images, the mean of
    n drawn without replacement varies by s^2 / n (1 - n / N) around it: at n = N / 2 that is s^2 / N, the variance
    of the whole sample's mean. What is smooth in the images behaves like a mean; close to its floor a Frechet
    distance is quadratic and its noise comes out too large, by up to about 1.7, which errs on the side of calling
    it noise. A bootstrap would not do: its repeated images are each other's nearest neighbours.

    Args:
        metric: a function of (real, fake).
        real: the real images.
        fake: the fakes, 4 or more.
        draws: halves, 2 or more; the result is itself uncertain by 1 / sqrt(2 draws), 16 % for 20.
        seed: what the halves follow from.

    Raises:
        UsageError: there are too few fakes or draws.
    """
    if len(fake) < LEAST or draws < 2:
        raise UsageError(f"a metric's noise needs {LEAST} fakes and 2 draws, not {len(fake)} and {draws}")
    metric(real, fake)  # features are made once, for all halves
    half = len(fake) // 2
    halves = (fake.take(_order(len(fake), seed, draw)[:half]) for draw in range(draws))
    values = [float(metric(real, part)) for part in halves]
    return float(np.std(values, ddof=1) * np.sqrt(half / (len(fake) - half)))


def real_floor(metric: Metric, real: Sample, count: int | None = None, *, seed: int = 0) -> float:
    """Return a metric's value for real images against other real images: what a perfect generator would get.

    Args:
        metric: a function of (real, fake).
        real: real images, at least twice ``count``.
        count: images on each side, as many as the fakes it is to be compared with; by default half of them.
        seed: what the division follows from.

    Raises:
        UsageError: there are too few.
    """
    count = len(real) // 2 if count is None else count
    if not 1 <= count <= len(real) // 2:
        raise UsageError(
            f"two disjoint samples of {count:,} take {2 * count:,} real images, there are {len(real):,}"
        )
    order = _order(len(real), seed, 0)
    return float(metric(real.take(order[:count]), real.take(order[count : 2 * count])))


def _order(count: int, seed: int, draw: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return stream(seed, "halves", draw).permutation(count)
