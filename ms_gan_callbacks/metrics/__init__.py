"""Quality metrics that need no network: pure functions of a real and a fake :class:`Sample`.

Importing this package imports NumPy and SciPy, but not MindSpore.
"""

from __future__ import annotations

from ms_gan_callbacks.metrics.estimate import Estimate
from ms_gan_callbacks.metrics.features import FeatureExtractor
from ms_gan_callbacks.metrics.lenet import LeNet, lenet
from ms_gan_callbacks.metrics.sample import Metric, Sample

__all__ = [
    "Estimate",
    "FeatureExtractor",
    "LeNet",
    "Metric",
    "Sample",
    "lenet",
]
