"""What a classifier makes of the fakes: which classes there are, how evenly, how clearly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from ms_gan_callbacks.metrics.direction import higher_is_better, lower_is_better
from ms_gan_callbacks.metrics.sample import Sample

LEAST_SHARE = 0.01  # below it a class counts as dropped


def class_shares(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of each class, (K,), from probabilities (N, K): every image counts for its likeliest."""
    counts = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    return counts / len(probabilities)


@higher_is_better
def modes(real: Sample, fake: Sample) -> float:
    """Return how many classes have a share of at least 1 % of the fakes: 10 at best for digits, 1 on collapse.

    Raises:
        UsageError: the feature extractor does not classify.
    """
    return float((class_shares(fake.probabilities) >= LEAST_SHARE).sum())


@lower_is_better
def kl_to_uniform(real: Sample, fake: Sample) -> float:
    """Return the Kullback-Leibler divergence of the fakes' class shares from equal ones, in nats.

    0 where all K classes are as frequent, log K where there is one only. It knows equal shares, not the real ones.

    Raises:
        UsageError: the feature extractor does not classify.
    """
    shares = class_shares(fake.probabilities)
    return float(rel_entr(shares, 1 / len(shares)).sum())


@higher_is_better
def classifier_score(real: Sample, fake: Sample) -> float:
    """Return exp(E KL(p(y|x) || p(y))) over the fakes: 1 to K, higher is better.

    This is the formula of Salimans et al.'s Inception score (2016) on this library's own classifier: it is not the
    Inception score and compares with no published one. It sees neither a mode dropped within a class nor images
    that are copies.

    Raises:
        UsageError: the feature extractor does not classify.
    """
    return score(fake.probabilities)


def score(probabilities: NDArray[Any]) -> float:
    """Return the same from probabilities (N, K), each row of sum 1."""
    exact = probabilities.astype(np.float64)
    return float(np.exp(rel_entr(exact, exact.mean(axis=0)).sum(axis=1).mean()))
