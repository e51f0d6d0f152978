from .callbacks.best_checkpoint import BestCheckpoint
from .callbacks.checkpoint import Checkpoint
from .callbacks.collapse_guard import CollapseGuard
from .callbacks.console import Console
from .callbacks.divergence_guard import DivergenceGuard
from .callbacks.early_stopping import EarlyStopping
from .callbacks.guard import Guard
from .callbacks.image_grid import ImageGrid
from .callbacks.metrics_log import MetricsLog
from .callbacks.tensorboard import TensorBoard
from .config.evaluation import Evaluation
from .config.recipe import Recipe, load_recipe
from .data.arrays import ArraySource
from .data.idx_folder import fashion_mnist, idx_images
from .data.image_folder import folder_images
from .data.images import image_grid, save_png
from .data.mnist import mnist
from .data.pairs import pairs
from .data.pipelines import DatasetSource
from .data.protocol import Source
from .data.rng import stream
from .data.stacked import stacked_mnist
from .data.unpaired import unpaired
from .errors import (
    CallbackError,
    DataError,
    DivergenceError,
    GanError,
    GanWarning,
    RecipeError,
    RunDirError,
    UsageError,
)
from .events.bus import CallbackBus
from .events.callback import Callback, Periodic, Writer, optional
from .events.events import Event, Every
from .events.progress import Progress
from .events.run import Run
from .interop.model import for_model
from .interop.stock import MindSporeCallback
from .metrics.classes import classifier_score, kl_to_uniform, modes
from .metrics.direction import higher_is_better, lower_is_better, paired
from .metrics.diversity import diversity
from .metrics.frechet import fld, frechet_floor
from .metrics.kernel import kid
from .metrics.manifold import coverage, density, precision, recall
from .metrics.memorisation import copied, memorisation
from .metrics.paired import l1, psnr, ssim
from .metrics.parzen import parzen
from .metrics.picture_net import PictureNet
from .metrics.sample import Estimate, Sample
from .metrics.sampling import real_floor, sampling_noise
from .metrics.sanity import sanity_rows
from .metrics.stacked import StackedLeNet, stacked_modes
from .metrics.stored import StoredFeatures
from .metrics.thumbnails import thumbnails
from .models.augmentation import AdaptiveAugment, Augment, Augmentation
from .models.games.chance import Categorical, Normal, Uniform
from .models.games.game import Game
from .models.games.player import Player
from .models.games.pool import ReplayPool
from .models.layers import PackedDiscriminator, SpectralNorm, accelerate
from .models.losses.adversarial import (
    AuxiliaryClassifier,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
)
from .models.losses.classification import cross_entropy
from .models.losses.objective import Objective
from .models.losses.penalties import DRAGAN, R1, R2, GradientPenalty, Penalty
from .models.networks import freeze
from .models.settings import Method
from .training.result import RunResult
from .training.runner import Runner

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "AdaptiveAugment",
    "ArraySource",
    "Augment",
    "Augmentation",
    "AuxiliaryClassifier",
    "BestCheckpoint",
    "Callback",
    "CallbackBus",
    "CallbackError",
    "Categorical",
    "Checkpoint",
    "CollapseGuard",
    "Console",
    "DataError",
    "DatasetSource",
    "DivergenceError",
    "DivergenceGuard",
    "EarlyStopping",
    "Estimate",
    "Evaluation",
    "Event",
    "Every",
    "Game",
    "GanError",
    "GanWarning",
    "GradientPenalty",
    "Guard",
    "Hinge",
    "ImageGrid",
    "LeastSquares",
    "Method",
    "MetricsLog",
    "MindSporeCallback",
    "Minimax",
    "NonSaturating",
    "Normal",
    "Objective",
    "PackedDiscriminator",
    "Penalty",
    "Periodic",
    "PictureNet",
    "Player",
    "Progress",
    "Recipe",
    "RecipeError",
    "RelativisticAverage",
    "RelativisticPairing",
    "ReplayPool",
    "Run",
    "RunDirError",
    "RunResult",
    "Runner",
    "Sample",
    "Source",
    "SpectralNorm",
    "StackedLeNet",
    "StoredFeatures",
    "TensorBoard",
    "Uniform",
    "UsageError",
    "Wasserstein",
    "Writer",
    "accelerate",
    "classifier_score",
    "copied",
    "coverage",
    "cross_entropy",
    "density",
    "diversity",
    "fashion_mnist",
    "fld",
    "folder_images",
    "for_model",
    "frechet_floor",
    "freeze",
    "higher_is_better",
    "idx_images",
    "image_grid",
    "kid",
    "kl_to_uniform",
    "l1",
    "load_recipe",
    "lower_is_better",
    "memorisation",
    "mnist",
    "modes",
    "optional",
    "paired",
    "pairs",
    "parzen",
    "precision",
    "psnr",
    "real_floor",
    "recall",
    "sampling_noise",
    "sanity_rows",
    "save_png",
    "ssim",
    "stacked_mnist",
    "stacked_modes",
    "stream",
    "thumbnails",
    "unpaired",
]
