"""The Parzen window log-likelihood where it is known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from ms_gan_callbacks import UsageError
from ms_gan_callbacks.metrics.parzen import choose_sigma, compute_log_densities, parzen
from ms_gan_callbacks.metrics.sample import Sample

from .conftest import Digits, noise_images


def log_gaussian(points: np.ndarray, sigma: float) -> np.ndarray:
    dim = points.shape[1]
    return -(points**2).sum(axis=1) / (2 * sigma**2) - dim / 2 * np.log(2 * np.pi * sigma**2)


def test_one_centre_is_one_gaussian() -> None:
    points = np.random.default_rng(0).normal(size=(50, 7))
    for sigma in (0.2, 1.0, 3.0):
        np.testing.assert_allclose(
            compute_log_densities(points, np.zeros((1, 7)), sigma), log_gaussian(points, sigma)
        )


@pytest.mark.slow
def test_centres_of_a_known_gaussian_make_a_wider_one() -> None:
    # The mixture of N(c, s^2) over c from N(0, 1) is N(0, 1 + s^2).
    random = np.random.default_rng(1)
    points, centres = random.normal(size=(2000, 2)), random.normal(size=(20_000, 2))
    found = compute_log_densities(points, centres, 0.4)
    assert found.mean() == pytest.approx(log_gaussian(points, np.sqrt(1.16)).mean(), abs=0.01)
    expected = -np.log(2 * np.pi * 1.16) - 2 / (2 * 1.16)  # for points from N(0, 1)
    assert found.mean() == pytest.approx(expected, abs=3 * found.std() / np.sqrt(2000))


def test_two_centres_by_hand() -> None:
    [density] = np.exp(compute_log_densities(np.array([[1.0]]), np.array([[0.0], [3.0]]), 1.0))
    assert density == pytest.approx((np.exp(-1 / 2) + np.exp(-4 / 2)) / 2 / np.sqrt(2 * np.pi))


@pytest.mark.parametrize("true", [0.05, 0.33])
def test_the_chosen_width_is_the_likeliest(true: float) -> None:
    points = np.random.default_rng(2).normal(scale=true, size=(300, 10))
    likeliest = np.sqrt((points**2).mean())  # of one Gaussian around 0, analytically
    assert choose_sigma(points, np.zeros((4, 10))) == pytest.approx(likeliest, rel=2e-3)


def test_on_digits_the_width_comes_from_validation_and_real_ones_are_likeliest(digits: Digits) -> None:
    validation, real = Sample(digits.other[:500]), Sample(digits.real)
    metric = partial(parzen, validation)
    fakes = digits.other[1000:2500]
    good, mixed = metric(real, Sample(fakes)), metric(real, Sample(fakes // 2 + fakes[::-1] // 2))
    assert float(good) == good.value > mixed.value + 10
    flat = [images.reshape(len(images), -1) / 255 for images in (digits.other[:500], digits.real, fakes)]
    assert good.sigma == pytest.approx(choose_sigma(flat[0], flat[2]), rel=1e-3)
    densities = compute_log_densities(flat[1], flat[2], good.sigma)
    assert good.value == pytest.approx(densities.mean(), abs=0.01)
    assert good.standard_error == pytest.approx(densities.std(ddof=1) / np.sqrt(len(densities)), rel=1e-3)
    off = [compute_log_densities(flat[0], flat[2], factor * good.sigma).mean() for factor in (0.9, 1, 1.1)]
    assert off[1] == max(off)


def test_images_of_another_size_are_refused(digits: Digits) -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        parzen(Sample(digits.real[:5]), Sample(digits.real[:5]), Sample(noise_images(5)))
