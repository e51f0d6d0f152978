"""A generator as one of a run's checkpoints has it, to draw from once the training is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.data.rng import noise, stream
from ms_gan_callbacks.errors import CheckpointError, RunDirError, UsageError, choices, warn
from ms_gan_callbacks.models.networks import Floats, use_device
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.storage.checkpoint_files import Arrays
from ms_gan_callbacks.storage.checkpoints import Checkpoint, CheckpointStore
from ms_gan_callbacks.storage.files import sha256_of
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.training.lineage import recipe_in


class Trained:
    """A run's generator at one of its checkpoints.

    Args:
        run_dir: the run's folder.
        checkpoint: "last", "best" (what a :class:`BestCheckpoint` keeps), or a step.
        device: as for :class:`Runner`.
        overrides: arguments of the recipe that differ from the run's: the folder of data that has moved, say.

    Attributes:
        recipe: what made the run.
        manifest: the content of ``run.json``.
        step: the checkpoint's.

    Raises:
        RunDirError: the folder holds no run that a recipe made, or no such checkpoint.
        CheckpointError: the checkpoint is damaged.
        UsageError: the overrides change the networks.
    """

    def __init__(
        self,
        run_dir: Path,
        checkpoint: str = "last",
        device: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.recipe: Recipe = recipe_in(run_dir, overrides or {})
        self.manifest = Manifest.read(run_dir)
        if self.recipe.origin and sha256_of(self.recipe.origin.source) != self.manifest.recipe_sha256:
            warn(f"{run_dir / 'recipe.py'} was changed since the run wrote it")
        use_device(device)
        self._players = Players(self.recipe.generator, self.recipe.discriminator, self.recipe)
        like = self._players.weights()
        try:
            chosen = _choose(run_dir, checkpoint, like)
        except CheckpointError as error:
            if overrides and (changed := _changed(run_dir, like)):
                raise UsageError(
                    f"--set {', '.join(overrides)} changes the networks, so that no checkpoint of {run_dir} fits: "
                    f"{changed}"
                ) from error
            raise
        self.step = chosen.step
        self._players.load_weights(chosen.weights)

    def noise(self, count: int, name: str = "preview", seed: int | None = None) -> Floats:
        """Return ``count`` noise vectors, (count, noise_dim): by default what the run's own grids show."""
        return noise(self.recipe.seed if seed is None else seed, name, 0, count, self.recipe.noise_dim)

    def noise_parts(self, count: int, size: int, seed: int | None = None) -> Iterator[Floats]:
        """Yield what :meth:`noise` returns, at most ``size`` vectors at a time."""
        random = stream(self.recipe.seed if seed is None else seed, "preview", 0)
        for start in range(0, count, size):
            shape = (min(size, count - start), self.recipe.noise_dim)
            yield random.standard_normal(shape, dtype=np.float32)

    def generate(self, noise: Floats, labels: Any = None) -> Floats:
        """Return images, (N, C, H, W) in [-1, 1], for noise (N, noise_dim).

        In a conditional run labels (N,) say of which classes; by default they go through them in turn.

        Raises:
            UsageError: labels do not fit the noise, or the run.
        """
        return self._players.generate(noise, labels)


def _choose(run_dir: Path, checkpoint: str, like: Arrays) -> Checkpoint:
    if checkpoint not in ("last", "best") and not (checkpoint.isascii() and checkpoint.isdecimal()):
        raise RunDirError(f"a checkpoint is 'last', 'best' or a step, not {checkpoint!r}")
    store = CheckpointStore(run_dir / "checkpoints")
    if checkpoint.isdecimal() and int(checkpoint) not in (steps := store.steps()):
        there = choices(checkpoint, map(str, steps))
        raise RunDirError(f"there is no checkpoint {store.path(int(checkpoint))}; {there}")
    last = store.newest(like, repair=False)  # the run may be training
    if last is None:
        raise RunDirError(f"{run_dir} has no checkpoint to take a generator from")
    if checkpoint == "last":
        return last
    return store.load(_best(run_dir, last.state["callbacks"]) if checkpoint == "best" else int(checkpoint), like)


def _changed(run_dir: Path, like: Arrays) -> str | None:
    """Say which parameter differs from those that the run has trained, if one does."""
    recipe = recipe_in(run_dir, {})
    were = {
        name: array.shape
        for name, array in Players(recipe.generator, recipe.discriminator, recipe).weights().items()
    }
    now = {name: array.shape for name, array in like.items()}
    for name in {**were, **now}:
        if were.get(name) != now.get(name):
            return f"{name} has shape {now.get(name, 'none')}, and {were.get(name, 'none')} in the run"
    return None


def _best(run_dir: Path, states: Mapping[str, Mapping[str, Any]]) -> int:
    steps = [state["saved"] for state in states.values() if state.get("saved") is not None]
    if not steps:
        raise CheckpointError(f"{run_dir} has no best checkpoint: its recipe has no BestCheckpoint that has saved")
    return int(steps[-1])
