from .bus import CallbackBus
from .callback import Callback, Event, Every, Periodic, Writer, optional
from .callbacks import BestCheckpoint, Checkpoint, Console, EarlyStopping, ImageGrid, MetricsLog, TensorBoard
from .data import ArraySource, DatasetSource, Source, mnist, stream
from .errors import CallbackError, DataError, GanError, GanWarning, RecipeError, RunDirError, UsageError
from .images import image_grid, save_png
from .layers import accelerate
from .objectives import Minimax, NonSaturating, Objective
from .recipe import Recipe, load_recipe
from .result import RunResult
from .run import Progress, Run
from .runner import Runner

__all__ = [
    "ArraySource",
    "BestCheckpoint",
    "Callback",
    "CallbackBus",
    "CallbackError",
    "Checkpoint",
    "Console",
    "DataError",
    "DatasetSource",
    "EarlyStopping",
    "Event",
    "Every",
    "GanError",
    "GanWarning",
    "ImageGrid",
    "MetricsLog",
    "Minimax",
    "NonSaturating",
    "Objective",
    "Periodic",
    "Progress",
    "Recipe",
    "RecipeError",
    "Run",
    "RunDirError",
    "RunResult",
    "Runner",
    "Source",
    "TensorBoard",
    "UsageError",
    "Writer",
    "accelerate",
    "image_grid",
    "load_recipe",
    "mnist",
    "optional",
    "save_png",
    "stream",
]
