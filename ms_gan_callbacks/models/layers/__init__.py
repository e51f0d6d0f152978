"""Fast layers for CPU with the parameters, names and results of MindSpore's own, and ``SpectralNorm``."""

import importlib
import pkgutil

from ms_gan_callbacks.models.layers.accelerate import accelerate
from ms_gan_callbacks.models.layers.activation import LeakyReLU
from ms_gan_callbacks.models.layers.convolution import Conv2d, Conv2dTranspose
from ms_gan_callbacks.models.layers.dense import Dense
from ms_gan_callbacks.models.layers.dropout import Dropout, Dropout2d
from ms_gan_callbacks.models.layers.instance_norm import InstanceNorm2d
from ms_gan_callbacks.models.layers.normalization import BatchNorm1d, BatchNorm2d
from ms_gan_callbacks.models.layers.packing import PackedDiscriminator
from ms_gan_callbacks.models.layers.padding import ReflectionPad2d
from ms_gan_callbacks.models.layers.pooling import AvgPool2d
from ms_gan_callbacks.models.layers.reshaping import Flatten, Unflatten
from ms_gan_callbacks.models.layers.sequential import SequentialCell
from ms_gan_callbacks.models.layers.spectral_norm import SpectralNorm
from ms_gan_callbacks.models.layers.upsampling import Upsample

__all__ = [
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Conv2dTranspose",
    "Dense",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "InstanceNorm2d",
    "LeakyReLU",
    "PackedDiscriminator",
    "ReflectionPad2d",
    "SequentialCell",
    "SpectralNorm",
    "Unflatten",
    "Upsample",
    "accelerate",
]

for _module in pkgutil.iter_modules(__path__):  # importing a module registers its fast layer
    importlib.import_module(f"{__name__}.{_module.name}")
