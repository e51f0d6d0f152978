"""Real images: sources of batches, MNIST, and randomness that needs no saving.

Importing this package does not import MindSpore.
"""

from __future__ import annotations

from ms_gan_callbacks.data.idx_folder import fashion_mnist, idx_images
from ms_gan_callbacks.data.image_folder import folder_images
from ms_gan_callbacks.data.labels import LabelledSource, batches_with_labels, check_labels, labelled
from ms_gan_callbacks.data.mnist import mnist
from ms_gan_callbacks.data.protocol import check_batch, check_usual_range, first_images
from ms_gan_callbacks.data.rng import noise, stream
from ms_gan_callbacks.data.sources import ArraySource, DatasetSource, Source, as_source

__all__ = [
    "ArraySource",
    "DatasetSource",
    "LabelledSource",
    "Source",
    "as_source",
    "batches_with_labels",
    "check_batch",
    "check_labels",
    "check_usual_range",
    "fashion_mnist",
    "first_images",
    "folder_images",
    "idx_images",
    "labelled",
    "mnist",
    "noise",
    "stream",
]
