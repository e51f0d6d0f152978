"""Classes of stacked MNIST, and how many of them are counted."""

from __future__ import annotations

import numpy as np
import pytest

from ms_gan_callbacks import Sample, StackedLeNet, UsageError, kl_to_uniform, stacked_mnist, stacked_modes
from ms_gan_callbacks.metrics.lenet import load_lenet


def test_features_and_classes_are_those_of_each_channel() -> None:
    images, lenet = stacked_mnist(split="test", count=64).images, load_lenet()
    extract = StackedLeNet()
    features, each = extract(images), [lenet(images[:, [channel]]) for channel in range(3)]
    # Products of another number of rows may be rounded differently.
    np.testing.assert_allclose(features, np.concatenate(each, axis=1), rtol=1e-4, atol=1e-5)
    probabilities, digits = extract.classify(features), [lenet.classify(one) for one in each]
    for label in (0, 7, 123, 999):
        wanted = np.prod([digits[n][:, int(digit)] for n, digit in enumerate(f"{label:03}")], axis=0)
        np.testing.assert_allclose(probabilities[:, label], wanted, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_the_classes_of_real_images_are_their_labels() -> None:
    source = stacked_mnist(split="test", count=3000)
    classes = StackedLeNet().classify(StackedLeNet()(source.images)).argmax(1)
    assert (classes == source.labels).mean() > 0.96  # 0.99 for one digit


def test_modes_are_counted_from_one_image_on() -> None:
    source = stacked_mnist(split="test", count=3000)
    chosen = [np.flatnonzero(source.labels == label)[0] for label in np.unique(source.labels)[:40]]
    few = Sample(source.images[np.repeat(chosen, [10] + [1] * 39)], StackedLeNet())
    found = len(np.unique(few.probabilities.argmax(1)))
    assert 38 <= found <= 40
    assert stacked_modes(few, few) == found


def test_real_images_have_all_modes_and_the_divergence_that_the_documentation_tells() -> None:
    labels = np.random.default_rng(0).integers(0, 1000, 26_000)

    class Dealt:
        def __call__(self, images: np.ndarray) -> np.ndarray:
            return labels[:, None].astype(np.float32)

        def classify(self, features: np.ndarray) -> np.ndarray:
            return np.eye(1000, dtype=np.float32)[features[:, 0].astype(int)]

    sample = Sample(np.zeros((26_000, 1, 2, 2), np.uint8), Dealt())
    assert stacked_modes(sample, sample) == 1000
    assert kl_to_uniform(sample, sample) == pytest.approx(999 / 52_000, rel=0.1)


def test_other_images_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"StackedLeNet requires images of shape \(3, 28, 28\), not \(1, 28, 28\)"
    ):
        StackedLeNet()(np.zeros((2, 1, 28, 28), np.uint8))
