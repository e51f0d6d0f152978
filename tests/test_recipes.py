"""The recipes whose data the package does not have: each trains a few steps on a few images made here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from ms_gan_callbacks import DataError, RecipeError, Runner, Sample, load_recipe

SMALL = {"channels": 4, "noise_dim": 5, "batch_size": 4, "epochs": 1}
RNG = np.random.default_rng(0)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        Image.fromarray(RNG.integers(0, 256, (70, 90, 3), np.uint8)).save(folder / f"{number}.png")
    return str(folder)


@pytest.fixture
def clothes(tmp_path: Path) -> str:
    """Return a folder of Fashion-MNIST's layout, with as many images as are looked at for a collapse."""
    folder = tmp_path / "clothes"
    folder.mkdir()
    for split in ("train", "t10k"):
        for kind, array in (
            ("images-idx3", RNG.integers(0, 256, (100, 28, 28), np.uint8)),
            ("labels-idx1", RNG.integers(0, 10, 100, np.uint8)),
        ):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{split}-{kind}-ubyte").write_bytes(header + array.tobytes())
    return str(folder)


def trained(name: str, shape: tuple[int, ...], **settings: Any) -> Runner:
    """Train a recipe for an epoch, and check what it draws and compares."""
    recipe = load_recipe(ROOT / "recipes" / f"{name}.py", **(SMALL | settings))
    runner = Runner.from_recipe(recipe, "run")
    result = runner.train(quiet=True)
    assert (result.epoch, result.faults) == (1, ())
    images = runner.sample(3)
    assert images.shape == (3, *shape) and np.isfinite(images).all()
    assert list(Path("run/samples").glob("*.png")) and list(Path("run/checkpoints").glob("step-*"))
    bright = np.zeros((2, *shape), np.uint8)
    bright[1] = 255
    features = Sample(bright, recipe.features).features
    assert features.min() == 0 and features.max() == 1 and features.shape[1] <= 192
    return runner


small_runs = pytest.mark.filterwarnings("ignore::ms_gan_callbacks.errors.GanWarning")  # schedules beyond their end


@small_runs
@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"grey": True}, (1, 32, 32)),
        pytest.param({"size": 64}, (3, 64, 64), marks=pytest.mark.slow),
    ],
)
def test_a_folder_of_pictures(photos: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    runner = trained("folder_dcgan", shape, path=photos, **settings)
    assert sum(name.endswith(".u") for name in runner._players.parameters()) == (5 if shape[1] == 64 else 4)


def test_a_folder_has_to_be_named_and_a_size_is_one_of_two(photos: str) -> None:
    path = ROOT / "recipes" / "folder_dcgan.py"
    with pytest.raises(RecipeError, match=r"folder_dcgan.py needs a value: --set path="):
        load_recipe(path)
    with pytest.raises(RecipeError, match="size takes one of 32, 64, not '48'"):
        load_recipe(path, path=photos, size="48")


@small_runs
def test_clothes(clothes: str) -> None:
    trained("fashion_dcgan", (1, 28, 28), data_dir=clothes, batch_size=20)
    recipe = load_recipe(ROOT / "recipes" / "fashion_dcgan.py", data_dir=clothes)
    assert recipe.test_data is not None and recipe.test_data().count == 100


def test_clothes_that_are_not_there_are_told_with_how_to_get_them() -> None:
    recipe = load_recipe(ROOT / "recipes" / "fashion_dcgan.py", data_dir="nowhere")
    with pytest.raises(DataError, match="'nowhere' does not exist; get Fashion-MNIST with apt-get install"):
        recipe.data()
