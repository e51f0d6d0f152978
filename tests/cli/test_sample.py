"""``ms-gan sample``: pictures and arrays out of a run's folder, and the ways of getting it wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.test_resume_command import TINY, ms_gan, trained
from ms_gan_callbacks import Runner
from ms_gan_callbacks.data.images import to_uint8
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.storage.checkpoints import CheckpointStore

WITH_BEST = TINY.replace(
    "callbacks=[Checkpoint()]", "callbacks=[Checkpoint(), BestCheckpoint('d_real', target=9.0)]"
)


show_warnings = pytest.mark.filterwarnings("default::ms_gan_callbacks.errors.GanWarning")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = WITH_BEST.replace("import ArraySource,", "import ArraySource, BestCheckpoint,")
    return trained(recipe, tmp_path_factory.mktemp("once"))


@pytest.fixture
def run_dir(once: Path) -> Path:
    """Return a copy of a run of two epochs, five steps each, the checkpoint of each kept."""
    shutil.copytree(once, ".", dirs_exist_ok=True)
    return Path("runs/one")


def array(path: str) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays["images"]


@pytest.mark.slow
def test_arrays_are_what_the_runs_generator_makes(run_dir: Path) -> None:
    result = ms_gan("sample", str(run_dir), "-n", "5", "-o", "out.npz")
    assert (result.exit_code, result.stdout) == (0, "5 images of step 10: out.npz\n"), result.stderr
    runner = Runner.resume(run_dir, overrides={"epochs": 3})
    runner.train(quiet=True)  # on from step 10: what the generator was then is in its checkpoint only
    early = ms_gan("sample", str(run_dir), "-n", "5", "-o", "early.npz", "--checkpoint", "10")
    assert early.exit_code == 0, early.stderr
    images = array("out.npz")
    assert images.shape == (5, 1, 4, 4)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(array("early.npz"), images)
    late = ms_gan("sample", str(run_dir), "-n", "5", "-o", "late.npz")
    assert late.stdout == "5 images of step 15: late.npz\n"
    expected = np.rint((runner.sample(5) + 1) * 127.5)
    assert np.abs(array("late.npz") - expected).max() <= 1


def test_a_picture_is_a_grid_of_them(run_dir: Path) -> None:
    result = ms_gan("sample", str(run_dir), "-n", "6", "--columns", "3", "-o", "grid.png")
    assert result.exit_code == 0, result.stderr
    with Image.open("grid.png") as picture:
        assert picture.size == (3 * 84 + 4 * 2, 2 * 84 + 3 * 2)  # 4 x 4 pixels, 21 times
    assert ms_gan("sample", str(run_dir)).stdout == "64 images of step 10: samples.png\n"


def test_pixels_are_repeated_as_often_as_is_asked_for(run_dir: Path) -> None:
    for scale in ("1", "5"):
        result = ms_gan("sample", str(run_dir), "-n", "4", "--scale", scale, "-o", f"{scale}.png")
        assert result.exit_code == 0, result.stderr
    with Image.open("1.png") as one, Image.open("5.png") as five:
        assert (one.size, five.size) == ((2 * 4 + 6,) * 2, (2 * 20 + 6,) * 2)
        np.testing.assert_array_equal(np.asarray(five)[2:22:5, 2:22:5], np.asarray(one)[2:6, 2:6])


def test_an_array_takes_as_many_as_are_asked_for_and_parts_do_not_show(run_dir: Path) -> None:
    result = ms_gan("sample", str(run_dir), "-n", "26000", "-o", "many.npz")
    assert (result.exit_code, result.stdout) == (0, "26,000 images of step 10: many.npz\n"), result.stderr
    trained = Trained(run_dir)
    np.testing.assert_array_equal(array("many.npz"), to_uint8(trained.generate(trained.noise(26_000))))


@show_warnings
def test_an_array_holds_images_as_they_are(run_dir: Path) -> None:
    result = ms_gan("sample", str(run_dir), "-n", "3", "-o", "a.npz", "--scale", "4", "--columns", "2")
    told = "Warning: --columns and --scale: used for grids only, ignored for a.npz\n"
    assert (result.exit_code, result.stderr) == (0, told)
    assert array("a.npz").shape == (3, 1, 4, 4)


def test_a_picture_is_no_wider_than_its_images(run_dir: Path) -> None:
    result = ms_gan("sample", str(run_dir), "-n", "2", "--columns", "100000000", "-o", "a.png", "--scale", "1")
    assert result.exit_code == 0
    with Image.open("a.png") as picture:
        assert picture.size == (2 * 4 + 6, 4 + 4)


@show_warnings
def test_images_that_are_no_numbers_are_warned_about(run_dir: Path) -> None:
    store = CheckpointStore(run_dir / "checkpoints")
    players = Trained(run_dir)._players
    weights = players.weights()
    name = next(name for name in weights if name.startswith("generator."))
    state = store.load(10, weights).state
    store.save(10, {**weights, name: np.full_like(weights[name], np.nan)}, state)
    result = ms_gan("sample", str(run_dir), "-n", "3000", "-o", "nan.npz")
    [line] = result.stderr.splitlines()
    assert re.match("Warning: the generator returns NaN or infinite values, .* shown in black", line)


@pytest.mark.slow
def test_images_that_are_no_picture_go_into_an_array(tmp_path: Path) -> None:
    two = TINY.replace("reshape(-1, 1, 4, 4)", "reshape(-1, 2, 2, 4)").replace("(1, 4, 4)", "(2, 2, 4)")
    trained(two, tmp_path)
    result = ms_gan("sample", "runs/one", "-n", "5")
    assert result.exit_code == 2
    assert "generated images have shape (2, 2, 4); write an array: -o samples.npz" in result.stderr
    assert not Path("samples.png").exists()
    assert ms_gan("sample", "runs/one", "-n", "5", "-o", "a.npz").exit_code == 0
    assert array("a.npz").shape == (5, 2, 2, 4)


def test_another_seed_gives_other_images_and_a_walk_joins_two(run_dir: Path) -> None:
    for name, more in (("a", ()), ("b", ("--seed", "5")), ("walk", ("--interpolate",))):
        assert ms_gan("sample", str(run_dir), "-n", "3", "-o", f"{name}.npz", *more).exit_code == 0
    one, other, walk = array("a.npz"), array("b.npz"), array("walk.npz")
    assert (one != other).any()
    np.testing.assert_array_equal(walk[0], one[0])
    np.testing.assert_array_equal(walk[-1], one[1])


def test_best_is_what_best_checkpoint_keeps(run_dir: Path) -> None:
    result = ms_gan("sample", str(run_dir), "--checkpoint", "best")
    [step] = {path.name.removeprefix("step-").lstrip("0") for path in (run_dir / "checkpoints").iterdir()} & set(
        result.stdout.replace(":", "").split()
    )
    assert step in ("5", "10")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "grid.jpg"], "grid.jpg must end in .png or .npz"),
        (["-o", "no/such/grid.png"], "there is no folder no/such"),
        (["--checkpoint", "bets"], "checkpoint must be 'last', 'best' or a step, not 'bets'"),
        (["--checkpoint", "7"], "there is no checkpoint .*step-00000007; available: 5, 10"),
        (["-o", ".png"], r"\.png is a suffix without a name"),
        (["-n", "0"], "0 is not in the range"),
        (["-n", "10001"], "at most 10,000 images, not 10,001; .*: -o samples.npz"),
        (["-n", "10001", "-o", "faces.png"], "write an array: -o faces.npz"),
        (
            ["-n", "900", "--scale", "90"],
            "900 images of 4 x 4 pixels, enlarged 90 times, .* or --scale, or write an",
        ),
        (["--scale", "0"], "0 is not in the range"),
        (["--class", "1"], "this run is not conditional"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(run_dir: Path, arguments: list[str], message: str) -> None:
    before = sorted(Path().iterdir())
    result = ms_gan("sample", str(run_dir), *arguments)
    assert result.exit_code in (1, 2)
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert re.search(message, line)
    assert sorted(Path().iterdir()) == before


def test_a_folder_without_a_run() -> None:
    result = ms_gan("sample", "nowhere")
    assert (result.exit_code, result.stderr) == (2, "Error: run directory not found: nowhere\n")


def test_no_best_checkpoint() -> None:
    trained(TINY, Path())
    result = ms_gan("sample", "runs/one", "--checkpoint", "best")
    assert result.exit_code == 1
    assert "does not contain a best checkpoint" in result.stderr


CONDITIONAL = (
    TINY.replace(
        "self.layers = nn.SequentialCell(nn.Dense(3, 16), nn.Tanh())",
        "self.dense, self.classes, self.tanh = nn.Dense(3, 16), nn.Embedding(3, 16), nn.Tanh()",
    )
    .replace("construct(self, noise):", "construct(self, noise, labels):")
    .replace("self.layers(noise)", "self.tanh(self.dense(noise) + 3 * self.classes(labels))")
    .replace(
        "discriminator=lambda: nn.SequentialCell(nn.Flatten(), nn.Dense(16, 1))",
        "discriminator=Discriminator, classes=3",
    )
    .replace("batch_size=4)", "batch_size=4, labels=np.arange(20) % 3)")
    .replace(
        "def recipe(",
        """class Discriminator(nn.Cell):
    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(16, 1)

    def construct(self, images, labels):
        return self.dense(images.reshape(-1, 16))

def recipe(""",
    )
)


@pytest.mark.slow
def test_a_conditional_run_draws_the_class_that_is_asked_for(tmp_path: Path) -> None:
    trained(CONDITIONAL, tmp_path)
    for arguments in (["-n", "6"], ["-n", "6", "--class", "1"], ["-n", "3", "--class", "1", "--interpolate"]):
        result = ms_gan("sample", "runs/one", *arguments, "-o", f"{len(arguments)}.npz")
        assert result.exit_code == 0, result.stderr
    turns, ones, walk = array("2.npz"), array("4.npz"), array("5.npz")
    assert np.array_equal(turns[[1, 4]], ones[[1, 4]])
    assert not np.array_equal(turns[0], ones[0])
    assert np.array_equal(walk[0], ones[0])
    wrong = ms_gan("sample", "runs/one", "-n", "6", "--class", "3")
    assert (wrong.exit_code, wrong.stderr) == (2, "Error: labels must be from 0 to 2, not from 3 to 3\n")
    assert ms_gan("sample", "runs/one", "-n", "6", "-o", "grid.png").exit_code == 0
    with Image.open("grid.png") as picture:
        assert picture.size == (3 * 84 + 4 * 2, 2 * 84 + 3 * 2)  # a column a class
