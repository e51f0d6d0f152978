"""Precision, recall, density and coverage against loops that spell their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan_callbacks import UsageError
from ms_gan_callbacks.metrics import distances, manifold
from ms_gan_callbacks.metrics.manifold import Prdc, coverage, density, precision, recall
from ms_gan_callbacks.metrics.sample import Sample

from .conftest import Digits, sample_of, vectors


def compute_prdc(real: np.ndarray, fake: np.ndarray) -> Prdc:
    return manifold.compute_prdc(sample_of(real), sample_of(fake))


def reference(real: np.ndarray, fake: np.ndarray, k: int) -> list[float]:
    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.sqrt(((x - y) ** 2).sum()))

    def radius(points: np.ndarray, i: int) -> float:
        others = sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)
        return others[k - 1]

    of_real = [radius(real, i) for i in range(len(real))]
    of_fake = [radius(fake, j) for j in range(len(fake))]
    holds = [[distance(x, y) <= r for y in fake] for x, r in zip(real, of_real, strict=True)]
    reached = [any(distance(x, y) <= r for y, r in zip(fake, of_fake, strict=True)) for x in real]
    return [
        sum(any(row[j] for row in holds) for j in range(len(fake))) / len(fake),
        sum(reached) / len(real),
        sum(sum(row) for row in holds) / (k * len(fake)),
        sum(any(row) for row in holds) / len(real),
    ]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 5), dim=st.integers(1, 6), shift=st.floats(0, 3))
def test_they_are_what_loops_give(seed: int, k: int, dim: int, shift: float) -> None:
    real, fake = vectors(30, dim, seed), vectors(20, dim, seed + 1, scale=0.7, shift=shift)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifold, "K", k)
        assert list(compute_prdc(real, fake)) == pytest.approx(reference(real, fake, k), abs=1e-6)


def test_the_size_of_a_block_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = vectors(50, 4, 1), vectors(45, 4, 2, shift=0.5)
    whole = compute_prdc(real, fake)
    monkeypatch.setattr(distances, "_CELLS", 100)
    assert compute_prdc(real, fake) == whole
    assert list(whole) == pytest.approx(reference(real, fake, 5))


def test_on_digits_they_are_what_loops_give(digits: Digits) -> None:
    real, fake = Sample(digits.real[:60]), Sample(digits.other[:50])
    expected = reference(real.features.astype(float), fake.features.astype(float), 5)
    found = [metric(real, fake) for metric in (precision, recall, density, coverage)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_they_tell_apart_what_they_are_for() -> None:
    left, right = vectors(200, 3, 1), vectors(200, 3, 2, shift=50)
    both = np.concatenate([left, right])
    half = compute_prdc(both, vectors(200, 3, 3))  # everything plausible, one half of it missing
    assert half.precision > 0.9
    assert half.recall < 0.55
    assert half.coverage < 0.55
    twice = compute_prdc(left, np.concatenate([vectors(200, 3, 3), right]))  # all there, every second one odd
    assert twice.recall > 0.9
    assert twice.precision < 0.55
    assert twice.density < 0.6


def test_of_one_distribution_they_are_what_theory_says() -> None:
    same = compute_prdc(vectors(1500, 4, 1), vectors(1500, 4, 2))
    assert same.density == pytest.approx(1, abs=0.05)
    assert same.coverage == pytest.approx(1 - 2**-5, abs=0.02)


def test_a_collapsed_generator_covers_nothing() -> None:
    real = vectors(100, 4, 1)
    stuck = compute_prdc(real, np.repeat(real[:1], 50, axis=0))
    assert stuck.precision == 1  # each is a real image
    assert stuck.coverage < 0.2
    assert stuck.recall <= 0.02  # its balls are points


def test_the_four_share_their_distances(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    real, other, fake = (Sample(images) for images in (digits.real[:50], digits.real[50:90], digits.other[:50]))
    precision(real, fake)
    first = coverage(other, fake)
    monkeypatch.setattr(distances, "_CELLS", None)  # any further distance would fail
    assert min(recall(real, fake), density(real, fake), coverage(real, fake)) > 0
    assert coverage(other, fake) == first != coverage(real, fake)  # kept by pair


def test_too_few_images_for_a_neighbourhood_are_refused() -> None:
    with pytest.raises(UsageError, match="5 real and 9 fake images are too few: this metric needs 6 of each"):
        compute_prdc(vectors(5), vectors(9))
