"""The ``run_context`` that all stock callbacks of a run share, and the ``cb_params`` in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindspore.train import RunContext

from ms_gan_callbacks.errors import CallbackError, choices
from ms_gan_callbacks.events.run import Run

Make = Callable[[], Any]


class MissingAttributeError(CallbackError, AttributeError):
    """There is no ``cb_params.name``; to ``hasattr`` and ``getattr`` an ordinary missing attribute."""


class MissingKeyError(CallbackError, KeyError):
    """There is no ``cb_params["name"]``."""

    __str__ = Exception.__str__  # KeyError shows its message as a quoted key


class Parameters(dict[str, Any]):
    """``cb_params``: a dict whose keys are attributes too, as MindSpore's is.

    The step's loss, ``net_outputs``, is copied from the device only when somebody asks for it.
    """

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_asking", "a callback")
        object.__setattr__(self, "_loss", None)

    def serve(self, asking: str, loss: Make | None) -> None:
        """Get ready for a callback: who it is, and how its loss is made, if there is one yet."""
        object.__setattr__(self, "_asking", asking)
        object.__setattr__(self, "_loss", loss)
        self.pop("net_outputs", None)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key == "net_outputs" and self._loss is not None)

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise MissingKeyError(self._why_missing(key))
        if not super().__contains__(key):
            self[key] = self._loss()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default where there is none."""
        return self[key] if key in self else default  # noqa: SIM401  this is where get is made

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(key)  # of Python's own business, such as copying
        if key not in self:
            raise MissingAttributeError(self._why_missing(key))
        return self[key]

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def _why_missing(self, key: str) -> str:
        if key == "net_outputs":
            return f"{self._asking} asks for cb_params.net_outputs before there is a loss"
        return f"{self._asking} asks for cb_params.{key}, which a GAN's run has not; {choices(key, self)}"


class Number(float):
    """A number that counts as there though it is 0.0, which stock callbacks take for a missing one."""

    def __bool__(self) -> bool:
        return True


class Batches:
    """As much of a dataset as the lineage of a SummaryCollector asks about."""

    children: tuple[Any, ...] = ()

    def __init__(self, run: Run) -> None:
        self._size, self._batch_size = run.steps_per_epoch, run.manifest.batch_size or 1

    def get_dataset_size(self) -> int:
        """Return the number of batches in an epoch."""
        return self._size

    def get_batch_size(self) -> int:
        """Return the number of images in a batch."""
        return self._batch_size

    def to_json(self, path: str = "") -> Any:
        """Say that there is no graph of operations, in the way that a dataset says it."""
        raise TypeError("a GAN's images need not come from a mindspore.dataset pipeline")


class SharedContext:
    """What the stock callbacks of one run have in common.

    Attributes:
        callbacks: all of them, as they were given.
    """

    def __init__(self) -> None:
        self.callbacks: list[Any] = []
        self._evaluated_in = 0
        self.reset()

    def reset(self) -> None:
        """Forget whatever an earlier training left."""
        self.parameters = Parameters()
        self.run_context = RunContext(self.parameters)

    @property
    def stop_requested(self) -> bool:
        """Whether one of the callbacks has asked to stop."""
        return bool(self.run_context.get_stop_requested())

    def note_evaluation(self, run: Run) -> None:
        """Let metrics be seen until the epoch is over, as in ``Model.fit``."""
        self._evaluated_in = run.epoch

    def update(self, run: Run, mode: str) -> Parameters:
        """Put the run as it stands into ``cb_params``, and return them."""
        parameters = self.parameters
        if "run" not in parameters:
            parameters.update(_constants(run), list_callback=self.callbacks)
        parameters.update(mode=mode, cur_step_num=run.step, cur_epoch_num=run.epoch)
        if run.metrics and self._evaluated_in == run.epoch:
            metrics = {name: Number(value) for name, value in run.metrics.items()}
            parameters.update(metrics=metrics, eval_results=dict(metrics))
        else:
            parameters.pop("metrics", None)
            parameters.pop("eval_results", None)
        return parameters


def _constants(run: Run) -> dict[str, Any]:
    """Return what stays as it is; what ``Model`` has and a GAN has none of is None, as it is there."""
    return {
        "run": run,
        "train_network": run.train_network,
        "epoch_num": run.epochs,
        "batch_num": run.steps_per_epoch,
        "dataset_sink_mode": False,
        "train_dataset": Batches(run),
        "parallel_mode": "stand_alone",
        "device_number": 1,
        "loss_fn": None,
        "loss_scale_mananger": None,  # spelled so in MindSpore
        "initial_step": 0,
        "last_save_ckpt_step": None,
        "latest_ckpt_file": None,
    }
