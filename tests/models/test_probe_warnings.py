"""What an untrained network's outputs are warned about, and what they are not."""

from __future__ import annotations

import numpy as np
import pytest
from mindspore import nn

from ms_gan_callbacks.models.probe_warnings import inspect_classes, inspect_images, inspect_scores


@pytest.mark.parametrize(
    ("low", "high", "warned"), [(0, 1, True), (0.2, 0.7, True), (0, 1.5, False), (-0.1, 1, False)]
)
def test_class_logits_between_0_and_1_look_like_probabilities(low: float, high: float, warned: bool) -> None:
    logits = np.array([[low, high], [high, low]], np.float32)
    assert len(list(inspect_classes(logits))) == warned


@pytest.mark.parametrize(
    ("low", "high", "warned"), [(0, 1, True), (0.5, 2, True), (-0.1, 1, False), (0, 0, False), (0.5, 0.5, False)]
)
def test_images_without_negative_pixels_are_doubted_unless_all_pixels_are_one(
    low: float, high: float, warned: bool
) -> None:
    images = np.array([low, high], np.float32).reshape(2, 1, 1, 1)
    assert len(list(inspect_images(nn.Identity(), images))) == warned


def test_one_score_for_all_images_is_doubted() -> None:
    [doubt] = inspect_scores(np.full((4, 1), 0.25, np.float32), np.ones((2, 1), np.float32))
    assert "the same score for all images, 0.25" in doubt
    differ = np.array([[0.25], [0.25], [0.5]], np.float32)
    assert list(inspect_scores(differ, np.ones((2, 1), np.float32))) == []
    assert list(inspect_scores(np.ones((2, 1), np.float32), differ)) == []
