"""``ms-gan export``: files, messages, and refusals before and after the work."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from results.test_export import TINY
from results.untrained import make_run

from ms_gan_callbacks.cli import main

pytestmark = pytest.mark.fresh_players


def ms_gan(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="ms-gan")


@pytest.fixture
def run_dir() -> Path:
    Path("tiny.py").write_text(TINY)
    return make_run(Path("run"), Path("tiny.py"))


@pytest.mark.usefixtures("run_dir")
def test_a_file_is_written_while_the_run_is_training() -> None:
    Path("run/.lock").touch()
    before = sorted(map(str, Path("run").rglob("*")))
    with FileLock("run/.lock"):
        result = ms_gan("export", "run", "-o", "digits.mindir")
    assert result.exit_code == 0, result.stderr
    first, *lines = result.stdout.splitlines()
    assert first.startswith("generator of step 3: digits.mindir, 0.0 MB")
    assert [line.split() for line in lines[:2]] == [
        ["input", "noise", "float32", "(N,", "3),", "standard", "normal"],
        ["output", "images", "float32", "(N,", "1,", "4,", "4),", "images", "in", "[-1,", "1]"],
    ]
    assert lines[2].endswith("at batches of 1, 7 and 64")
    assert sorted(map(str, Path("run").rglob("*"))) == before
    assert sorted(path.name for path in Path().iterdir()) == ["digits.mindir", "run", "tiny.py"]
    result = ms_gan("export", "run", "-o", "digits.mindir")
    assert result.exit_code == 2 and "digits.mindir exists already" in result.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("run_dir")
def test_a_module_of_the_user_is_not_replaced() -> None:
    pytest.importorskip("onnx"), pytest.importorskip("torch")
    Path("digits.py").write_text("MINE = 1\n")
    for more in ([], ["--overwrite"]):
        result = ms_gan("export", "run", "-o", "digits.safetensors", *more)
        assert result.exit_code == 2 and "digits.py exists already; choose another name" in result.stderr
    assert Path("digits.py").read_text() == "MINE = 1\n" and not Path("digits.safetensors").exists()
    result = ms_gan("export", "run", "-o", "faces.safetensors")
    assert result.exit_code == 0 and "module  faces.py: from faces import load" in result.stdout
    result = ms_gan("export", "run", "-o", "faces.safetensors", "--overwrite")
    assert result.exit_code == 0, result.stderr


@pytest.mark.usefixtures("run_dir")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], 2, "-o is missing: the name of a file ending in .mindir, .onnx or .safetensors"),
        (["run", "-o", "digits.pt"], 2, "digits.pt must end in .mindir, .onnx or .safetensors"),
        (["run", "-o", "nowhere/digits.onnx"], 2, "there is no folder nowhere"),
        (["run", "-o", "run/checkpoints/digits.onnx"], 2, "belongs to the run"),
        (["nowhere", "-o", "digits.onnx"], 2, "run directory not found: nowhere"),
        ([".", "-o", "digits.onnx"], 2, ". is not a run directory"),
        (["run", "-o", "digits.mindir", "--checkpoint", "9"], 2, "there is no checkpoint"),
        (["run", "-o", "digits.mindir", "--checkpoint", "best"], 1, "does not contain a best checkpoint"),
        (["run", "-o", "digits.mindir", "--network", "critic"], 2, "this game has no network 'critic'"),
        (
            ["run", "-o", "digits.mindir", "--network", "discriminator"],
            2,
            "does not take part in making images; a",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments: list[str], code: int, message: str) -> None:
    result = ms_gan("export", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert message in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["run", "tiny.py"]


@pytest.mark.usefixtures("run_dir")
@pytest.mark.skipif(find_spec("onnx") is not None, reason="onnx is installed")
def test_a_missing_package_is_named() -> None:
    for name, extra in (("digits.onnx", "onnx"), ("digits.safetensors", "torch")):
        result = ms_gan("export", "run", "-o", name)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert f"requires the package onnx: pip install 'ms-gan-callbacks[{extra}]'" in result.stderr


def test_a_damaged_checkpoint_is_refused(run_dir: Path) -> None:
    weights = run_dir / "checkpoints/step-00000003/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    result = ms_gan("export", "run", "-o", "digits.mindir")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1) and "is damaged" in result.stderr
    assert not Path("digits.mindir").exists()
