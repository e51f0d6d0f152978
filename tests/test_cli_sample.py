"""``ms-gan sample``: pictures and arrays out of a run's folder, and the ways of getting it wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli_resume import TINY, ms_gan, trained

from ms_gan_callbacks import Runner

WITH_BEST = TINY.replace(
    "callbacks=[Checkpoint()]", "callbacks=[Checkpoint(), BestCheckpoint('d_real', target=9.0)]"
)


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
        assert picture.size == (3 * 4 + 4 * 2, 2 * 4 + 3 * 2)
    assert ms_gan("sample", str(run_dir)).stdout == "64 images of step 10: samples.png\n"


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
        (["--checkpoint", "bets"], "a checkpoint is 'last', 'best' or a step, not 'bets'"),
        (["--checkpoint", "7"], "7"),
        (["-n", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(run_dir: Path, arguments: list[str], message: str) -> None:
    before = sorted(Path().iterdir())
    result = ms_gan("sample", str(run_dir), *arguments)
    assert result.exit_code in (1, 2)
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert sorted(Path().iterdir()) == before


def test_a_folder_without_a_run() -> None:
    result = ms_gan("sample", "nowhere")
    assert (result.exit_code, result.stderr) == (2, "Error: there is no run nowhere\n")


def test_no_best_checkpoint() -> None:
    trained(TINY, Path())
    result = ms_gan("sample", "runs/one", "--checkpoint", "best")
    assert result.exit_code == 1
    assert "no best checkpoint" in result.stderr
