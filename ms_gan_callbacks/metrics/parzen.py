"""Parzen window log-likelihood, the number of the first GAN paper (Goodfellow et al. 2014), for history's sake.

A Gaussian of width sigma is put on every fake; the mean log density of real test images under their mixture is the
result. In 784 dimensions it says little about quality (Theis et al. 2016): use the other metrics to choose.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from ms_gan_callbacks.metrics.distances import Doubles, squared_distances
from ms_gan_callbacks.metrics.sample import Sample, paired

SIGMAS = np.logspace(-2, 0, 9)
MOST_VALIDATION = 1_000  # images that choose sigma; more make no difference that shows


class ParzenResult(NamedTuple):
    """A log-likelihood in nats an image; ``float(result)`` is its value.

    Attributes:
        value: the mean over the test images; higher is better.
        standard_error: of that mean, over the test images, as the paper prints it.
        sigma: the width that was chosen.
    """

    value: float
    standard_error: float
    sigma: float

    def __float__(self) -> float:
        """Return the value alone."""
        return float(self.value)


def log_densities(points: NDArray[Any], centres: NDArray[Any], sigma: float) -> Doubles:
    """Return the log density, in nats, of each of points (N, D) under equal Gaussians on centres (M, D).

    Args:
        points: where to take the density.
        centres: the Gaussians' means.
        sigma: their common standard deviation in every dimension, above 0.
    """
    found = np.empty(len(points))
    for rows, block in squared_distances(points, centres):
        found[rows] = _log_density(block, sigma, points.shape[1])
    return found


def choose_sigma(validation: NDArray[Any], centres: NDArray[Any], sigmas: NDArray[Any] = SIGMAS) -> float:
    """Return the width under which points (N, D) are likeliest, between the least and the greatest of ``sigmas``.

    The best of ``sigmas`` is found first, then the maximum between its two neighbours.
    """
    blocks = [block for _, block in squared_distances(validation, centres)]

    def badness(log_sigma: float) -> float:
        sigma = float(np.exp(log_sigma))
        return -float(np.concatenate([_log_density(b, sigma, centres.shape[1]) for b in blocks]).mean())

    grid = np.log(np.sort(sigmas))
    best = int(np.argmin([badness(point) for point in grid]))
    between = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(np.exp(minimize_scalar(badness, bounds=between, method="bounded", options={"xatol": 1e-3}).x))


def parzen(validation: Sample, real: Sample, fake: Sample) -> ParzenResult:
    """Return the real images' Parzen window log-likelihood under the fakes, in nats, images scaled to [0, 1].

    ``partial(parzen, validation)`` is a metric. The paper uses 10,000 fakes and reports 225 +- 2 for its own on
    MNIST, whose training images get about 236.

    Args:
        validation: real images that choose sigma and are not among ``real``; the first 1,000 are used.
        real: the test images.
        fake: the images to judge.

    Raises:
        UsageError: images of different sizes.
    """
    points, centres = _unit(real), _unit(fake)
    chosen, _ = paired(_unit(validation)[:MOST_VALIDATION], centres, least=1)
    paired(points, centres, least=2)
    sigma = choose_sigma(chosen.astype(np.float32), centres)
    found = log_densities(points, centres, sigma)
    return ParzenResult(float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))), sigma)


def _unit(sample: Sample) -> NDArray[np.float32]:
    # Single precision: the distances are of the order of 1 to 100, and twice as fast.
    pixels: NDArray[np.float32] = sample.images.reshape(len(sample), -1) / np.float32(255)
    return pixels


def _log_density(squared: NDArray[Any], sigma: float, dim: int) -> Doubles:
    exponents = squared / (-2 * sigma**2)
    norm = np.log(squared.shape[1]) + dim / 2 * np.log(2 * np.pi * sigma**2)
    densities: Doubles = logsumexp(exponents, axis=1) - norm
    return densities
