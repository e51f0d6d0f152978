"""A generator as one of a run's checkpoints has it, to draw from once the training is over."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ms_gan_callbacks.data import noise
from ms_gan_callbacks.errors import CheckpointError, GanWarning, RunDirError
from ms_gan_callbacks.files import sha256_of
from ms_gan_callbacks.lineage import recipe_in
from ms_gan_callbacks.networks import Floats, use_device
from ms_gan_callbacks.recipe import Recipe
from ms_gan_callbacks.run_dir import read_facts
from ms_gan_callbacks.store import CheckpointStore
from ms_gan_callbacks.training import Players


class Trained:
    """A run's generator at one of its checkpoints.

    Args:
        run_dir: the run's folder.
        checkpoint: "last", "best" (what a :class:`BestCheckpoint` keeps), or a step.
        device: as for :class:`Runner`.

    Attributes:
        recipe: what made the run.
        facts: the content of ``run.json``.
        step: the checkpoint's.

    Raises:
        RunDirError: the folder holds no run that a recipe made, or no such checkpoint.
        CheckpointError: the checkpoint is damaged.
    """

    def __init__(self, run_dir: Path, checkpoint: str = "last", device: str | None = None) -> None:
        self.recipe: Recipe = recipe_in(run_dir, {})
        self.facts: Mapping[str, Any] = read_facts(run_dir)
        if self.recipe.origin and sha256_of(self.recipe.origin.source) != self.facts.get("recipe_sha256"):
            warnings.warn(f"{run_dir / 'recipe.py'} was changed since the run wrote it", GanWarning, stacklevel=2)
        use_device(device)
        self._players = Players(self.recipe.generator, self.recipe.discriminator, self.recipe)
        store, like = CheckpointStore(run_dir / "checkpoints"), self._players.weights()
        last = store.newest(like, repair=False)  # the run may be training
        if last is None:
            raise RunDirError(f"{run_dir} has no checkpoint to take a generator from")
        chosen = last
        if checkpoint == "best":
            chosen = store.load(_best(run_dir, last.state["callbacks"]), like)
        elif checkpoint != "last":
            if not checkpoint.isdecimal():
                raise RunDirError(f"a checkpoint is 'last', 'best' or a step, not {checkpoint!r}")
            chosen = store.load(int(checkpoint), like)
        self.step = chosen.step
        self._players.load_weights(chosen.weights)

    def noise(self, count: int, name: str = "preview", seed: int | None = None) -> Floats:
        """Return ``count`` noise vectors, (count, noise_dim): by default what the run's own grids show."""
        return noise(self.recipe.seed if seed is None else seed, name, 0, count, self.recipe.noise_dim)

    def generate(self, noise: Floats, labels: Any = None) -> Floats:
        """Return images, (N, C, H, W) in [-1, 1], for noise (N, noise_dim).

        In a conditional run labels (N,) say of which classes; by default they go through them in turn.

        Raises:
            UsageError: labels do not fit the noise, or the run.
        """
        return self._players.generate(noise, labels)


def _best(run_dir: Path, states: Mapping[str, Mapping[str, Any]]) -> int:
    steps = [state["saved"] for state in states.values() if state.get("saved") is not None]
    if not steps:
        raise CheckpointError(f"{run_dir} has no best checkpoint: its recipe has no BestCheckpoint that has saved")
    return int(steps[-1])
