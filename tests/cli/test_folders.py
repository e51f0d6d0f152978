"""Every command that takes a run directory reports one that it cannot use in one line, and leaves it as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from results.test_export import TINY
from results.untrained import make_run

from ms_gan_callbacks.cli import main

COMMANDS = {
    "animate": ["-o", "out.gif"],
    "compare": ["whole", "-o", "out.html"],
    "evaluate": ["-o", "out.json"],
    "export": ["-o", "out.mindir"],
    "plot": ["-o", "out.png"],
    "report": ["-o", "out.html"],
    "resume": [],
    "sample": ["-o", "out.png"],
}


def ms_gan(command: str, run: str) -> Result:
    return CliRunner().invoke(main, [command, run, *COMMANDS[command]], prog_name="ms-gan")


def remove(run: Path) -> None:
    shutil.rmtree(run)


def empty(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def fill(run: Path) -> None:
    empty(run)
    (run / "photo.png").touch()


def replace_by_file(run: Path) -> None:
    shutil.rmtree(run)
    run.touch()


def truncate_manifest(run: Path) -> None:
    (run / "run.json").write_text((run / "run.json").read_text()[:100])


def write_list(run: Path) -> None:
    (run / "run.json").write_text("[]")


def write_newer_format(run: Path) -> None:
    (run / "run.json").write_text('{"format": 99}')


def remove_recipe(run: Path) -> None:
    (run / "recipe.py").unlink()


def break_recipe(run: Path) -> None:
    (run / "recipe.py").write_text("def recipe(:\n")


def truncate_checkpoint(run: Path) -> None:
    weights = run / "checkpoints/step-00000003/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def remove_checkpoints(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


FOLDERS = (remove, empty, fill, replace_by_file, truncate_manifest, write_list, write_newer_format)
NETWORKS = (remove_recipe, break_recipe, truncate_checkpoint)
"""Faults that matter to commands that load networks."""
QUICK = (empty, truncate_manifest)
CASES = [
    pytest.param(fault, command, marks=() if fault in QUICK else pytest.mark.slow)
    for fault in FOLDERS
    for command in COMMANDS
]
CASES += [
    pytest.param(fault, command, marks=pytest.mark.slow)
    for fault in NETWORKS
    for command in ("evaluate", "export", "resume", "sample")
]
CASES += [
    pytest.param(remove_checkpoints, command, marks=pytest.mark.slow)
    for command in ("evaluate", "export", "sample")
]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    (folder / "tiny.py").write_text(TINY)
    return make_run(folder / "run", folder / "tiny.py")


def list_files() -> list[str]:
    """Return all files and folders, without the lock of a resume and the cache of Matplotlib."""
    paths = (path for path in Path().rglob("*") if path.parts[0] != "cache" and path.name != ".lock")
    return sorted(map(str, paths))


@pytest.mark.parametrize(("fault", "command"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_a_folder_that_cannot_be_used_is_reported_in_one_line(
    once: Path, fault: Callable[[Path], None], command: str
) -> None:
    run = Path(shutil.copytree(once, "run"))
    shutil.copytree(once, "whole")
    fault(run)
    before = list_files()
    result = ms_gan(command, "run")
    lines = result.stderr.splitlines()
    assert result.exit_code in (1, 2) and lines[-1].startswith("Error: "), result.output
    assert len([line for line in lines if not line.startswith("Warning: ")]) == 1
    assert list_files() == before
