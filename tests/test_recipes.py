"""The recipes: each trains a few steps on a few images made here, and goes on to the same bytes."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, compiled_players
from PIL import Image

from ms_gan_callbacks import (
    ArraySource,
    Checkpoint,
    DataError,
    Evaluation,
    Every,
    GanError,
    Recipe,
    RecipeError,
    Runner,
    Sample,
    Source,
    fld,
    folder_images,
    load_recipe,
    mnist,
    pairs,
)

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
    recipe = replace(recipe, evaluate_samples=20)
    runner = Runner.from_recipe(recipe, "run")
    result = runner.train(quiet=True)
    assert (result.epoch, result.faults) == (1, ())
    images = runner.sample(3)
    assert images.shape == (3, *shape) and np.isfinite(images).all()
    assert list(Path("run/samples").glob("*.png")) and list(Path("run/checkpoints").glob("step-*"))
    assert Sample(np.zeros((2, *shape), np.uint8), recipe.features).features.shape == (2, 80)
    return runner


small_runs = pytest.mark.filterwarnings("ignore::ms_gan_callbacks.errors.GanWarning")  # schedules beyond their end


@small_runs
@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"grey": True}, (1, 32, 32)),
        ({"size": 64}, (3, 64, 64)),
    ],
)
@pytest.mark.slow
def test_a_folder_of_pictures(photos: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    runner = trained("folder_dcgan", shape, path=photos, **settings)
    assert sum(name.endswith(".u") for name in runner._players.parameters()) == (5 if shape[1] == 64 else 4)


@small_runs
@pytest.mark.slow
def test_a_folder_of_few_pictures(photos: str) -> None:
    shape = (3, 64, 64)
    runner = trained("folder_r3gan", shape, path=photos, mirror=True, hidden=8)
    assert runner._recipe.data().count == 2 * folder_images(photos, size=64, batch_size=4).count
    assert "augment.p" in runner._players.parameters()


def test_a_folder_has_to_be_named_and_a_size_is_one_of_two(photos: str) -> None:
    path = ROOT / "recipes" / "folder_dcgan.py"
    with pytest.raises(RecipeError, match=r"folder_dcgan.py needs a value: --set path="):
        load_recipe(path)
    with pytest.raises(RecipeError, match="size takes one of 32, 64, not '48'"):
        load_recipe(path, path=photos, size="48")


@small_runs
@pytest.mark.slow
def test_clothes(clothes: str) -> None:
    trained("fashion_dcgan", (1, 28, 28), data_dir=clothes, batch_size=20)


def test_clothes_are_judged_by_those_held_out(clothes: str) -> None:
    recipe = load_recipe(ROOT / "recipes" / "fashion_dcgan.py", data_dir=clothes)
    assert recipe.test_data is not None and recipe.test_data().count == 100


def test_clothes_that_are_not_there_are_told_with_how_to_get_them() -> None:
    recipe = load_recipe(ROOT / "recipes" / "fashion_dcgan.py", data_dir="nowhere")
    with pytest.raises(DataError, match="'nowhere' does not exist; get Fashion-MNIST with apt-get install"):
        recipe.data()


CONVOLUTIONS = (
    *("mnist_dcgan", "mnist_r3gan", "mnist_lsgan", "mnist_wgan_gp", "mnist_hinge_sn", "mnist_cgan", "mnist_acgan"),
    *("stacked_mnist", "fashion_dcgan"),
)
FEW: dict[str, dict[str, Any]] = {
    "mnist_mlp": {},
    **{name: {"channels": 4, "hidden": 8} for name in CONVOLUTIONS},
    "mnist_infogan": {"channels": 4, "hidden": 8},
    "mnist_began": {"channels": 4, "code": 6},
    "mnist_sgan": {"channels": 4, "hidden": 8},
    "folder_dcgan": {"channels": 4, "path": "unused", "grey": True},
    "folder_r3gan": {"channels": 4, "hidden": 8, "path": "unused", "size": 32, "grey": True},
}
"""Every recipe with a generator and a discriminator, and what makes it small."""
TRANSLATIONS: dict[str, dict[str, Any]] = {
    "mnist_pix2pix": {"count": 20},
    "mnist_cyclegan": {"count": 40, "blocks": 1, "pool": 4},
    "folder_pix2pix": {"path": "photos", "evaluate_samples": 8},
    "folder_cyclegan": {"path": "photos", "other": "photos", "blocks": 1, "pool": 4},
}
"""Every recipe that translates images, and what makes it small."""


def make_source(name: str, size: int) -> Source:
    """Return a source of 20 random images with the columns of a recipe."""
    channels = 3 if name == "stacked_mnist" else 1
    images, labels = RNG.integers(0, 256, (20, channels, size, size), np.uint8), np.arange(20, dtype=np.int32) % 10
    if name == "mnist_sgan":
        return pairs(real=images, labelled=images, digits=labels, batch_size=4)
    return ArraySource(images, 4, labels=labels)


DECAYING = ("mnist_r3gan", "stacked_mnist", "mnist_wgan_gp", "mnist_cgan", "mnist_acgan")
"""Recipes whose rates decay over the number of steps, which depends on the batch size."""


def test_no_recipe_is_forgotten() -> None:
    assert {*FEW, *TRANSLATIONS} == {path.stem for path in (ROOT / "recipes").glob("*.py")}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        *[
            (name, {"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0")
            for name in DECAYING
        ],
        *[(name, {"batch_size": 60_001}, "60000 images do not fill one batch of 60001") for name in DECAYING],
        ("mnist_wgan_gp", {"critic_steps": 0}, "generator_every must be a whole number of at least 1, got 0"),
        ("mnist_wgan_gp", {"batch_size": 60_000, "critic_steps": 5}, None),
    ],
)
def test_a_schedule_does_not_hide_what_is_wrong_with_a_setting(
    name: str, settings: dict[str, int], message: str | None
) -> None:
    def build() -> None:
        recipe = load_recipe(ROOT / "recipes" / f"{name}.py", **FEW[name], **settings)
        Runner.from_recipe(recipe, "run")
        recipe.data()

    if message is None:
        build()
        return
    with pytest.raises(GanError, match=message):
        build()


QUICK = ("mnist_mlp", "mnist_cgan", "mnist_infogan")


@pytest.mark.parametrize("name", [*QUICK, pytest.param("folder_dcgan", marks=pytest.mark.slow)])
def test_the_networks_of_a_recipe_fit_each_other_and_its_objective(name: str, photos: str) -> None:
    changes = FEW[name] | ({"path": photos, "grey": False, "size": 64} if name == "folder_dcgan" else {})
    recipe = load_recipe(ROOT / "recipes" / f"{name}.py", batch_size=4, noise_dim=5, **changes)
    shape = (3, 64, 64) if name == "folder_dcgan" else (1, 28, 28)
    players = Runner.from_recipe(recipe, "run")._players
    if recipe.game is not None:
        players.prepare(make_source(name, 28))  # an error or a warning would fail this
        return
    real = RNG.uniform(-1, 1, (4, *shape)).astype(np.float32)
    players.compile_for(real, np.ones((4, 5), np.float32))  # a warning would fail this
    if name == "folder_dcgan":
        assert recipe.data().image_shape == shape
        assert sum(name.endswith(".u") for name in players.parameters()) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_a_recipe_trains_and_resumes_to_the_same_bytes(name: str) -> None:
    recipe = load_recipe(ROOT / "recipes" / f"{name}.py", batch_size=4, noise_dim=5, **FEW[name])
    source = make_source(name, 32 if name in ("folder_dcgan", "folder_r3gan") else 28)

    def run(folder: str, **options: Any) -> bytes:
        runner = Runner.from_recipe(recipe, folder, **options)
        # Seven steps: the last is in the middle of an epoch, and of a critic's three steps.
        result = runner.train(
            2, source, [Checkpoint(Every.steps(7), keep=None)], quiet=True, evaluation=Evaluation()
        )
        assert result.step == 10
        assert all(np.isfinite(value) for value in result.scalars.values())
        return Path(folder, "checkpoints/step-00000010/weights.safetensors").read_bytes()

    whole = run("whole")
    shutil.copytree("whole", "parts")
    compiled_players.free_all()
    assert run("parts", resume=7) == whole


@pytest.mark.slow
def test_stacked_digits_are_scored_in_packs() -> None:
    settings = {"objective": "nonsaturating", "gamma": 0.0, "pack": 2, "channels": 4, "hidden": 8, "batch_size": 4}
    recipe = load_recipe(ROOT / "recipes" / "stacked_mnist.py", **settings)
    runner = Runner.from_recipe(recipe, "run")
    result = runner.train(1, make_source("stacked_mnist", 28), [], quiet=True, evaluation=Evaluation())
    assert result.step == 5 and runner._players.pack == 2


@pytest.mark.slow
def test_pairing_halves_the_distance_that_perceptrons_reach_in_a_tenth_of_the_epochs() -> None:
    # docs/quality.md has the perceptrons' 7.7 after ten epochs.
    recipe = load_recipe(ROOT / "recipes" / "mnist_r3gan.py", epochs=1)
    runner = Runner.from_recipe(recipe, "run")
    assert runner.train(quiet=True).step == 937
    held_out = Sample.from_source(mnist(split="test", batch_size=100), 10_000)
    assert fld(held_out, Sample(runner.sample(10_000))) < 7.7 / 2


def load_small(name: str, **changes: Any) -> Recipe:
    """Load a recipe of ``TRANSLATIONS`` for the pictures of ``photos``."""
    settings = {"channels": 4, "batch_size": 4} | TRANSLATIONS[name] | changes
    return load_recipe(ROOT / "recipes" / f"{name}.py", **settings)


@pytest.mark.usefixtures("photos")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("mnist_pix2pix", {}),
        ("mnist_cyclegan", {}),
        ("folder_pix2pix", {"task": "colorize"}),
        ("folder_pix2pix", {"targets": "photos", "size": 64}),
        ("folder_cyclegan", {"size": 64}),
    ],
)
def test_a_translation_trains_and_resumes_to_the_same_bytes(name: str, changes: dict[str, Any]) -> None:
    recipe = load_small(name, **changes)

    def run(folder: str, **options: Any) -> bytes:
        runner = Runner.from_recipe(recipe, folder, **options)
        callbacks = [Checkpoint(Every.steps(2), keep=None)]
        result = runner.train(2, callbacks=callbacks, quiet=True, evaluation=Evaluation())
        assert all(np.isfinite(value) for value in result.scalars.values())
        last = f"checkpoints/step-{result.step:08d}/weights.safetensors"
        return Path(folder, last).read_bytes()

    whole = run("whole")
    shutil.copytree("whole", "parts")
    compiled_players.free_all()
    assert run("parts", resume=2) == whole


def test_thumbnails_are_means_of_the_digits() -> None:
    columns = load_small("mnist_pix2pix").data().arrays
    source, target = columns["source"], columns["target"]
    assert source.shape == target.shape == (20, 1, 28, 28)
    tile = target[3, 0, 8:12, 16:20]
    assert tile.max() > 0 and (source[3, 0, 8:12, 16:20] == round(tile.mean())).all()


def test_coloured_digits_are_not_the_white_ones() -> None:
    columns = load_small("mnist_cyclegan").data().arrays
    a, b = columns["a"], columns["b"]
    assert a.shape == b.shape == (20, 3, 28, 28)
    assert (a[:, :, 0, 0] == 0).all() and (b[:, :, 0, 0] == 255).all()
    assert (a[:, 0] == a[:, 1]).all() and not (b[:, 0] == b[:, 1]).all((1, 2)).any()
    assert not {one.tobytes() for one in a[:, 0]} & {(255 - one.min(0)).tobytes() for one in b}
    assert (load_small("mnist_cyclegan").data().arrays["b"] == b).all()


@pytest.mark.usefixtures("photos")
def test_images_that_are_held_out_are_not_trained_on() -> None:
    rng = np.random.default_rng(0)
    for number in range(8, 40):
        Image.fromarray(rng.integers(0, 256, (32, 64, 3), np.uint8)).save(Path("photos", f"{number}.png"))
    shutil.copy("photos/0.png", "photos/copy.png")
    for changes in ({"task": "colorize"}, {"reverse": True}):
        recipe = load_small("folder_pix2pix", **changes)
        assert recipe.test_data is not None
        trained_on, held_out = recipe.data().arrays, recipe.test_data().arrays
        seen = {one.tobytes() for one in trained_on["target"]}
        assert len(trained_on["target"]) + 2 * len(held_out["target"]) == 2 * 41
        assert len(held_out["target"]) > 0 and not seen & {one.tobytes() for one in held_out["target"]}
        assert all(np.ascontiguousarray(one[..., ::-1]).tobytes() in seen for one in trained_on["target"])


@pytest.mark.usefixtures("photos")
def test_the_source_of_a_colour_image_is_grey() -> None:
    recipe = load_small("folder_pix2pix", task="colorize")
    columns = recipe.data().arrays
    source, target = columns["source"], columns["target"]
    assert (source[:, 0] == source[:, 1]).all() and (source[:, 0] == source[:, 2]).all()
    grey = np.asarray(Image.fromarray(target[0].transpose(1, 2, 0)).convert("L"), np.int16)
    assert np.abs(grey - source[0, 0]).max() <= 1


def test_the_grid_of_infogan_shows_one_value_per_row_and_varies_one_code() -> None:
    recipe = load_recipe(ROOT / "recipes" / "mnist_infogan.py")
    game = recipe.game()
    drawn = {name: one.draw(np.random.default_rng(0), 20) for name, one in game.chance.items()}
    inputs = game.arrange(drawn, 5)
    assert inputs["digit"].reshape(4, 5).tolist() == [[row] * 5 for row in range(4)]
    np.testing.assert_array_equal(inputs["code"], [[step, 0] for _ in range(4) for step in (-2, -1, 0, 1, 2)])
    np.testing.assert_array_equal(inputs["noise"][5:10], np.repeat(drawn["noise"][5:6], 5, 0))
    assert {name: value.dtype for name, value in inputs.items()} == {
        name: value.dtype for name, value in drawn.items()
    }


def test_a_semi_supervised_run_has_few_labels_of_each_class() -> None:
    recipe = load_recipe(ROOT / "recipes" / "mnist_sgan.py", labels_per_class=3)
    arrays = recipe.data().arrays
    labelled, digits = (arrays[name][: 3 * 10] for name in ("labelled", "digits"))
    assert np.bincount(digits).tolist() == [3] * 10
    assert len(np.unique(arrays["labelled"].reshape(60_000, -1)[:600], axis=0)) == 30
    whole = mnist()
    for image, digit in zip(labelled, digits, strict=True):
        assert digit in whole.labels[(whole.images == image).all((1, 2, 3))]
