"""Whether copies are told from new images."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from ms_gan_callbacks import UsageError
from ms_gan_callbacks.metrics.memorisation import copied, memorisation
from ms_gan_callbacks.metrics.sample import Sample
from ms_gan_callbacks.metrics.sampling import sampling_noise

from .conftest import Digits, Mean, noise_images


@pytest.fixture(scope="module")
def halves(digits: Digits) -> tuple[Sample, Sample, Sample]:
    """Return digits that trained, held-out ones, and new ones."""
    return Sample(digits.other[:3000]), Sample(digits.real), Sample(digits.other[3000:])


def test_copies_are_near_zero_and_new_digits_near_one(halves: tuple[Sample, Sample, Sample]) -> None:
    train, held_out, new = halves
    assert memorisation(train, held_out, train.take(np.arange(500))) < 1e-3
    assert memorisation(train, held_out, new) == pytest.approx(1, abs=0.1)
    assert memorisation(train, held_out, held_out) == 1


def test_copies_with_a_little_noise_are_still_near(halves: tuple[Sample, Sample, Sample]) -> None:
    train, held_out, _ = halves
    pixels = train.images[:500].astype(int) + np.random.default_rng(0).integers(-5, 6, (500, 1, 28, 28))
    assert memorisation(train, held_out, Sample(np.clip(pixels, 0, 255).astype(np.uint8))) < 0.4


def test_a_few_copies_show_in_their_share(halves: tuple[Sample, Sample, Sample]) -> None:
    train, held_out, new = halves
    mixed = Sample(np.concatenate([train.images[:100], new.images[:900]]))
    assert copied(train, held_out, new) < 0.04
    assert 0.1 <= copied(train, held_out, mixed) < 0.14
    assert memorisation(train, held_out, mixed) > 0.8


class Value:
    """One feature: the first pixel."""

    name = "value"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, :1].astype(float)


def at(*values: int) -> Sample:
    return Sample(np.array(values, np.uint8).reshape(-1, 1, 1, 1), Value())


def test_by_hand() -> None:
    train, held_out = at(0, 100), at(10, 104, 97)  # 10, 4 and 3 away: typically 4
    assert memorisation(train, held_out, at(102, 2, 98)) == pytest.approx(2 / 4)
    assert copied(train, held_out, at(102, 2, 98, 90)) == pytest.approx(3 / 4)  # nearer than 3.02


def test_with_the_training_images_fixed_it_is_a_metric() -> None:
    metric = partial(memorisation, at(*range(0, 200, 10)))
    assert sampling_noise(metric, at(3, 14, 25, 36), at(1, 2, 13, 14, 25, 26)) > 0


def test_samples_of_different_features_are_refused() -> None:
    images = noise_images(5)
    with pytest.raises(UsageError, match="from the same extractor"):
        memorisation(Sample(images, Mean()), Sample(images, Value()), Sample(images, Value()))
