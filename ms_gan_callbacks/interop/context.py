"""The ``run_context`` shared by the MindSpore callbacks of a run, and its ``cb_params``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindspore.train import RunContext

from ms_gan_callbacks.errors import CallbackError, suggest
from ms_gan_callbacks.events.run import Run

Make = Callable[[], Any]


class MissingAttributeError(CallbackError, AttributeError):
    """``cb_params.name`` does not exist; also an AttributeError, for ``hasattr`` and ``getattr``."""


class MissingKeyError(CallbackError, KeyError):
    """``cb_params["name"]`` does not exist."""

    __str__ = Exception.__str__  # KeyError shows its message as a quoted key


class Parameters(dict[str, Any]):
    """``cb_params``: a dict whose keys are also attributes, as in MindSpore.

    The step's loss, ``net_outputs``, is copied from the device on first access.
    """

    def __init__(self) -> None:
        super().__init__()
        self.serve("a callback", None)

    def serve(self, asking: str, loss: Make | None) -> None:
        """Set the name of the callback that is called next, and the function that returns its loss, or None."""
        object.__setattr__(self, "_asking", asking)
        object.__setattr__(self, "_loss", loss)
        self.pop("net_outputs", None)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key == "net_outputs" and self._loss is not None)

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise MissingKeyError(self._explain_missing(key))
        if not super().__contains__(key):
            self[key] = self._loss()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401  this is the definition of get

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(key)  # special methods, for example of copying
        if key not in self:
            raise MissingAttributeError(self._explain_missing(key))
        return self[key]

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def _explain_missing(self, key: str) -> str:
        if key == "net_outputs":
            return f"{self._asking} reads cb_params.net_outputs before the first step"
        return f"{self._asking} reads cb_params.{key}, which a GAN's run does not provide; {suggest(key, self)}"


class Number(float):
    """A float that is always true: MindSpore's callbacks treat a value of 0.0 as missing."""

    def __bool__(self) -> bool:
        return True


class DatasetStub:
    """The part of a dataset that SummaryCollector uses to record its lineage."""

    children: tuple[Any, ...] = ()

    def __init__(self, run: Run) -> None:
        self._size, self._batch_size = run.steps_per_epoch, run.manifest.batch_size or 1

    def get_dataset_size(self) -> int:
        return self._size

    def get_batch_size(self) -> int:
        return self._batch_size

    def to_json(self, path: str = "") -> Any:
        """Raise TypeError, as datasets without a serializable pipeline do."""
        raise TypeError("the images of a GAN may not come from a mindspore.dataset pipeline")


class SharedContext:
    """The context shared by the MindSpore callbacks of one run.

    Attributes:
        callbacks: the MindSpore callbacks, in their original order.
        evaluated_in: epoch of the last evaluation, until whose end metrics are provided, as in ``Model.fit``.
    """

    def __init__(self) -> None:
        self.callbacks: list[Any] = []
        self.evaluated_in = 0
        self.reset()

    def reset(self) -> None:
        """Clear the values of an earlier training."""
        self.parameters = Parameters()
        self.run_context = RunContext(self.parameters)

    def update(self, run: Run, mode: str) -> Parameters:
        """Update ``cb_params`` from the run, and return them."""
        parameters = self.parameters
        if "run" not in parameters:
            parameters.update(_make_constants(run), list_callback=self.callbacks)
        parameters.update(mode=mode, cur_step_num=run.step, cur_epoch_num=run.epoch)
        if run.metrics and self.evaluated_in == run.epoch:
            metrics = {name: Number(value) for name, value in run.metrics.items()}
            parameters.update(metrics=metrics, eval_results=dict(metrics))
        else:
            parameters.pop("metrics", None)
            parameters.pop("eval_results", None)
        return parameters


def _make_constants(run: Run) -> dict[str, Any]:
    """Return the constant parameters; those of ``Model`` that do not apply to a GAN are None."""
    return {
        "run": run,
        "train_network": run.train_network,
        "epoch_num": run.epochs,
        "batch_num": run.steps_per_epoch,
        "dataset_sink_mode": False,
        "train_dataset": DatasetStub(run),
        "parallel_mode": "stand_alone",
        "device_number": 1,
        "loss_fn": None,
        "loss_scale_mananger": None,  # MindSpore's spelling
        "initial_step": 0,
        "last_save_ckpt_step": None,
        "latest_ckpt_file": None,
    }
