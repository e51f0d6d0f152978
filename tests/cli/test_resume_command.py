"""``ms-gan resume``: which run, from where, with what; and the ways of getting it wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ms_gan_callbacks.cli import main

TINY = """
import numpy as np
from mindspore import nn
from ms_gan_callbacks import ArraySource, Checkpoint, Every, NonSaturating, Recipe

class Generator(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(3, 16), nn.Tanh())

    def construct(self, noise):
        return self.layers(noise).reshape(-1, 1, 4, 4)

def recipe(epochs: int = 2, learning_rate: float = 1e-2, shape: tuple = (1, 4, 4), fill: int = 0) -> Recipe:
    images = np.full((20, *shape), fill, np.uint8)
    images[0] = 255
    return Recipe(generator=Generator, discriminator=lambda: nn.SequentialCell(nn.Flatten(), nn.Dense(16, 1)),
                  objective=NonSaturating(), optimizer=lambda p: nn.Adam(p, learning_rate), noise_dim=3,
                  epochs=epochs, data=lambda: ArraySource(images, batch_size=4), callbacks=[Checkpoint()])
"""


def ms_gan(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def trained(recipe: str, folder: Path) -> Path:
    """Train a recipe by the command line: leave ``tiny.py`` and ``runs/one`` in a folder, and return that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("tiny.py").write_text(recipe)
        result = ms_gan("run", "tiny.py", "--out", "runs/one", "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(TINY, tmp_path_factory.mktemp("once"))


@pytest.fixture
def finished(once: Path) -> Path:
    """Return a copy of a run of two epochs, five steps each, that has come to its end."""
    shutil.copytree(once, ".", dirs_exist_ok=True)
    return Path("runs/one")


def test_more_epochs_let_the_newest_run_go_on(finished: Path) -> None:
    shutil.copytree(finished, "runs/older")
    os.utime("runs/older/run.json", (1, 1))
    result = ms_gan("resume", "--set", "epochs=3", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "15 steps, 3 epochs" in result.stdout
    facts = json.loads((finished / "run.json").read_text())
    assert facts["arguments"] == {"epochs": 3, "learning_rate": 0.01, "shape": [1, 4, 4], "fill": 0}
    [entry] = facts["history"]
    assert (entry["from_step"], entry["changes"]) == (10, {"epochs": [2, 3]})
    assert "history" not in json.loads(Path("runs/older/run.json").read_text())
    # The recipe that lies in the folder is what counts, not the one it once came from.
    Path("tiny.py").unlink()
    again = ms_gan("resume", "runs/one", "--set", "epochs=4")
    assert again.exit_code == 0
    assert "4 epochs of 5 steps; resuming after step 15; writing to runs/one" in again.stderr
    assert len(json.loads((finished / "run.json").read_text())["history"]) == 2


MISTAKES = {
    "finished": (["runs/one"], 2, r"this run is complete \(2 epochs\); pass --set epochs=12 to train longer"),
    "no such run": (["runs/two"], 2, "run directory not found: runs/two"),
    "no run": (["runs"], 2, "runs is not a run directory: it has no run.json"),
    "a file": (["tiny.py"], 2, "run directory not found: tiny.py"),
    "no such step": (
        ["runs/one", "--from", "7", "--set", "epochs=3"],
        1,
        "there is no checkpoint .*step-00000007",
    ),
    "no step": (["runs/one", "--from", "x"], 2, "'x' is not a valid integer"),
    "unknown name": (["runs/one", "--set", "epoch=3"], 2, "no parameter 'epoch'; did you mean 'epochs'"),
    "another rate": (
        ["runs/one", "--set", "epochs=3", "--set", "learning_rate=1e-3"],
        2,
        r"this run has learning_rate = 0.01, not 0.001; .*--allow-change learning_rate",
    ),
    "other data": (
        ["runs/one", "--set", "epochs=3", "--set", "fill=7", "--allow-change", "fill"],
        2,
        "this run has data = .*--allow-change data",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_cannot_be_resumed_is_one_line_and_changes_nothing(kind: str, finished: Path) -> None:
    arguments, code, message = MISTAKES[kind]
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    result = ms_gan("resume", *arguments, "--quiet")
    assert result.exit_code == code, result.stderr
    [line] = [line for line in result.stderr.splitlines() if not line.startswith("Warning: ")]
    assert line.startswith("Error: ")
    assert re.search(message, line), line
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_what_is_allowed_is_done_and_written_down(finished: Path) -> None:
    result = ms_gan(
        "resume",
        "runs/one",
        "--set",
        "epochs=3",
        "--set",
        "learning_rate=1e-3",
        "--allow-change",
        "learning_rate",
        "-q",
    )
    assert result.exit_code == 0, result.stderr
    [entry] = json.loads((finished / "run.json").read_text())["history"]
    assert entry["changes"] == {"epochs": [2, 3], "learning_rate": [0.01, 0.001]}


def test_an_edited_recipe_is_another_recipe(finished: Path) -> None:
    copy = finished / "recipe.py"
    copy.write_text(copy.read_text() + "\n# edited\n")
    refused = ms_gan("resume", "runs/one", "--set", "epochs=3", "-q")
    assert refused.exit_code == 2
    assert "--allow-change recipe" in refused.stderr
    assert ms_gan("resume", "runs/one", "--set", "epochs=3", "--allow-change", "recipe", "-q").exit_code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "run.json is damaged"),
        (b"[1]", "run.json is damaged"),
        (b"{", "run.json is damaged"),
        (b'{"versions": 3}', "run.json is damaged: versions is 3, not an object"),
        (b'{"arguments": []}', "run.json is damaged: arguments is [], not an object"),
        (b'{"format": 3}', "run.json was written by a newer version of ms-gan-callbacks"),
    ],
)
def test_a_damaged_description_is_one_line(content: bytes, message: str, finished: Path) -> None:
    (finished / "run.json").write_bytes(content)
    for command in (
        ["resume", "runs/one"],
        ["sample", "runs/one"],
        ["evaluate", "runs/one"],
        ["plot", "runs/one"],
    ):
        result = ms_gan(*command)
        assert result.exit_code == 2, command
        assert message in result.stderr and result.stderr.count("\n") == 1


def test_without_any_run_it_says_so() -> None:
    result = ms_gan("resume")
    assert result.exit_code == 2
    assert result.stderr == "Error: no runs found in runs; pass a run directory\n"


def test_a_run_whose_recipe_is_gone_is_refused(finished: Path) -> None:
    (finished / "recipe.py").unlink()
    result = ms_gan("resume", "--set", "epochs=3")
    assert result.exit_code == 2
    assert (
        result.stderr == "Error: runs/one/recipe.py is missing: restore the recipe that the run was started with\n"
    )
