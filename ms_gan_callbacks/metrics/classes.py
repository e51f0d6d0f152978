"""Metrics on the predicted classes of generated images."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from ms_gan_callbacks.metrics.direction import higher_is_better, lower_is_better
from ms_gan_callbacks.metrics.sample import Sample

LEAST_SHARE = 0.01  # classes with a smaller share count as dropped


def compute_class_counts(probabilities: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of images of each class, (K,), from probabilities (N, K), by the most probable class."""
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])


def compute_class_shares(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of each class, (K,), from probabilities (N, K), by the most probable class."""
    return compute_class_counts(probabilities) / len(probabilities)


@higher_is_better
def modes(real: Sample, fake: Sample) -> float:
    """Return the number of classes with at least 1 % of the fakes: up to 10 for digits, 1 after mode collapse.

    Raises:
        UsageError: the feature extractor does not classify.
    """
    return float((compute_class_shares(fake.probabilities) >= LEAST_SHARE).sum())


@lower_is_better
def kl_to_uniform(real: Sample, fake: Sample) -> float:
    """Return the Kullback-Leibler divergence of the fakes' class shares from the uniform distribution, in nats.

    0 if all K classes are equally frequent, log K if there is only one. The class shares of ``real`` are not used.

    Raises:
        UsageError: the feature extractor does not classify.
    """
    shares = compute_class_shares(fake.probabilities)
    return float(scipy.special.rel_entr(shares, 1 / len(shares)).sum())


@higher_is_better
def classifier_score(real: Sample, fake: Sample) -> float:
    """Return exp(E KL(p(y|x) || p(y))) over the fakes: 1 to K, higher is better.

    The formula of the Inception score (Salimans et al., 2016) applied to this package's classifier. It is not
    comparable to published Inception scores. It detects neither modes dropped within a class nor copies.

    Raises:
        UsageError: the feature extractor does not classify.
    """
    exact = fake.probabilities.astype(np.float64)
    return float(np.exp(scipy.special.rel_entr(exact, exact.mean(axis=0)).sum(axis=1).mean()))
