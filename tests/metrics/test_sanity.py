"""Fakes of known quality, and that the metrics know it."""

from __future__ import annotations

import numpy as np
import pytest

from ms_gan_callbacks import UsageError
from ms_gan_callbacks.metrics.classes import modes
from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.kernel import kid
from ms_gan_callbacks.metrics.manifold import coverage, density
from ms_gan_callbacks.metrics.sample import Sample
from ms_gan_callbacks.metrics.sanity import sanity_rows

from .conftest import Digits, Mean, noise_images


@pytest.fixture(scope="module")
def rows(digits: Digits) -> dict[str, Sample]:
    return sanity_rows(digits.other, digits.labels, count=700)


def test_the_rows_are_what_their_names_say(rows: dict[str, Sample], digits: Digits) -> None:
    assert list(rows) == ["real", "uniform noise", "mean image", "one digit", "five digits", "gaussian"]
    assert {row.images.shape for row in rows.values()} == {(700, 1, 28, 28)}
    kinds = {image.tobytes(): label for image, label in zip(digits.other, digits.labels, strict=True)}
    assert {kinds[image.tobytes()] for image in rows["one digit"].images} == {0}
    assert {kinds[image.tobytes()] for image in rows["five digits"].images} == {0, 1, 2, 3, 4}
    assert len({image.tobytes() for image in rows["real"].images}) == 700
    mean = digits.other.mean(axis=0)
    assert np.abs(rows["mean image"].images - mean).max() <= 0.5
    gaussian = rows["gaussian"].images.astype(float)
    middle = (slice(None), 0, 14, 14)
    assert gaussian[middle].mean() == pytest.approx(digits.other[middle].mean(), abs=20)
    assert np.corrcoef(gaussian[:, 0, 14, 14], gaussian[:, 0, 15, 14])[0, 1] > 0.5  # neighbours belong together
    noise = rows["uniform noise"].images
    assert noise.mean() == pytest.approx(127.5, abs=1)
    assert np.unique(noise).size == 256


@pytest.mark.parametrize(("metric", "sign"), [(fld, 1), (kid, 1), (density, -1), (coverage, -1)])
def test_metrics_put_real_digits_first(metric, sign: int, rows: dict[str, Sample], digits: Digits) -> None:
    real = Sample(digits.real)
    values = {name: sign * float(metric(real, row)) for name, row in rows.items()}
    if metric is density:  # blind to what is missing
        del values["one digit"], values["five digits"]
    best = values.pop("real")
    assert all(value > best + 0.2 * abs(best) for value in values.values()), (best, values)
    if "one digit" in values:
        assert values["one digit"] > values["five digits"]


def test_the_classifier_counts_the_digits(rows: dict[str, Sample]) -> None:
    found = {name: modes(row, row) for name, row in rows.items()}
    assert found["real"] == 10
    assert found["five digits"] == 5
    assert found["one digit"] == found["mean image"] == 1


def test_without_labels_the_classifier_says_which_digit_is_which(digits: Digits) -> None:
    rows = sanity_rows(digits.other[:1000], count=100)
    kinds = {image.tobytes(): label for image, label in zip(digits.other, digits.labels, strict=True)}
    labels = [kinds[image.tobytes()] for image in rows["one digit"].images]
    assert np.mean(np.array(labels) == 0) > 0.95


def test_without_classes_there_are_no_such_rows() -> None:
    rows = sanity_rows(noise_images(50), count=20, extractor=Mean())
    assert list(rows) == ["real", "uniform noise", "mean image", "gaussian"]


def test_they_follow_from_the_seed(digits: Digits) -> None:
    first, again, other = (sanity_rows(digits.other[:300], count=50, seed=seed) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name].images, again[name].images)
    assert not np.array_equal(first["real"].images, other["real"].images)


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="as many training images, not 5"):
        sanity_rows(noise_images(5), count=6, extractor=Mean())
    with pytest.raises(UsageError, match="need as many labels"):
        sanity_rows(noise_images(5), [1, 2], count=5, extractor=Mean())


def test_the_gaussian_of_large_images_has_their_mean_and_covariance() -> None:
    # 3,072 numbers an image: two directions in which all images differ, and a little noise.
    random = np.random.default_rng(0)
    directions = random.normal(0, 12, (2, 3, 32, 32))
    weights = random.normal(0, 1, (300, 2))
    pixels = 128 + np.einsum("nk,kchw->nchw", weights, directions) + random.normal(0, 1, (300, 3, 32, 32))
    train = np.clip(pixels, 0, 255).round().astype(np.uint8)
    drawn = sanity_rows(train, count=300, extractor=Mean())["gaussian"].images
    assert drawn.shape == train.shape
    assert not {image.tobytes() for image in drawn} & {image.tobytes() for image in train}
    both = [images.reshape(300, -1).astype(float) for images in (train, drawn)]
    np.testing.assert_allclose(both[1].mean(0), both[0].mean(0), atol=6 * 17 / np.sqrt(300))
    # The variance along each of some lines: of chance it is uncertain by sqrt(2 / 300), twice.
    lines = np.concatenate([directions.reshape(2, -1), random.normal(0, 1, (3, 3 * 32 * 32))])
    variances = [(images @ lines.T).var(0) for images in both]
    np.testing.assert_allclose(variances[1] / variances[0], 1, atol=0.4)
