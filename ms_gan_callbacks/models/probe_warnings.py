"""Warnings about probable mistakes in untrained networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mindspore import nn

from ms_gan_callbacks.models.mindspore_private import BatchNorm
from ms_gan_callbacks.models.networks import Floats


def inspect_images(generator: nn.Cell, images: Floats, name: str = "generator") -> Iterator[str]:
    """Yield warnings about an untrained generator and its images, (N, C, H, W)."""
    if images.max() > images.min() >= 0:
        yield (
            f"the {name}'s images range over [{images.min():.3g}, {images.max():.3g}], but real images over "
            "[-1, 1]: add nn.Tanh as its last layer"
        )
    cells = [cell for _, cell in generator.cells_and_names()]
    if any(isinstance(cell, BatchNorm) and cell.use_batch_statistics for cell in cells):
        yield (
            f"the {name} has a BatchNorm with use_batch_statistics=True, which uses batch statistics in "
            "evaluation, too: an image then depends on the other images of its batch"
        )


def inspect_scores(scores: Floats, extreme: Floats) -> Iterator[str]:
    """Yield warnings about an untrained discriminator's scores, (N, 1) or (N,), also with extreme inputs."""
    if np.all(scores == scores[0]) and np.all(extreme == extreme[0]):
        yield (
            f"the discriminator returns the same score for all images, {scores.reshape(-1)[0]:.4g}: check that "
            "its layers use the image, and that no layer has only zero weights"
        )


def inspect_classes(*several: Floats | None) -> Iterator[str]:
    """Yield warnings about an untrained discriminator's class logits for several inputs, each (N, classes)."""
    if all(logits is None or (logits.min() >= 0 and logits.max() <= 1) for logits in several):
        yield (
            "all class logits of the discriminator are between 0 and 1: remove the softmax or sigmoid at the end "
            "of its class head, because the loss includes one"
        )
