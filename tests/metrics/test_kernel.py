"""The kernel distance against loops that spell its definition, and its error against many draws."""

from __future__ import annotations

import numpy as np
import pytest

from ms_gan_callbacks import UsageError
from ms_gan_callbacks.metrics import distances
from ms_gan_callbacks.metrics.kernel import kid
from ms_gan_callbacks.metrics.sample import Estimate, Sample

from .conftest import Digits, sample_of, vectors


def kernel_distance(a: np.ndarray, b: np.ndarray) -> Estimate:
    return kid(sample_of(a), sample_of(b))


def reference(a: np.ndarray, b: np.ndarray) -> float:
    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(points: np.ndarray) -> float:
        count = len(points)
        pairs = [kernel(points[i], points[j]) for i in range(count) for j in range(count) if i != j]
        return sum(pairs) / (count * (count - 1))

    between = sum(kernel(x, y) for x in a for y in b) / (len(a) * len(b))
    return within(a) + within(b) - 2 * between


def test_it_is_what_loops_give(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = vectors(40, 5, 1), vectors(25, 5, 2, scale=1.5, shift=0.5)
    expected = reference(a, b)
    assert kernel_distance(a, b).value == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(distances, "_CELLS", 60)  # a row or two at a time
    assert kernel_distance(a, b).value == pytest.approx(expected, rel=1e-9)


def test_on_digits_it_is_what_loops_give(digits: Digits) -> None:
    real, fake = Sample(digits.real[:40]), Sample(digits.other[:30])
    expected = reference(real.features.astype(float), fake.features.astype(float))
    assert kid(real, fake).value == pytest.approx(expected, abs=1e-6)
    assert kid(fake, real).value == pytest.approx(expected, abs=1e-6)  # from what each sample remembers


def test_two_points_each_by_hand() -> None:
    # k = (x y + 1)^3: within 27 and 1, between (2 + 1)^3, (0 + 1)^3, twice
    a, b = np.array([[1.0], [2.0]]), np.array([[1.0], [0.0]])
    assert kernel_distance(a, b).value == pytest.approx(27 + 1 - 2 * (8 + 1 + 27 + 1) / 4)


def test_the_error_of_two_points_each_by_hand() -> None:
    # What each point has in it: its mean kernel within its sample less that with the other's points.
    a, b = np.array([[1.0], [2.0]]), np.array([[1.0], [0.0]])
    of_a, of_b = [27 - (8 + 1) / 2, 27 - (27 + 1) / 2], [1 - (8 + 27) / 2, 1 - (1 + 1) / 2]
    variances = [(x - y) ** 2 / 2 for x, y in (of_a, of_b)]  # of two numbers, unbiased
    assert kernel_distance(a, b).standard_error == pytest.approx(2 * np.sqrt(sum(variances) / 2))


def draws(shift: float) -> tuple[np.ndarray, np.ndarray]:
    def directions(count: int, seed: int, shift: float) -> np.ndarray:
        points = vectors(count, 4, seed, shift=shift)
        return points / np.sqrt((points**2).mean(axis=1, keepdims=True))

    pairs = [(directions(150, 2 * i, 0), directions(100, 2 * i + 1, shift)) for i in range(300)]
    estimates = [kernel_distance(a, b) for a, b in pairs]
    return np.array([e.value for e in estimates]), np.array([e.standard_error for e in estimates])


def test_the_error_is_the_spread_over_draws() -> None:
    values, errors = draws(shift=3.0)
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.15)


def test_of_one_distribution_it_is_zero_on_average_and_the_error_somewhat_too_large() -> None:
    values, errors = draws(shift=0.0)
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert np.sqrt((errors**2).mean()) / values.std() == pytest.approx(np.sqrt(2), rel=0.15)


def test_two_images_are_enough_and_one_is_too_few(digits: Digits) -> None:
    two, one = Sample(digits.real[:2]), Sample(digits.other[:1])
    assert np.isfinite(kid(two, Sample(digits.other[:2])).value)
    for pair in ((two, one), (one, two)):
        with pytest.raises(UsageError, match="needs 2 of each"):
            kid(*pair)
    with pytest.raises(UsageError, match="needs 2 of each"):
        kernel_distance(vectors(1), vectors(5))
