"""Run directories of recipes without training: random weights in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from conftest import ROOT

from ms_gan_callbacks import load_recipe
from ms_gan_callbacks.models.two_players import build_players
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.run_dir import keep_recipe
from ms_gan_callbacks.training.lineage import describe_run

SMALL: dict[str, dict[str, Any]] = {
    "mnist_mlp": {"noise_dim": 5},
    "mnist_cgan": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "mnist_acgan": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "mnist_dcgan": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "mnist_r3gan": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "stacked_mnist": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "mnist_lsgan": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "mnist_wgan_gp": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "mnist_hinge_sn": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "fashion_dcgan": {"noise_dim": 5, "channels": 4, "hidden": 8, "data_dir": "clothes"},
    "mnist_infogan": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "mnist_began": {"noise_dim": 5, "channels": 4, "code": 6},
    "mnist_sgan": {"noise_dim": 5, "channels": 4, "hidden": 8},
    "folder_dcgan": {"noise_dim": 5, "channels": 4, "path": "photos"},
    "folder_r3gan": {"noise_dim": 5, "channels": 4, "hidden": 8, "path": "photos", "size": 32},
    "mnist_pix2pix": {"channels": 4, "count": 20},
    "mnist_cyclegan": {"channels": 4, "count": 40, "blocks": 1, "pool": 4},
    "folder_pix2pix": {"channels": 4, "path": "photos"},
    "folder_cyclegan": {"channels": 4, "path": "photos", "other": "photos", "blocks": 1, "pool": 4},
}
"""Every built-in recipe, and arguments that make it small."""


class Unread:
    """A source of which only the shapes are known."""

    name, count, steps_per_epoch, batch_size = "unread", 4, 1, 4

    def __init__(self, columns: dict[str, tuple[int, ...]]) -> None:
        self.columns = columns
        self.image_shape = next(iter(columns.values()), (1, 4, 4))
        self.image_dtype = np.dtype(np.float32)

    def sha256(self) -> None:
        return None

    def batches(self, seed: int, epoch: int, start: int = 0) -> Any:
        yield {name: np.zeros((4, *shape), np.float32) for name, shape in self.columns.items()}


def make_run(
    folder: Path, recipe: str | Path, columns: dict[str, tuple[int, ...]] | None = None, **settings: Any
) -> Path:
    """Write the directory of a run of a recipe that has not been trained, with random weights."""
    path = ROOT / "recipes" / f"{recipe}.py" if isinstance(recipe, str) else recipe
    built = load_recipe(path, **settings)
    players = build_players(built, built.generator, built.discriminator)
    random = np.random.default_rng(0)
    weights = {
        name: value + random.uniform(-0.1, 0.1, value.shape).astype(value.dtype)
        for name, value in players.weights().items()
    }
    assert built.origin is not None
    manifest = describe_run(players, built, Unread(columns or {}), 1, built.origin)
    folder.mkdir(parents=True)
    manifest.write(folder)
    keep_recipe(folder, built.origin.content)
    CheckpointStore(folder / "checkpoints").save(3, weights, {"callbacks": {}})
    return folder
