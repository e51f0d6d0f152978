"""Stock layers' equals that are fast on a CPU: the same parameters, names and results by another route.

``SpectralNorm`` is what MindSpore has no equal of.
"""

import importlib
import pkgutil

from ms_gan_callbacks.models.layers.accelerate import accelerate
from ms_gan_callbacks.models.layers.activation import LeakyReLU
from ms_gan_callbacks.models.layers.convolution import Conv2d, Conv2dTranspose
from ms_gan_callbacks.models.layers.dense import Dense
from ms_gan_callbacks.models.layers.normalization import BatchNorm1d
from ms_gan_callbacks.models.layers.sequential import SequentialCell
from ms_gan_callbacks.models.layers.spectral_norm import SpectralNorm

__all__ = [
    "BatchNorm1d",
    "Conv2d",
    "Conv2dTranspose",
    "Dense",
    "LeakyReLU",
    "SequentialCell",
    "SpectralNorm",
    "accelerate",
]

for _module in pkgutil.iter_modules(__path__):  # each fast layer registers itself
    importlib.import_module(f"{__name__}.{_module.name}")
