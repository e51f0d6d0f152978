"""The Frechet distance against scipy's matrix square root, and its floor against many draws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from ms_gan_callbacks import UsageError
from ms_gan_callbacks.metrics.frechet import fld, frechet_floor
from ms_gan_callbacks.metrics.sample import Sample

from .conftest import Digits, sample_of, vectors


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    return fld(sample_of(a), sample_of(b))


def reference(a: np.ndarray, b: np.ndarray) -> float:
    """Write the definition down: the square root of the product itself, which is not symmetric."""
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real))


@pytest.mark.parametrize("dim", [2, 6, 40])
def test_it_is_what_the_matrix_square_root_gives(dim: int) -> None:
    a, b = vectors(300, dim, 1), vectors(200, dim, 2, scale=1.7, shift=0.3)
    assert frechet_distance(a, b) == pytest.approx(reference(a, b), rel=1e-6)


def test_it_is_what_the_matrix_square_root_gives_on_digits(digits: Digits) -> None:
    real, fake = Sample(digits.real), Sample(digits.other[:500, :, ::-1])  # upside down
    expected = reference(real.features.astype(float), fake.features.astype(float))
    assert fld(real, fake) == pytest.approx(expected, rel=1e-6)


def test_in_one_dimension_it_is_known() -> None:
    a, b = np.array([[-1.0], [1.0]]), np.array([[3.0], [4.0], [5.0]])
    assert frechet_distance(a, b) == pytest.approx(4**2 + (np.sqrt(2) - 1) ** 2)


@given(seed=st.integers(0, 1000), dim=st.integers(1, 8), count=st.integers(2, 30))
def test_it_is_symmetric_zero_for_itself_and_blind_to_place(seed: int, dim: int, count: int) -> None:
    # With fewer vectors than dimensions, too.
    a, b = vectors(count, dim, seed), vectors(count + 3, dim, seed + 1, scale=0.5)
    distance = frechet_distance(a, b)
    assert distance == pytest.approx(frechet_distance(b, a), rel=1e-6)
    assert distance == pytest.approx(frechet_distance(a + 10, b + 10), rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert distance >= 0


def test_features_that_never_vary_do_no_harm() -> None:
    a, b = vectors(100, 4, 1), vectors(100, 4, 2, scale=2)
    dead = np.zeros((100, 3))
    assert frechet_distance(np.hstack([a, dead]), np.hstack([b, dead])) == pytest.approx(frechet_distance(a, b))
    assert frechet_floor(np.hstack([a, dead]), 50) == pytest.approx(frechet_floor(a, 50))
    assert frechet_floor(dead, 50) == 0


def gaussian(random: np.random.Generator, count: int) -> np.ndarray:
    return random.normal(size=(count, 6)) * [4, 3, 2, 1, 0.5, 0.1]


def skewed(random: np.random.Generator, count: int) -> np.ndarray:
    return random.exponential(size=(count, 6)) * [4, 3, 2, 1, 0.5, 0.1]


@pytest.mark.parametrize("draw", [gaussian, skewed])
@pytest.mark.parametrize(("real", "fake"), [(200, 200), (1000, 150)])
def test_the_floor_is_the_mean_over_many_draws(draw, real: int, fake: int) -> None:
    random = np.random.default_rng(0)
    distances = [frechet_distance(draw(random, real), draw(random, fake)) for _ in range(600)]
    error = np.std(distances) / np.sqrt(len(distances))
    floor = frechet_floor(draw(random, 50_000), real, fake)
    assert floor == pytest.approx(np.mean(distances), abs=3 * error + 0.02 * floor)
    assert error < 0.05 * floor  # so that the line above says something


def test_the_floor_of_gaussian_features_is_the_textbooks() -> None:
    spread = np.array([16, 9, 4, 1, 0.25, 0.01])
    sums = spread[:, None] + spread
    textbook = 2 / 500 * spread.sum() + (np.outer(spread, spread) * (1 + np.eye(6)) / sums).sum() / 500
    floor = frechet_floor(gaussian(np.random.default_rng(1), 100_000), 500)
    assert floor == pytest.approx(textbook, rel=0.02)


def test_the_floor_falls_as_one_over_the_count() -> None:
    features = vectors(500)
    assert frechet_floor(features, 1000) == pytest.approx(frechet_floor(features, 100) / 10)
    assert frechet_floor(features, 100, 100) == frechet_floor(features, 100)


def test_the_floor_of_digits_is_what_halves_of_them_give(digits: Digits) -> None:
    sample, distances = Sample(digits.other[:4000]), []
    for seed in range(12):
        order = np.random.default_rng(seed).permutation(4000)
        distances.append(frechet_distance(sample.features[order[:1000]], sample.features[order[1000:2000]]))
    assert frechet_floor(sample.features, 1000) == pytest.approx(np.mean(distances), rel=0.1)


@pytest.mark.parametrize(("a", "b"), [((5, 2), (5, 3)), ((1, 2), (5, 2)), ((5,), (5,))])
def test_what_cannot_be_compared_is_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        frechet_distance(np.zeros(a), np.zeros(b))


def test_a_floor_needs_two_of_everything() -> None:
    for features, counts in ((vectors(1), (5, 5)), (vectors(9), (1, 5)), (vectors(9), (5, 1))):
        with pytest.raises(UsageError):
            frechet_floor(features, *counts)


def test_two_of_everything_are_enough(digits: Digits) -> None:
    assert frechet_floor(vectors(2), 2, 2) == pytest.approx(frechet_floor(vectors(2), 4, 4) * 2)
    two, one = Sample(digits.real[:2]), Sample(digits.other[:1])
    assert fld(two, two) == pytest.approx(0, abs=1e-6)
    for pair in ((two, one), (one, two)):
        with pytest.raises(UsageError, match="needs 2 of each"):
            fld(*pair)
