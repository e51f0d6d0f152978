"""A process of ``python -m benchmarks ranks``: it times steps or AllReduces, alone or as one rank of several."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from benchmarks import ROOT
from ms_gan_callbacks import Callback, Run, Runner, load_recipe, mnist
from ms_gan_callbacks.models.graph_mode import graph_mode
from ms_gan_callbacks.models.world import MeanOfRanks, join_world

SIZES = (2**9, 2**12, 2**16, 2**18, 2**20, 2**22, 2**23)
TENSORS = 8
WARM_UP = 10


class Reduction(nn.Cell):  # type: ignore[misc]
    """Averages tensors over all ranks as the training step averages gradients: joined, reduced, divided and split.

    In a single process the tensors are joined, divided and split only.

    Args:
        size: bytes of all tensors together.
    """

    def __init__(self, size: int) -> None:
        super().__init__(auto_prefix=False)
        rows, ranks = np.zeros(size // (4 * TENSORS), np.float32), join_world().size
        self.gradients = ParameterTuple([Parameter(Tensor(rows), name=f"gradient{n}") for n in range(TENSORS)])
        self.mean = MeanOfRanks(ranks)
        if ranks == 1:
            self.mean.reduce = nn.Identity()

    def construct(self) -> Tensor:
        """Write the means into the tensors; return one number of them."""
        means = self.mean(tuple(self.gradients))
        for gradient, mean in zip(self.gradients, means):  # noqa: B905 - not known in graph mode
            ops.assign(gradient, mean)
        return means[0][:1]


class Times(Callback):
    """Records the time of each step, and stops the run."""

    def __init__(self, steps: int) -> None:
        self.steps, self.times = steps, list[float]()

    def on_train_step_end(self, run: Run) -> None:
        """Record the time."""
        float(run.scalars["d_loss"])  # wait for the device
        self.times.append(perf_counter())
        if len(self.times) >= self.steps:
            run.stop("enough steps")


def time_steps(name: str, batch: int, steps: int, folder: Path) -> dict[str, object]:
    """Train a recipe without callbacks; return the median seconds of a step and the bytes of gradients."""
    times = Times(steps + WARM_UP)
    recipe = load_recipe(ROOT / "recipes" / f"{name}.py", batch_size=batch, epochs=1000)
    data = partial(mnist, batch_size=batch)
    # Without penalty and moving average: a step is that of two networks and an objective.
    recipe = replace(recipe, data=data, callbacks=[times], metrics={}, penalty=None, ema=None, origin=None)
    world = join_world()
    runner = Runner.from_recipe(recipe, folder / f"{name}-{batch}-{world.size}")
    runner.train(quiet=True)
    gradients = [4 * sum(int(one.size) for one in cell.trainable_params()) for cell in runner.networks.values()]
    seconds = np.diff(times.times[WARM_UP:]) if times.times else [0.0]
    return {"seconds": median(seconds), "gradients": gradients}


def time_messages(repeats: int) -> list[tuple[int, float]]:
    """Return the median seconds of a reduction of each size in bytes."""
    return [(size, _time_reduction(Reduction(size), repeats)) for size in SIZES]


def _time_reduction(reduction: Reduction, repeats: int) -> float:
    taken = []
    with graph_mode():
        for _ in range(WARM_UP + repeats):
            before = perf_counter()
            reduction().asnumpy()
            taken.append(perf_counter() - before)
    return median(taken[WARM_UP:])


def main(kind: str, out: str, *arguments: str) -> None:
    """Time steps or reductions, and write the result as JSON; of several ranks the first does."""
    world = join_world()
    if kind == "steps":
        name, batch, steps = arguments
        result: object = time_steps(name, int(batch), int(steps), Path(out).parent)
    else:
        result = time_messages(int(arguments[0]))
    if world.leads:
        Path(out).write_text(json.dumps(result))
