"""What trying both networks shows that will train, but not as its author may think: each in one line."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mindspore import nn

from ms_gan_callbacks.models.mindspore_private import BatchNorm
from ms_gan_callbacks.models.networks import Floats


def inspect_images(generator: nn.Cell, images: Floats) -> Iterator[str]:
    """Yield what is doubtful about an untrained generator and its images, (N, C, H, W)."""
    if images.max() > images.min() >= 0:
        yield (
            f"the generator's images range over [{images.min():.3g}, {images.max():.3g}], and real ones over "
            "[-1, 1]: end it in nn.Tanh"
        )
    cells = [cell for _, cell in generator.cells_and_names()]
    if any(isinstance(cell, BatchNorm) and cell.use_batch_statistics for cell in cells):
        yield (
            "the generator has a BatchNorm with use_batch_statistics=True, which takes the statistics of the "
            "batch at hand when it draws, too: a picture then depends on those it is drawn with"
        )


def inspect_scores(scores: Floats) -> Iterator[str]:
    """Yield what is doubtful about an untrained discriminator's scores of all kinds of images, (N, 1) or (N,)."""
    if np.all(scores == scores[0]):
        yield (
            f"the discriminator gives every image the same score, {scores.reshape(-1)[0]:.4g}: look whether its "
            "layers see the image, and whether the weights of one are all zero"
        )


def inspect_classes(logits: Floats) -> Iterator[str]:
    """Yield what is doubtful about an untrained discriminator's class logits, (N, classes)."""
    if logits.min() >= 0 and logits.max() <= 1:
        yield (
            "the discriminator's class logits all lie between 0 and 1: take the softmax or sigmoid off the end of "
            "its class head, for the loss has one"
        )
