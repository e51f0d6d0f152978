"""``ms-gan evaluate`` and ``sample`` of a run that is not of 28 x 28 digits, or whose data has moved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cli.test_resume_command import ms_gan
from ms_gan_callbacks import Sample, UsageError, thumbnails
from ms_gan_callbacks.config.components import Typed
from ms_gan_callbacks.metrics.features import name_features
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.results.report import Scorer

COLOURS = """
from functools import partial
from pathlib import Path
import numpy as np
from mindspore import nn
from ms_gan_callbacks import *

class Generator(nn.Cell):
    def __init__(self, width, size):
        super().__init__()
        self.shape = (-1, 3, size, size)
        self.layers = nn.SequentialCell(nn.Dense(4, width), nn.Dense(width, 3 * size * size), nn.Tanh())

    def construct(self, noise):
        return self.layers(noise).reshape(self.shape)

def images(folder, size):
    if not Path(folder).is_dir():
        raise DataError(f"there is no folder {folder}")
    return ArraySource(np.random.default_rng(0).integers(0, 256, (320, 3, size, size), dtype=np.uint8), 16)

def recipe(folder: str, size: int = 10, width: int = 8, data_size: int = 10, slope: float = 0.0):
    return Recipe(
        generator=partial(Generator, width, size),
        discriminator=lambda: nn.SequentialCell(nn.Flatten(), nn.Dense(3 * size * size, 1)),
        objective=NonSaturating(), optimizer=partial(nn.Adam, learning_rate=1e-3), noise_dim=4, epochs=1,
        data=partial(images, folder, data_size), callbacks=[Checkpoint()],
    )
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of one epoch whose data has moved from ``old`` to ``new``; nothing here writes to it."""
    folder = tmp_path_factory.mktemp("colours")
    (folder / "colours.py").write_text(COLOURS)
    (folder / "old").mkdir()
    old = f"folder={folder / 'old'}"
    result = ms_gan("run", str(folder / "colours.py"), "--set", old, "--out", str(folder / "run"), "--quiet")
    assert result.exit_code == 0, result.stderr
    (folder / "old").rename(folder / "new")
    return folder / "run"


@pytest.fixture
def moved(run_dir: Path) -> list[str]:
    """Return the arguments that name where the data is now."""
    return ["--set", f"folder={run_dir.parent / 'new'}"]


def fails(code: int, *arguments: str) -> str:
    """Return the one line that a command ends with."""
    result = ms_gan(*arguments)
    [line] = result.stderr.splitlines()
    assert (result.exit_code, line[:7], result.stdout) == (code, "Error: ", "")
    return line


def test_the_cure_is_named_and_works(run_dir: Path, moved: list[str]) -> None:
    line = fails(2, "evaluate", str(run_dir), "-n", "100", *moved)
    assert "not (3, 10, 10)" in line
    assert "Recipe(features=PictureNet())" in line
    assert "ms-gan evaluate --features picture_net" in line
    result = ms_gan("evaluate", str(run_dir), "-n", "100", *moved, "--features", "picture_net", "-o", "own.json")
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    assert json.loads(Path("own.json").read_text())["features"].startswith("picture-net-")
    result = ms_gan("evaluate", str(run_dir), "-n", "100", *moved, "--features", "thumbnails", "-o", "all.json")
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    found = json.loads(Path("all.json").read_text())
    assert (found["features"], found["samples"]) == ("thumbnails", 100)
    trained = Trained(run_dir, overrides={"folder": moved[1].partition("=")[2]})
    real = Scorer(replace(trained.recipe, features=thumbnails), 100).real
    fake = Sample(trained.generate(trained.noise(100, "evaluation")), thumbnails)
    left, right = thumbnails(real.images), thumbnails(fake.images)
    spreads = [np.mean([np.linalg.norm(a - b) for i, a in enumerate(x) for b in x[:i]]) for x in (right, left)]
    assert found["values"]["generator"]["diversity"] == pytest.approx(spreads[0] / spreads[1], rel=1e-5)


def test_features_have_settings_which_their_name_tells(run_dir: Path, moved: list[str]) -> None:
    typed = "thumbnails:size=2"
    result = ms_gan("evaluate", str(run_dir), "-n", "100", *moved, "--features", typed, "-o", "all.json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("all.json").read_text())["features"] == "thumbnails(size=2)"
    assert name_features(Typed.parse("features", "lenet").make()).startswith("lenet-")


MINE = """
import numpy as np

def raises(images):
    return images[:, 99]

def flat(images):
    return images.reshape(len(images), -1)

def without():
    pass

class Rows:
    def __init__(self, count: int = 3):
        self.count = count
    def __call__(self, images):
        return images[:, 0, : self.count, 0] / 255

class Silent:
    pass
"""


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("thumbnail", "unknown feature extractor 'thumbnail'; did you mean 'thumbnails'?"),
        ("thumbnails:sizes=3", "thumbnails has no setting 'sizes'; did you mean 'size'?"),
        ("thumbnails:size=x", "--features thumbnails: size takes a whole number, not 'x'"),
        ("thumbnails:size=0", "takes a whole number of at least 1, got 0"),
        ("", "is not NAME"),
        ("nowhere_to_be_found:x", "No module named 'nowhere_to_be_found'"),
        (
            "mine_features:raises",
            "the features 'raises' cannot be computed from an array of shape (8, 3, 10, 10): IndexError",
        ),
        ("mine_features:flat", "'flat' must return features (N, D) as floats"),
        ("mine_features:without", "a feature extractor is a function of images (N, C, H, W)"),
        ("mine_features:Silent", "a feature extractor is a function of images (N, C, H, W)"),
        ("mine_features:Rows:counts=3", "mine_features:Rows has no setting 'counts'"),
    ],
)
def test_features_that_cannot_be_made_are_one_line(
    typed: str, message: str, run_dir: Path, moved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine_features.py").write_text(MINE)
    monkeypatch.syspath_prepend(".")
    assert message in fails(2, "evaluate", str(run_dir), "-n", "100", *moved, "--features", typed)


def test_a_class_makes_features_of_its_settings(
    run_dir: Path, moved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine_features.py").write_text(MINE)
    monkeypatch.syspath_prepend(".")
    extractor = Typed.parse("features", "mine_features:Rows:count=5").make()
    trained = Trained(run_dir, overrides={"folder": moved[1].partition("=")[2]})
    assert Scorer(replace(trained.recipe, features=extractor), 100).real.features.shape == (100, 5)


def test_data_that_is_not_there_is_one_line(run_dir: Path) -> None:
    assert "there is no folder" in fails(1, "evaluate", str(run_dir), "--features", "thumbnails")
    assert ms_gan("sample", str(run_dir), "-n", "4").exit_code == 0  # which needs no data


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("width=9", r"--set width changes the networks"),
        ("size=12", "--set size changes the networks"),
        ("widht=9", "recipe.py has no parameter 'widht'; did you mean 'width'?"),
        ("width=x", "width takes a whole number, not 'x'"),
        ("width", "'width' is not NAME=VALUE"),
    ],
)
def test_what_makes_another_network_is_one_line(command: str, change: str, message: str, run_dir: Path) -> None:
    assert message in fails(2, command, str(run_dir), "--set", change)


def test_a_checkpoint_that_does_not_fit_says_which_parameter(run_dir: Path) -> None:
    line = fails(2, "sample", str(run_dir), "--set", "width=9", "--set", "slope=0.5")
    assert "the shape of generator.layers.0.weight is (9, 4), and (8, 4) in the run" in line


@pytest.mark.filterwarnings("default::ms_gan_callbacks.GanWarning")
def test_images_of_another_size_than_the_real_ones_are_refused(run_dir: Path, moved: list[str]) -> None:
    arguments = [
        "evaluate",
        str(run_dir),
        "-n",
        "100",
        *moved,
        "--set",
        "data_size=12",
        "--features",
        "thumbnails",
    ]
    result = ms_gan(*arguments)
    assert result.exit_code == 2
    [warning, line] = result.stderr.splitlines()
    assert warning.startswith("Warning: the run was trained on ")
    assert "generated images have shape (3, 10, 10)" in line
    assert "(3, 12, 12)" in line


def test_thumbnails_are_means_of_what_they_cover() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 24), dtype=np.uint8)
    tiles = images.reshape(5, 3, 8, 2, 8, 3).mean((3, 5)) / 255
    np.testing.assert_allclose(thumbnails(images), tiles.reshape(5, -1), rtol=1e-5)
    # Of 28 pixels each of 8 covers three and a half.
    row = np.zeros((1, 1, 1, 28), np.uint8)
    row[..., 3] = 255
    np.testing.assert_allclose(thumbnails(row)[0, :3], [0.5 / 3.5, 0.5 / 3.5, 0], atol=1e-6)
    assert thumbnails(np.full((600, 1, 3, 5), 255, np.uint8), size=4) == pytest.approx(1)
    with pytest.raises(UsageError, match=r"at least 1, got 2\.0"):
        thumbnails(images, size=2.0)  # type: ignore[arg-type]
