"""Metrics on classes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ms_gan_callbacks.metrics.classes import classifier_score, compute_class_shares, kl_to_uniform, modes
from ms_gan_callbacks.metrics.sample import Sample

from .conftest import noise_images


class Dealt:
    """Classifies image i as it was told."""

    name = "dealt"

    def __init__(self, probabilities: np.ndarray) -> None:
        self.probabilities = probabilities

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.zeros((len(images), 1))

    def classify(self, features: np.ndarray) -> np.ndarray:
        return self.probabilities


def classified(classes: list[int], kinds: int = 10) -> Sample:
    return Sample(noise_images(len(classes)), Dealt(np.eye(kinds)[classes]))


def test_all_classes_alike() -> None:
    even = classified(list(range(10)) * 20)
    assert modes(even, even) == 10
    assert kl_to_uniform(even, even) == pytest.approx(0)
    assert classifier_score(even, even) == pytest.approx(10)


def test_one_class_only() -> None:
    alone = classified([7] * 30)
    assert modes(alone, alone) == 1
    assert kl_to_uniform(alone, alone) == pytest.approx(np.log(10))
    assert classifier_score(alone, alone) == pytest.approx(1)


def test_a_class_counts_from_one_in_a_hundred_on() -> None:
    assert modes(*[classified([0] * 198 + [1] * 2)] * 2) == 2
    assert modes(*[classified([0] * 199 + [1])] * 2) == 1


def test_shares_are_of_the_likeliest_class() -> None:
    probabilities = np.array([[0.4, 0.6, 0], [0.9, 0.1, 0], [0.2, 0.8, 0], [0, 1, 0]])
    assert compute_class_shares(probabilities).tolist() == [0.25, 0.75, 0]


def test_the_score_falls_with_doubt() -> None:
    # p(y) is (1/2, 1/2), so every image adds KL((p, 1-p) || (1/2, 1/2))
    p = 0.9
    expected = np.exp(p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p)))
    doubtful = Sample(noise_images(2), Dealt(np.array([[p, 1 - p], [1 - p, p]])))
    assert classifier_score(doubtful, doubtful) == pytest.approx(expected)


def test_only_the_fakes_are_judged() -> None:
    assert modes(classified([1] * 10), classified([1, 2, 3])) == 3
