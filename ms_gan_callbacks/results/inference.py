"""Loads a run's generator from a checkpoint to generate images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.data.rng import noise, stream
from ms_gan_callbacks.errors import CheckpointError, RunDirError, UsageError, suggest, warn
from ms_gan_callbacks.models.networks import Floats, use_device
from ms_gan_callbacks.models.two_players import build_players
from ms_gan_callbacks.storage.checkpoints import Checkpoint, CheckpointStore
from ms_gan_callbacks.storage.files import compute_sha256
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.tensors import Arrays
from ms_gan_callbacks.training.gan_model import GanModel
from ms_gan_callbacks.training.lineage import read_recipe


class Trained(GanModel):
    """The generator of a run, loaded from a checkpoint.

    Args:
        run_dir: the run directory.
        checkpoint: "last", "best" (retained by :class:`BestCheckpoint`), or a step.
        device: as for :class:`Runner`.
        overrides: changed arguments of the recipe, such as a new path of the data.

    Attributes:
        run_dir: the run directory.
        recipe: the recipe of the run.
        manifest: the content of ``run.json``.
        step: step of the checkpoint.

    Raises:
        RunDirError: the directory does not contain a run of a recipe, or not this checkpoint.
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
        self.run_dir, self.manifest = run_dir, Manifest.read(run_dir)
        self.recipe: Recipe = read_recipe(run_dir, self.manifest, overrides or {})
        if self.recipe.origin and compute_sha256(self.recipe.origin.source) != self.manifest.recipe_sha256:
            warn(f"{run_dir / 'recipe.py'} has been modified since the run was started")
        use_device(device)
        self._players = build_players(self.recipe, self.recipe.generator, self.recipe.discriminator)
        like = self._players.weights()
        try:
            chosen = _choose(run_dir, checkpoint, like)
        except CheckpointError as error:
            if overrides and (changed := self._find_change(run_dir, like)):
                raise UsageError(
                    f"--set {', '.join(overrides)} changes the networks, so the checkpoints of {run_dir} do not "
                    f"fit: {changed}"
                ) from error
            raise
        self._use(chosen)

    def load(self, step: int) -> None:
        """Use the weights of another checkpoint of the run.

        Raises:
            CheckpointError: there is no checkpoint of this step, or it is damaged.
        """
        self._use(CheckpointStore(self.run_dir / "checkpoints").load(step, self._players.weights()))

    def _use(self, checkpoint: Checkpoint) -> None:
        self.step = self._players.step_number = checkpoint.step
        self._players.load_weights(checkpoint.weights)

    def _find_change(self, run_dir: Path, like: Arrays) -> str | None:
        """Describe the first parameter whose shape differs from the run's, or return None."""
        recipe = read_recipe(run_dir, self.manifest, {})
        then = build_players(recipe, recipe.generator, recipe.discriminator).weights()
        for name in {**then, **like}:
            were, now = (getattr(weights.get(name), "shape", "none") for weights in (then, like))
            if were != now:
                return f"the shape of {name} is {now}, and {were} in the run"
        return None

    def noise(self, count: int, name: str = "preview", seed: int | None = None) -> Floats:
        """Return noise vectors, (count, noise_dim); by default those of the run's image grids."""
        return noise(self.recipe.seed if seed is None else seed, name, 0, count, self._players.noise_dim)

    def draw_noise_parts(self, count: int, size: int, seed: int | None = None) -> Iterator[Floats]:
        """Yield the vectors of :meth:`noise`, at most ``size`` at a time."""
        random = stream(self.recipe.seed if seed is None else seed, "preview", 0)
        for start in range(0, count, size):
            shape = (min(size, count - start), self._players.noise_dim)
            yield random.standard_normal(shape, dtype=np.float32)

    @property
    def takes_noise(self) -> bool:
        """Whether images are generated from noise vectors, and labels in a conditional run."""
        return self._players.takes_noise

    @property
    def image_columns(self) -> tuple[str, ...]:
        """The columns from which a game makes images; none if it only uses random inputs."""
        return self._players.list_image_columns()

    def draw_image_parts(self, count: int, size: int, seed: int | None = None) -> Iterator[Floats]:
        """Yield images of a game that only uses random inputs, at most ``size`` at a time."""
        if self.image_columns:
            raise UsageError(f"this game makes images from {', '.join(self.image_columns)}: pass --input FOLDER")
        self._players.seed = self.recipe.seed if seed is None else seed
        images = self._players.sample(count, "preview", None, {})
        return (images[start : start + size] for start in range(0, count, size))

    def generate(self, noise: Floats, labels: Any = None) -> Floats:
        """Return images, (N, C, H, W) in [-1, 1], for noise (N, noise_dim).

        A conditional generator also takes labels (N,); by default all classes in turn.

        Raises:
            UsageError: the labels do not fit the noise or the generator.
        """
        return self._players.generate(noise, labels)


def _choose(run_dir: Path, checkpoint: str, like: Arrays) -> Checkpoint:
    if checkpoint not in ("last", "best") and not (checkpoint.isascii() and checkpoint.isdecimal()):
        raise RunDirError(f"checkpoint must be 'last', 'best' or a step, not {checkpoint!r}")
    store = CheckpointStore(run_dir / "checkpoints")
    if checkpoint.isdecimal() and int(checkpoint) not in (steps := store.list_steps()):
        available = suggest(checkpoint, map(str, steps))
        raise RunDirError(f"there is no checkpoint {store.get_path(int(checkpoint))}; {available}")
    last = store.load_newest(like, repair=False)  # the run may be training
    if last is None:
        raise RunDirError(f"{run_dir} does not contain a checkpoint")
    if checkpoint == "last":
        return last
    if checkpoint != "best":
        return store.load(int(checkpoint), like)
    steps = [state["saved"] for state in last.state["callbacks"].values() if state.get("saved") is not None]
    if not steps:
        raise CheckpointError(f"{run_dir} does not contain a best checkpoint: BestCheckpoint has not saved one")
    return store.load(int(steps[-1]), like)
