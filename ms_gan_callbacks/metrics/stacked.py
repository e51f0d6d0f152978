"""Features and classes of stacked MNIST: the LeNet on each of the three channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.classes import compute_class_counts
from ms_gan_callbacks.metrics.direction import higher_is_better
from ms_gan_callbacks.metrics.lenet import load_lenet
from ms_gan_callbacks.metrics.pretrained import Floats
from ms_gan_callbacks.metrics.sample import Sample

CHANNELS = 3


class StackedLeNet:
    """A feature extractor for stacked MNIST, uint8 images (N, 3, 28, 28): the LeNet's features of each channel.

    The classes are the 1,000 combinations of three digits.

    Attributes:
        name: ``"stacked-"`` and the name of the LeNet.
    """

    def __init__(self) -> None:
        self._lenet = load_lenet()
        self.name = f"stacked-{self._lenet.name}"

    def __call__(self, images: NDArray[np.uint8]) -> Floats:
        """Return the features, float32 (N, 252); raise UsageError if the images have another shape."""
        if images.shape[1:] != (CHANNELS, 28, 28):
            raise UsageError(f"StackedLeNet requires images of shape (3, 28, 28), not {images.shape[1:]}")
        return self._lenet(images.reshape(-1, 1, 28, 28)).reshape(len(images), -1)

    def classify(self, features: Floats) -> Floats:
        """Return the probabilities of the classes, float32 (N, 1000), from features (N, 252)."""
        digits = self._lenet.classify(features.reshape(CHANNELS * len(features), -1)).reshape(-1, CHANNELS, 10)
        first, second, third = (digits[:, channel] for channel in range(CHANNELS))
        pairs = first[:, :, np.newaxis] * second[:, np.newaxis]
        triples: Floats = pairs[..., np.newaxis] * third[:, np.newaxis, np.newaxis]
        return triples.reshape(len(features), -1)


@higher_is_better
def stacked_modes(real: Sample, fake: Sample) -> float:
    """Return the number of classes with at least one of the fakes, up to 1,000 for stacked MNIST.

    It is usual to count them in 26,000 images, and to give :func:`kl_to_uniform`, too (Metz et al., 2016,
    arXiv:1611.02163, section 3.3.1). In 26,000 images that are uniform over 1,000 classes the expected divergence
    is (1,000 - 1) / (2 * 26,000) = 0.019.

    Raises:
        UsageError: the feature extractor does not classify.
    """
    return float((compute_class_counts(fake.probabilities) > 0).sum())
