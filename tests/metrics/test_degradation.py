"""Metrics must get worse, step by step, as digits are spoilt; each where it claims to see it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ms_gan_callbacks import mnist
from ms_gan_callbacks.metrics.classes import classifier_score, kl_to_uniform, modes
from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.kernel import kid
from ms_gan_callbacks.metrics.manifold import coverage, density, precision, recall
from ms_gan_callbacks.metrics.sample import Sample

from .conftest import FEW, Digits

LOWER_IS_BETTER = (fld, kid, kl_to_uniform)


def noisy(images: np.ndarray, spread: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, spread, images.shape)
    return np.rint(np.clip(images + noise, 0, 255)).astype(np.uint8)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return np.rint(gaussian_filter(images.astype(float), (0, 0, sigma, sigma))).astype(np.uint8)


def occluded(images: np.ndarray, size: int) -> np.ndarray:
    """Put a black square on every image."""
    random, spoilt = np.random.default_rng(0), images.copy()
    for image in spoilt:
        top, left = random.integers(0, 29 - size, 2)
        image[0, top : top + size, left : left + size] = 0
    return spoilt


SPOILT = {
    "noise": (noisy, (0, 50, 80, 110)),
    "blur": (blurred, (0, 0.8, 1.5, 3)),
    "hole": (occluded, (0, 9, 13, 17)),
}


@pytest.fixture(scope="module")
def real(digits: Digits) -> Sample:
    return Sample(digits.real)


@pytest.fixture(scope="module")
def spoilt(digits: Digits) -> dict[str, list[Sample]]:
    """Return 700 digits a level, by what is done to them, from untouched to worst."""
    samples = {
        name: [Sample(spoil(digits.other[:FEW], level)) for level in levels]
        for name, (spoil, levels) in SPOILT.items()
    }
    kept = [digits.other[digits.labels < kinds][:FEW] for kinds in (10, 8, 5, 2)]
    return samples | {"dropped": [Sample(images) for images in kept]}


# Precision and density ask whether fakes are plausible: dropped classes are no business of theirs. Recall asks
# whether the reals are within reach of the fakes, which a little noise or a hole only widens.
CASES = [
    *[(metric, way) for metric in (fld, kid, coverage) for way in ("noise", "blur", "hole", "dropped")],
    *[(metric, way) for metric in (precision, density) for way in ("noise", "blur", "hole")],
    *[(recall, way) for way in ("blur", "dropped")],
    *[(classifier_score, way) for way in ("noise", "blur", "hole", "dropped")],
    *[(metric, "dropped") for metric in (kl_to_uniform, modes)],
]


@pytest.mark.parametrize(("metric", "way"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_it_gets_worse_with_every_step(metric, way: str, real: Sample, spoilt: dict[str, list[Sample]]) -> None:
    sign = -1 if metric in LOWER_IS_BETTER else 1
    quality = [sign * float(metric(real, sample)) for sample in spoilt[way]]
    assert quality == sorted(quality, reverse=True)
    assert len(set(quality)) == len(quality), "it does not see a step"


@pytest.mark.parametrize("metric", [precision, density])
def test_plausibility_is_blind_to_what_is_missing(metric, real: Sample, spoilt: dict[str, list[Sample]]) -> None:
    whole, *_, two_digits = (metric(real, sample) for sample in spoilt["dropped"])
    assert two_digits > whole - 0.05


@pytest.mark.slow
def test_against_the_test_digits_too() -> None:
    real = Sample(mnist(split="test", count=3000).images)
    fakes = mnist(count=3000).images
    for name, (spoil, levels) in SPOILT.items():
        samples = [Sample(spoil(fakes, level)) for level in levels]
        for metric, way in CASES:
            if way == name:
                quality = [float(metric(real, sample)) for sample in samples]
                assert quality == sorted(quality, reverse=metric not in LOWER_IS_BETTER), (metric.__name__, name)
