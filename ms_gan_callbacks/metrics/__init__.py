"""Quality metrics that need no network: pure functions of a real and a fake :class:`Sample`.

Importing this package imports NumPy and SciPy, but not MindSpore.
"""

from __future__ import annotations

from ms_gan_callbacks.metrics.classes import class_shares, classifier_score, kl_to_uniform, modes
from ms_gan_callbacks.metrics.direction import Mode, higher_is_better, lower_is_better, mode_of
from ms_gan_callbacks.metrics.diversity import diversity
from ms_gan_callbacks.metrics.estimate import Estimate
from ms_gan_callbacks.metrics.features import FeatureExtractor
from ms_gan_callbacks.metrics.frechet import fld, frechet_distance, frechet_floor
from ms_gan_callbacks.metrics.kernel import kernel_distance, kid
from ms_gan_callbacks.metrics.lenet import LeNet, lenet
from ms_gan_callbacks.metrics.manifold import Prdc, coverage, density, prdc, precision, recall
from ms_gan_callbacks.metrics.memorisation import copied, memorisation
from ms_gan_callbacks.metrics.parzen import ParzenResult, choose_sigma, log_densities, parzen
from ms_gan_callbacks.metrics.sample import Metric, Sample
from ms_gan_callbacks.metrics.sampling import real_floor, sampling_noise
from ms_gan_callbacks.metrics.sanity import sanity_rows
from ms_gan_callbacks.metrics.stored import StoredFeatures
from ms_gan_callbacks.metrics.thumbnails import thumbnails

__all__ = [
    "Estimate",
    "FeatureExtractor",
    "LeNet",
    "Metric",
    "Mode",
    "ParzenResult",
    "Prdc",
    "Sample",
    "StoredFeatures",
    "choose_sigma",
    "class_shares",
    "classifier_score",
    "copied",
    "coverage",
    "density",
    "diversity",
    "fld",
    "frechet_distance",
    "frechet_floor",
    "higher_is_better",
    "kernel_distance",
    "kid",
    "kl_to_uniform",
    "lenet",
    "log_densities",
    "lower_is_better",
    "memorisation",
    "mode_of",
    "modes",
    "parzen",
    "prdc",
    "precision",
    "real_floor",
    "recall",
    "sampling_noise",
    "sanity_rows",
    "thumbnails",
]
