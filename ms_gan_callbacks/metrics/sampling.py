"""Standard error of any metric, and its value for real images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.direction import is_paired
from ms_gan_callbacks.metrics.sample import Metric, Sample

LEAST = 4  # images


def sampling_noise(metric: Metric, real: Sample, fake: Sample, *, draws: int = 20, seed: int = 0) -> float:
    """Return the standard error of a metric over draws of the fakes, with fixed real images.

    The standard deviation of the metric over random halves of the fakes, drawn without replacement (delete-half
    jackknife: Wu 1990; Shao and Tu 1995). The mean of n out of N images has the variance s^2 / n (1 - n / N)
    around the mean of all; for n = N / 2 this is s^2 / N, the variance of the mean of N images. This is valid for
    metrics that are smooth in the images. Close to its floor a Frechet distance is quadratic, and its noise is
    overestimated by a factor of up to about 1.7. A bootstrap is not suitable, because repeated images are their
    own nearest neighbours.

    For a :func:`paired` metric the halves are of pairs: real images are drawn together with their fakes.

    Args:
        metric: a function of (real, fake).
        real: the real images.
        fake: the fakes, 4 or more.
        draws: number of halves, 2 or more; the relative error of the result is 1 / sqrt(2 draws), 16 % for 20.
        seed: seed of the random halves.

    Raises:
        UsageError: there are too few fakes or draws, or the metric is paired and not every fake has a real image.
    """
    return sampling_noises({"": metric}, real, fake, draws=draws, seed=seed)[""]


def sampling_noises(
    metrics: Mapping[str, Metric], real: Sample, fake: Sample, *, draws: int = 20, seed: int = 0
) -> dict[str, float]:
    """Return the standard error of several metrics by name, over the same halves; see :func:`sampling_noise`."""
    if len(fake) < LEAST or draws < 2:
        raise UsageError(
            f"sampling_noise requires at least {LEAST} fakes and 2 draws, not {len(fake)} and {draws}"
        )
    pairs = {name for name, metric in metrics.items() if is_paired(metric)}
    if pairs and len(real) != len(fake):
        raise UsageError(
            f"a paired metric requires a real image for each fake, not {len(real):,} for {len(fake):,}"
        )
    for metric in metrics.values():
        metric(real, fake)  # computes the features once, for all halves
    half, values = len(fake) // 2, []
    for draw in range(draws):
        part = _shuffle(len(fake), seed, draw)[:half]
        fakes, targets = fake.take(part), real.take(part) if pairs else real
        values.append([float(one(targets if name in pairs else real, fakes)) for name, one in metrics.items()])
    errors = np.std(values, axis=0, ddof=1) * np.sqrt(half / (len(fake) - half))
    return dict(zip(metrics, map(float, errors), strict=True))


def real_floor(metric: Metric, real: Sample, count: int | None = None, *, seed: int = 0) -> float:
    """Return the value of a metric for two disjoint real samples, the value of a perfect generator.

    Args:
        metric: a function of (real, fake).
        real: real images, at least twice ``count``.
        count: images per sample, the number of fakes it is compared with; by default half of the images.
        seed: seed of the random split.

    Raises:
        UsageError: there are too few images, or the metric is :func:`paired`: two real images are not a pair.
    """
    if is_paired(metric):
        raise UsageError(
            "a paired metric does not have a floor: it compares images with their targets, and two samples of real"
            " images are not pairs"
        )
    count = len(real) // 2 if count is None else count
    if not 1 <= count <= len(real) // 2:
        raise UsageError(f"two disjoint samples of {count:,} require {2 * count:,} real images, not {len(real):,}")
    order = _shuffle(len(real), seed, 0)
    return float(metric(real.take(order[:count]), real.take(order[count : 2 * count])))


def _shuffle(count: int, seed: int, draw: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return stream(seed, "halves", draw).permutation(count)
