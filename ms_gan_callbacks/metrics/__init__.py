"""Quality metrics that need no network: pure functions of a real and a fake :class:`Sample`.

Importing this package imports NumPy and SciPy, but not MindSpore.
"""

from __future__ import annotations

from ms_gan_callbacks.metrics.classes import class_shares, classifier_score, kl_to_uniform, modes
from ms_gan_callbacks.metrics.estimate import Estimate
from ms_gan_callbacks.metrics.features import FeatureExtractor
from ms_gan_callbacks.metrics.frechet import fld, frechet_distance, frechet_floor
from ms_gan_callbacks.metrics.kernel import kernel_distance, kid
from ms_gan_callbacks.metrics.lenet import LeNet, lenet
from ms_gan_callbacks.metrics.manifold import Prdc, coverage, density, prdc, precision, recall
from ms_gan_callbacks.metrics.sample import Metric, Sample

__all__ = [
    "Estimate",
    "FeatureExtractor",
    "LeNet",
    "Metric",
    "Prdc",
    "Sample",
    "class_shares",
    "classifier_score",
    "coverage",
    "density",
    "fld",
    "frechet_distance",
    "frechet_floor",
    "kernel_distance",
    "kid",
    "kl_to_uniform",
    "lenet",
    "modes",
    "prdc",
    "precision",
    "recall",
]
