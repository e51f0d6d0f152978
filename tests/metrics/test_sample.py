"""A sample: what it takes, what it computes and how often, and extractors and metrics of one's own."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from ms_gan_callbacks import ArraySource, DataError, UsageError
from ms_gan_callbacks.metrics.classes import classifier_score, kl_to_uniform, modes
from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.lenet import load_lenet
from ms_gan_callbacks.metrics.sample import Estimate, Sample

from .conftest import Digits, Mean, noise_images


def test_generated_images_are_rounded_as_real_ones_are() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 1, 4, 4)
    scaled = pixels.astype(np.float32) / np.float32(127.5) - 1
    np.testing.assert_array_equal(Sample(scaled).images, pixels)
    nearly = scaled + np.float32(0.4 / 127.5)  # less than half a level
    np.testing.assert_array_equal(Sample(nearly).images, pixels)
    beyond = Sample(np.full((1, 1, 1, 2), 3.0) * [[-1, 1]])
    np.testing.assert_array_equal(beyond.images.ravel(), [0, 255])


def test_features_of_floats_and_of_bytes_are_the_same(digits: Digits) -> None:
    scaled = digits.real[:20].astype(np.float32) / np.float32(127.5) - 1
    np.testing.assert_array_equal(Sample(scaled).features, Sample(digits.real[:20]).features)


def test_features_are_computed_once_and_only_when_read() -> None:
    extractor = Mean()
    sample = Sample(noise_images(10), extractor)
    assert (len(sample), sample.feature_name, extractor.seen) == (10, "mean-1", 0)
    assert sample.features is sample.features
    assert extractor.seen == 10
    part = sample.take(np.array([3, 1]))
    np.testing.assert_array_equal(part.features, sample.features[[3, 1]])
    np.testing.assert_array_equal(part.images, sample.images[[3, 1]])
    assert extractor.seen == 10


def test_images_cannot_be_changed_and_the_callers_stay_writable() -> None:
    images = noise_images(3)
    sample = Sample(images)
    with pytest.raises(ValueError, match="read-only"):
        sample.images[0] = 0
    images[0] = 0


def test_once_computes_once_for_each_key() -> None:
    sample, calls = Sample(noise_images(3)), []
    for key in ("a", "b", "a"):
        assert sample.once(key, lambda key=key: calls.append(key) or key) == key
    assert calls == ["a", "b"]


def test_a_sample_of_a_source_is_its_first_images_in_order() -> None:
    source = ArraySource(noise_images(10), batch_size=4)
    taken = Sample.from_source(source, 6, Mean(), seed=3)
    expected = np.concatenate([batch["real"] for batch in source.batches(3, 1)])[:6]
    np.testing.assert_array_equal(taken.images, Sample(expected).images)
    assert {image.tobytes() for image in taken.images} <= {image.tobytes() for image in source.images}
    for count in (0, 9):  # an epoch has 8 in whole batches
        with pytest.raises(DataError, match="an epoch has 1 to 8"):
            Sample.from_source(source, count)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((3, 4, 4), np.uint8), r"not shape \(3, 4, 4\)"),
        (np.zeros((0, 1, 4, 4), np.uint8), "N of at least 1"),
        ([[1]], "not list"),
        (np.zeros((3, 1, 4, 4), np.int64), "images are int64"),
        (np.full((3, 1, 4, 4), np.nan, np.float32), r"did the generator diverge\?"),
        (np.full((3, 1, 4, 4), -np.inf, np.float32), "not finite"),
    ],
)
def test_what_is_not_images_is_refused(images: object, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        Sample(images)
    assert "\n" not in str(error.value)


def test_any_callable_is_an_extractor() -> None:
    def left_half(images: np.ndarray) -> np.ndarray:
        return images[..., :2].reshape(len(images), -1) / 255

    real, fake = (Sample(noise_images(40, seed), left_half) for seed in (0, 1))
    assert real.feature_name == "left_half"
    assert real.features.shape == (40, 8)
    assert 0 < fld(real, fake) < 8


def test_a_metric_of_ones_own_is_a_plain_function() -> None:
    def ink(real: Sample, fake: Sample) -> float:
        return abs(float(real.images.mean()) - float(fake.images.mean()))

    black, white = (Sample(np.full((2, 1, 4, 4), value, np.uint8)) for value in (0, 255))
    assert ink(black, white) == 255


@pytest.mark.parametrize("metric", [modes, kl_to_uniform, classifier_score])
def test_metrics_on_classes_need_an_extractor_that_classifies(metric) -> None:
    sample = Sample(noise_images(4), Mean())
    with pytest.raises(UsageError, match=r"'mean-1' have no classes.*classify\(features\)") as error:
        metric(sample, sample)
    assert "\n" not in str(error.value)


class Bright(Mean):
    """Two classes: dark and bright."""

    def classify(self, features: np.ndarray) -> np.ndarray:
        bright = features[:, 0] > 127
        return np.stack([~bright, bright], axis=1).astype(np.float32)


def test_an_extractor_of_ones_own_may_classify() -> None:
    images = np.stack([np.full((1, 4, 4), value, np.uint8) for value in (0, 255, 255, 255)])
    sample = Sample(images, Bright())
    assert modes(sample, sample) == 2
    assert kl_to_uniform(sample, sample) == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5))
    assert sample.take(np.array([1, 2])).probabilities.tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (np.zeros(4), "not float64 of shape"),
        (np.zeros((3, 2)), "one row for each of 4 images"),
        (np.zeros((4, 2), int), "not int64"),
        (np.full((4, 2), np.inf), "not finite"),
        ("nonsense", "as floats"),
    ],
)
def test_extractors_that_return_something_else_are_named(returned: object, told: str) -> None:
    def odd(images: np.ndarray) -> object:
        return returned

    with pytest.raises(UsageError, match=told) as error:
        _ = Sample(noise_images(4), odd).features
    assert "'odd'" in str(error.value)


def test_samples_of_different_features_are_not_compared(digits: Digits) -> None:
    with pytest.raises(UsageError, match="from the same extractor"):
        fld(Sample(digits.real[:10]), Sample(digits.real[:10], Mean()))
    for other in (lambda images: load_lenet()(images)[::-1], LookAlike()):  # of the same width
        with pytest.raises(UsageError, match="from the same extractor"):
            fld(Sample(digits.real[:10]), Sample(digits.real[:10], other))


class LookAlike:
    name = "lenet-00000000"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return load_lenet()(images)


def test_an_estimate_is_a_number() -> None:
    assert float(Estimate(1.5, 0.2)) == 1.5
    assert float(Estimate(3, 0.2)) == 3  # whatever kind of number it is


@pytest.mark.parametrize(
    ("imported", "absent"),
    [("ms_gan_callbacks.metrics", "mindspore"), ("ms_gan_callbacks.cli", "scipy"), ("ms_gan_callbacks", "numpy")],
)
def test_imports_stay_light(imported: str, absent: str) -> None:
    code = f"import sys, {imported}; print({absent!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.strip() == b"False"
