"""Parzen window log-likelihood, the metric of the first GAN paper (Goodfellow et al. 2014).

The mean log density of real test images under a mixture of Gaussians of width sigma, one on every fake. In 784
dimensions it is a poor measure of quality (Theis et al. 2016): use it only to compare with older papers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from ms_gan_callbacks.metrics.distances import Doubles, squared_distances
from ms_gan_callbacks.metrics.sample import Sample, pair

SIGMAS = np.logspace(-2, 0, 9)
MOST_VALIDATION = 1_000  # images to choose sigma; more have no visible effect


class ParzenResult(NamedTuple):
    """A log-likelihood in nats per image; ``float(result)`` is the value.

    Attributes:
        value: mean over the test images; higher is better.
        standard_error: standard error of that mean, as reported in the paper.
        sigma: the chosen width.
    """

    value: float
    standard_error: float
    sigma: float

    def __float__(self) -> float:
        """Return the value."""
        return float(self.value)


def compute_log_densities(points: NDArray[Any], centres: NDArray[Any], sigma: float) -> Doubles:
    """Return the log density in nats, (N,), of points (N, D) under Gaussians of width sigma at centres (M, D)."""
    found = np.empty(len(points))
    for rows, block in squared_distances(points, centres):
        found[rows] = _compute_log_density(block, sigma, points.shape[1])
    return found


def choose_sigma(validation: NDArray[Any], centres: NDArray[Any], sigmas: NDArray[Any] = SIGMAS) -> float:
    """Return the sigma of the highest likelihood of points (N, D), between the extremes of ``sigmas``.

    A grid search over ``sigmas`` is refined between the two neighbours of the best one.
    """
    blocks = [block for _, block in squared_distances(validation, centres)]

    def negative_log_likelihood(log_sigma: float) -> float:
        sigma = float(np.exp(log_sigma))
        return -float(np.concatenate([_compute_log_density(b, sigma, centres.shape[1]) for b in blocks]).mean())

    grid = np.log(np.sort(sigmas))
    best = int(np.argmin([negative_log_likelihood(point) for point in grid]))
    between = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(
        np.exp(
            scipy.optimize.minimize_scalar(
                negative_log_likelihood, bounds=between, method="bounded", options={"xatol": 1e-3}
            ).x
        )
    )


def parzen(validation: Sample, real: Sample, fake: Sample) -> ParzenResult:
    """Return the Parzen window log-likelihood of the real images under the fakes, in nats, for images in [0, 1].

    ``partial(parzen, validation)`` is a metric. The paper uses 10,000 fakes and reports 225 +- 2 on MNIST,
    compared with about 236 for MNIST's training images.

    Args:
        validation: real images disjoint from ``real``, to choose sigma; the first 1,000 are used.
        real: test images.
        fake: generated images.

    Raises:
        UsageError: the images differ in size.
    """
    points, centres = _scale(real), _scale(fake)
    chosen, _ = pair(_scale(validation)[:MOST_VALIDATION], centres, least=1)
    pair(points, centres, least=2)
    sigma = choose_sigma(chosen.astype(np.float32), centres)
    found = compute_log_densities(points, centres, sigma)
    return ParzenResult(float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))), sigma)


def _scale(sample: Sample) -> NDArray[np.float32]:
    # Single precision is twice as fast, and sufficient for distances of 1 to 100.
    pixels: NDArray[np.float32] = sample.images.reshape(len(sample), -1) / np.float32(255)
    return pixels


def _compute_log_density(squared: NDArray[Any], sigma: float, dim: int) -> Doubles:
    exponents = squared / (-2 * sigma**2)
    norm = np.log(squared.shape[1]) + dim / 2 * np.log(2 * np.pi * sigma**2)
    densities: Doubles = scipy.special.logsumexp(exponents, axis=1) - norm
    return densities
