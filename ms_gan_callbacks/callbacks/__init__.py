"""The callbacks that come with the library, one file each."""

from ms_gan_callbacks.callbacks.best_checkpoint import BestCheckpoint
from ms_gan_callbacks.callbacks.checkpoint import Checkpoint
from ms_gan_callbacks.callbacks.collapse_guard import CollapseGuard
from ms_gan_callbacks.callbacks.console import Console
from ms_gan_callbacks.callbacks.divergence_guard import DivergenceGuard
from ms_gan_callbacks.callbacks.early_stopping import EarlyStopping
from ms_gan_callbacks.callbacks.guard import Guard
from ms_gan_callbacks.callbacks.image_grid import ImageGrid
from ms_gan_callbacks.callbacks.metrics_log import MetricsLog
from ms_gan_callbacks.callbacks.tensorboard import TensorBoard

__all__ = [
    "BestCheckpoint",
    "Checkpoint",
    "CollapseGuard",
    "Console",
    "DivergenceGuard",
    "EarlyStopping",
    "Guard",
    "ImageGrid",
    "MetricsLog",
    "TensorBoard",
]
