"""Stacked MNIST: which digits an image is made of."""

from __future__ import annotations

import numpy as np
import pytest

from ms_gan_callbacks import RecipeError, mnist, stacked_mnist


def test_each_channel_is_a_digit_and_the_label_has_all_three() -> None:
    source, digits = stacked_mnist(batch_size=10, count=50), mnist(batch_size=1)
    assert (source.image_shape, source.count, source.steps_per_epoch) == ((3, 28, 28), 50, 5)
    known = {image.tobytes(): label for image, label in zip(digits.images[:, 0], digits.labels, strict=True)}
    for image, label in zip(source.images, source.labels, strict=True):
        found = [int(known[channel.tobytes()]) for channel in image]
        assert label == 100 * found[0] + 10 * found[1] + found[2]


def test_images_are_always_the_same_and_differ_between_splits() -> None:
    first, again, test = (stacked_mnist(split=split, count=70).images for split in ("train", "train", "test"))
    assert np.array_equal(first, again)
    assert not any((first == image).all((1, 2, 3)).any() for image in test)


def test_all_modes_are_among_the_training_images() -> None:
    source = stacked_mnist()
    assert (source.count, source.name) == (60_000, "stacked mnist train")
    counts = np.bincount(source.labels, minlength=1000)
    assert len(counts) == 1000
    assert counts.min() >= 20  # 60 are expected


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(RecipeError, match="unknown split 'tests'"):
        stacked_mnist(split="tests")
    for count in (0, 2.5, True):
        with pytest.raises(RecipeError, match=r"stacked_mnist\(count=...\) must be"):
            stacked_mnist(count=count)
    with pytest.raises(RecipeError, match="batch_size"):
        stacked_mnist(batch_size=0)
