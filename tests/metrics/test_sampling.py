"""A metric's noise and floor against many draws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from ms_gan_callbacks import UsageError, paired
from ms_gan_callbacks.metrics.frechet import fld, frechet_floor
from ms_gan_callbacks.metrics.sample import Sample
from ms_gan_callbacks.metrics.sampling import real_floor, sampling_noise

from .conftest import Digits, Mean, noise_images


def brightness(real: Sample, fake: Sample) -> float:
    return float(fake.images.mean())


@pytest.mark.parametrize("count", [100, 101])
def test_the_noise_of_a_mean_is_its_standard_error(count: int) -> None:
    fake = Sample(noise_images(count))
    each = fake.images.reshape(count, -1).mean(axis=1)
    noise = sampling_noise(brightness, fake, fake, draws=2000)
    assert noise == pytest.approx(each.std(ddof=1) / np.sqrt(count), rel=0.06)  # 2000 draws: to 1.6 %


def test_the_noise_of_a_frechet_distance_is_its_spread_over_draws() -> None:
    def fakes(seed: int) -> Sample:
        return Sample(noise_images(200, seed) // 2, Mean())

    real = Sample(noise_images(500, 10_000), Mean())
    spread = np.std([fld(real, fakes(seed)) for seed in range(300)], ddof=1)
    noises = [sampling_noise(fld, real, fakes(seed), draws=40) for seed in range(10)]
    assert np.mean(noises) == pytest.approx(spread, rel=0.2)


def test_the_noise_near_the_floor_is_too_large_rather_than_too_small() -> None:
    real = Sample(noise_images(2000, 10_000), Mean())
    draws = [Sample(noise_images(200, seed), Mean()) for seed in range(300)]
    spread = np.std([fld(real, fake) for fake in draws], ddof=1)
    noise = np.sqrt(np.mean([sampling_noise(fld, real, fake) ** 2 for fake in draws[:60]]))
    assert 0.9 < noise / spread < 2.2


def test_the_noise_follows_from_the_seed() -> None:
    fake = Sample(noise_images(30))
    first, again, other = (sampling_noise(brightness, fake, fake, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_features_are_computed_once_for_all_halves() -> None:
    extractor = Mean()
    sampling_noise(fld, Sample(noise_images(30), Mean()), Sample(noise_images(40, 1), extractor))
    assert extractor.seen == 40


def test_the_noise_needs_images_and_draws() -> None:
    few, some = Sample(noise_images(3)), Sample(noise_images(9))
    for fake, draws in ((few, 20), (some, 1)):
        with pytest.raises(UsageError, match="requires at least 4 fakes and 2 draws"):
            sampling_noise(brightness, some, fake, draws=draws)


def test_the_real_floor_compares_disjoint_images() -> None:
    sample, seen = Sample(noise_images(21)), []

    def spy(real: Sample, fake: Sample) -> float:
        seen.append([{image.tobytes() for image in side.images} for side in (real, fake)])
        return 7.0

    assert real_floor(spy, sample) == 7.0
    assert real_floor(spy, sample, 4, seed=1) == 7.0
    assert real_floor(spy, sample, 4, seed=2) == 7.0
    for (left, right), count in zip(seen, (10, 4, 4), strict=True):
        assert len(left) == len(right) == count
        assert not left & right
    assert seen[1] != seen[2]


def test_the_real_floor_of_digits_is_the_formulas(digits: Digits) -> None:
    sample = Sample(digits.other)
    floors = [real_floor(fld, sample, 700, seed=seed) for seed in range(8)]
    assert np.mean(floors) == pytest.approx(frechet_floor(sample.features, 700), rel=0.1)


@pytest.mark.parametrize("count", [0, 11])
def test_the_real_floor_needs_twice_the_images(count: int) -> None:
    with pytest.raises(UsageError, match=f"require {2 * count} real images, not 21"):
        real_floor(brightness, Sample(noise_images(21)), count)


@paired
def gap(real: Sample, fake: Sample) -> float:
    return float((real.images.astype(float) - fake.images).mean())


def test_the_halves_of_a_paired_metric_are_of_pairs() -> None:
    count = 60
    real = noise_images(count)
    offsets = np.arange(count, dtype=np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]
    fake = real // 2 + offsets
    each = (real.astype(float) - fake).mean(axis=(1, 2, 3))
    seen = []

    @paired
    def spy(real: Sample, fake: Sample) -> float:
        seen.append((real.images // 2, fake.images))
        return gap(real, fake)

    noise = sampling_noise(partial(spy), Sample(real), Sample(fake), draws=2000)
    assert noise == pytest.approx(each.std(ddof=1) / np.sqrt(count), rel=0.06)
    for halved, fakes in seen[1:6]:
        found = fakes - halved
        assert len(found) == count // 2
        assert (found == found[:, :1, :1, :1]).all()  # a fake with another image differs by more than an offset


def test_a_paired_metric_needs_a_real_image_for_each_fake() -> None:
    with pytest.raises(UsageError, match="requires a real image for each fake, not 10 for 8"):
        sampling_noise(gap, Sample(noise_images(10)), Sample(noise_images(8)))


def test_a_paired_metric_does_not_have_a_floor() -> None:
    for metric in (gap, partial(gap)):
        with pytest.raises(UsageError, match="a paired metric does not have a floor"):
            real_floor(metric, Sample(noise_images(20)))
