"""A citizen of MindSpore's world: its callbacks in our runs, our callbacks in its ``Model``."""

from ms_gan_callbacks.interop.model import for_model
from ms_gan_callbacks.interop.stock import MindSporeCallback, adapted

__all__ = ["MindSporeCallback", "adapted", "for_model"]
