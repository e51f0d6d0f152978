"""The program of the ranks in test_ranks.py: it trains small GANs and saves their weights.

Started with the name of a folder; each rank, and a single process, writes one file there for each of its runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from ms_gan_callbacks import (
    ArraySource,
    Callback,
    Checkpoint,
    Every,
    Game,
    GradientPenalty,
    NonSaturating,
    Normal,
    Player,
    ReplayPool,
    Run,
    Runner,
    UsageError,
    Wasserstein,
)
from ms_gan_callbacks.models.world import join_world

STEPS, RESUMED_AT = 12, 7


class Generator(nn.Cell):
    """A generator, with batch normalisation if ``normalised``."""

    def __init__(self, normalised: bool = False) -> None:
        super().__init__()
        norm = [nn.BatchNorm1d(16)] if normalised else []
        # A bias before a normalisation has no gradient except rounding errors, which Adam scales up.
        first = nn.Dense(3, 16, has_bias=not normalised)
        self.net = nn.SequentialCell(first, *norm, nn.LeakyReLU(0.2), nn.Dense(16, 16), nn.Tanh())

    def construct(self, noise: Tensor) -> Tensor:
        return self.net(noise).reshape(-1, 1, 4, 4)


class Discriminator(nn.Cell):
    """A discriminator, with Dropout or batch normalisation if asked for."""

    def __init__(self, dropout: bool = False, normalised: bool = False) -> None:
        super().__init__()
        more = [nn.Dropout(p=0.3)] if dropout else []
        norm = [nn.BatchNorm2d(2)] if normalised else []
        self.net = nn.SequentialCell(
            nn.Conv2d(1, 2, 3), *norm, nn.LeakyReLU(0.2), nn.Flatten(), *more, nn.Dense(32, 1)
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.net(images)


class Balanced(Game):
    """A game with state that its losses update: a number, and a pool of earlier images."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ReplayPool(24, (1, 4, 4))
        self.k = Parameter(Tensor(np.zeros(1, np.float32)), name="k", requires_grad=False)
        self.chance = {"noise": Normal(3), "draws": self.pool.draws}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def d_loss(self, made: Tensor, real: Tensor, draws: Tensor) -> Any:
        on_real, on_fake = (
            ops.square(self.discriminator(real)).mean(),
            ops.square(self.discriminator(self.pool(made, draws)) - 1).mean(),
        )
        loss = on_real + self.k[0] * on_fake
        k = self.k + 0.1 * ops.stop_gradient(0.7 * on_real - on_fake + 0.5)
        return ops.depend(loss, ops.assign(self.k, k)), {"on_real": on_real}

    def g_loss(self, made: Tensor) -> Tensor:
        return ops.square(self.discriminator(made)).mean()


class StopsAt(Callback):
    """Asks a run to stop after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_step_end(self, run: Run) -> None:
        if run.step == self.step:
            run.stop("enough")


class HalvesRates(Callback):
    """Changes the learning rate of one player, before and within an epoch."""

    def on_train_step_begin(self, run: Run) -> None:
        if run.step in (1, 3):
            rate = run.optimizers["generator"].learning_rate
            ops.assign(rate, rate * 0.5)


class EndsWith(Callback):
    """Asks a run to end with the weights of an earlier step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_end(self, run: Run) -> None:
        run.end_with(self.step)


class RollsBack(Callback):
    """Asks once to return to step 4, with a lower learning rate."""

    def on_train_step_end(self, run: Run) -> None:
        if run.step == 6 and not run.rollbacks:
            run.roll_back("as a test", healthy=4, learning_rate=0.5)


def source(batch_size: int = 8) -> ArraySource:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4), dtype=np.uint8)
    return ArraySource(pixels, batch_size)


adam = partial(nn.Adam, learning_rate=1e-3)
PLAIN: dict[str, Any] = {"objective": NonSaturating(), "optimizer": adam, "noise_dim": 3, "seed": 5}
PLAYERS = {"d": Player("discriminator", adam), "g": Player("generator", adam, ema=0.9)}
GAME: dict[str, Any] = {
    "game": Balanced,
    "networks": {"generator": Generator, "discriminator": Discriminator},
    "players": PLAYERS,
    "seed": 5,
}


def resume(out_dir: Path) -> Runner:
    """Return the runner of the plain run, from its checkpoint in the middle of an epoch."""
    settings = {**PLAIN, "clip_norm": 0.1, "ema": 0.9, "out_dir": out_dir, "resume": RESUMED_AT}
    return Runner(Generator, partial(Discriminator, True), **settings)


def list_runs(folder: Path) -> Iterator[tuple[str, Runner, int, list[Callback]]]:
    """Yield the name, runner, epochs and callbacks of each run."""

    def make(name: str, *cells: Any, **settings: Any) -> Runner:
        return Runner(*cells, out_dir=folder / name, **{**PLAIN, **settings})

    normal = (partial(Generator, True), partial(Discriminator, normalised=True))
    plain = make("plain", Generator, partial(Discriminator, True), clip_norm=0.1, ema=0.9)
    yield "plain", plain, 3, [HalvesRates(), Checkpoint(Every.steps(RESUMED_AT)), StopsAt(STEPS)]
    if (folder.parent / f"resumed-{folder.name}").exists():
        yield "resumed", resume(folder.parent / f"resumed-{folder.name}"), 3, [StopsAt(STEPS)]
    critic = {"objective": Wasserstein(), "penalty": GradientPenalty(), "generator_every": 2}
    rolls = [Checkpoint(Every.steps(2)), RollsBack()]
    yield "penalty", make("penalty", Generator, Discriminator, **critic), 2, rolls
    yield "synchronised", make("synchronised", *normal, sync_batch_norm=True), 2, []
    twice = make("statistics", *normal)
    yield "half", twice, 20, []
    yield "statistics", twice, 20, []
    kept = [Checkpoint(Every.steps(4)), EndsWith(8)]
    yield "game", Runner(**GAME, out_dir=folder / "game"), 2, kept


def main(folder: Path, *wanted: str) -> None:
    world = join_world()
    for name, runner, epochs, callbacks in list_runs(folder / f"{world.size}"):
        if wanted and name not in wanted:
            continue
        result = runner.train(epochs, source(), callbacks, quiet=True)
        weights = runner._players.weights()
        facts = {"scalars": np.array(list(result.scalars.values())), "step": np.array(result.step)}
        np.savez(folder / f"{name}-{world.size}-{world.rank}.npz", **weights, **facts)
    if world.size > 1:
        check_refusals(folder, world.rank)


def check_refusals(folder: Path, rank: int) -> None:
    """Write the messages of runs that are refused: another seed or other data on rank 1, and an odd batch."""
    refused = {
        "seed": ({"seed": rank}, source()),
        "data": ({}, ArraySource(np.full((40, 1, 4, 4), 100 + rank, np.uint8), 8)),
        "odd": ({}, source(5)),
    }
    for name, (changes, data) in refused.items():
        runner = Runner(Generator, Discriminator, **{**PLAIN, **changes}, out_dir=folder / f"refused-{name}")
        with suppress(UsageError):
            try:
                runner.train(1, data, quiet=True)
            except UsageError as error:
                (folder / f"{name}-{rank}.txt").write_text(str(error))
                raise


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
