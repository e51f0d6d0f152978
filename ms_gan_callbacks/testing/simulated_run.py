"""A simulated run, at any step, for callbacks that are called by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.run import Floats, Run
from ms_gan_callbacks.events.scalars import EpochMeans, find_name_fault

EQUILIBRIUM = {"d_loss": 1.3863, "g_loss": 0.6931, "d_real": 0.5, "d_fake": 0.5, "value": -1.3863}
"""The scalars of a step at equilibrium."""

Values: TypeAlias = float | Sequence[float] | Callable[[int], float]
"""A constant, a value per step (or evaluation; the last one is repeated), or a function of the step's number."""

IMAGE = (1, 4, 4)


def make_run(
    out_dir: str | Path = "run",
    *,
    step: int = 1,
    epochs: int = 2,
    steps_per_epoch: int = 5,
    scalars: Mapping[str, float] | None = None,
    metrics: Mapping[str, float] | None = None,
    **fields: Any,
) -> Run:
    """Return a simulated run at a given step, without networks; images are a fixed function of the noise.

    Args:
        out_dir: run directory, which is not created.
        step: current step; 0 for before the first step.
        epochs: planned number of epochs.
        steps_per_epoch: number of steps per epoch.
        scalars: scalars of the step; by default ``EQUILIBRIUM``.
        metrics: most recent values of the metrics.
        **fields: other attributes of the :class:`Run`.

    Raises:
        UsageError: the name of a scalar or metric is invalid.
    """
    scalars, metrics = EQUILIBRIUM if scalars is None else scalars, dict(metrics or {})
    check_names(scalars, metrics)
    progress = Progress(epochs, steps_per_epoch, step, -(-step // steps_per_epoch), step, step)
    settings: dict[str, Any] = {
        "noise_dim": 3,
        "generate": _generate,
        "draw_real": _draw_real,
        "epoch_means": EpochMeans(tuple(scalars)),
        "metrics": metrics,
        "metric_names": frozenset(metrics),
        "monitors": frozenset((*scalars, *metrics)),
    }
    run = Run(progress, Path(out_dir), **(settings | fields))
    if step:
        publish(run, scalars)
    return run


def check_names(scalars: Mapping[str, Values], metrics: Mapping[str, Values]) -> None:
    """Raise UsageError for names that are invalid in a run."""
    for name in (*scalars, *metrics):
        if fault := find_name_fault(name):
            raise UsageError(f"invalid name of a scalar or metric: {name!r}: {fault}")
    for name in metrics:
        if name in scalars:
            raise UsageError(f"invalid name of a metric: {name!r} is a scalar of every step")


def publish(run: Run, scalars: Mapping[str, float]) -> None:
    """Set the scalars of the current step."""
    array = np.array(list(scalars.values()), np.float64)
    values: Any = SimpleNamespace(asnumpy=lambda: array)  # instead of a Tensor
    run.scalars.publish(tuple(scalars), values)
    run.epoch_means.add(values)


def _generate(noise: Floats) -> Floats:
    """Return images, (N, 1, 4, 4) in [-1, 1], as a fixed function of the noise."""
    weights = stream(0, "a formula for images", 0).standard_normal((noise.shape[1], int(np.prod(IMAGE))))
    images: Floats = np.tanh(noise @ weights).astype(np.float32).reshape(-1, *IMAGE)
    return images


def _draw_real(count: int) -> Floats:
    return stream(0, "real images", 0).uniform(-1, 1, (count, *IMAGE)).astype(np.float32)
