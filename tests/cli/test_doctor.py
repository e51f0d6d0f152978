"""``ms-gan doctor``: healthy and broken installations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT

from ms_gan_callbacks.cli import main


def examine(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the checks by name."""
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments], prog_name="ms-gan")
    facts = json.loads(result.stdout)
    assert {check["state"] for check in facts["checks"]} <= {"ok", "warning", "broken"}
    assert all(check["cure"] for check in facts["checks"] if check["state"] != "ok")
    codes = {"ok": 0, "warning": 3, "broken": 1}
    assert result.exit_code == codes[facts["state"]]
    return result.exit_code, {check["name"]: check for check in facts["checks"]}


def pretend(site: Path, name: str, version: str, tag: str = "py3-none-any", requires: str = "") -> None:
    """Put the metadata of an installed wheel into a folder."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    (folder / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")


def test_lines_and_exit_code() -> None:
    result = CliRunner().invoke(main, ["doctor", "--no-training"], prog_name="ms-gan")
    assert result.exit_code in (0, 3)  # the machine may be busy
    names = [line.split(maxsplit=1)[1].partition(":")[0] for line in result.stdout.splitlines() if line[0] != " "]
    assert names[:4] == ["Python", "ms-gan-callbacks", "mindspore", "numpy"]
    assert {"processor", "memory", "variables", "disk", "temporary files"} <= {*names}


def test_packages_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "site", "numpy", "2.2.0")
    pretend(tmp_path / "site", "mindspore", "2.10.0", "cp39-cp39-win_amd64")
    monkeypatch.syspath_prepend(tmp_path / "site")
    code, checks = examine("--no-training")
    assert code == 1
    assert checks["numpy"]["state"] == "broken" and "pip install 'numpy" in checks["numpy"]["cure"]
    assert "2.2.0 is installed" in checks["numpy"]["text"]
    assert "a wheel for cp39-cp39-win_amd64" in checks["mindspore"]["text"]
    assert "--force-reinstall" in checks["mindspore"]["cure"]


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requires = "Requires-Dist: nonesuch>=1\nRequires-Dist: extra-only; extra == 'docs'\n"
    pretend(tmp_path / "site", "ms_gan_callbacks", "0.1.0", requires=requires)
    monkeypatch.syspath_prepend(tmp_path / "site")
    code, checks = examine("--no-training")
    assert (code, checks["nonesuch"]["text"]) == (1, "is not installed")
    assert checks["nonesuch"]["cure"] == "pip install 'nonesuch>=1'" and "extra-only" not in checks


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MS_COMPILER_CACHE_ENABLE", "1")
    monkeypatch.setenv("MS_DEV_SOMETHING", "x")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    _, checks = examine("--no-training")
    assert checks["variables"]["state"] == checks["PYTHONPATH"]["state"] == "warning"
    assert checks["variables"]["text"] == "MS_DEV_SOMETHING=x, MS_COMPILER_CACHE_ENABLE=1"
    monkeypatch.setenv("MS_SIMULATION_LEVEL", "0")
    code, checks = examine("--no-training")
    assert code == 1 and checks["variables"]["cure"] == "unset MS_SIMULATION_LEVEL"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    code, checks = examine("--no-training")
    assert code == 1 and checks["disk"]["state"] == "broken"


def test_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**8))
    code, checks = examine("--no-training")
    assert code == 1 and checks["disk"]["text"] == "0.1 GB free"


@pytest.mark.slow
def test_ten_steps_are_trained_and_have_the_same_weights_again() -> None:
    _, checks = examine()
    assert checks["training"]["state"] == "ok" and checks["device"]["text"] == "CPU"
    assert len(checks["training"]["text"].rpartition(" ")[2]) == 64
    _, again = examine()
    assert again["training"]["text"].rpartition(" ")[2] == checks["training"]["text"].rpartition(" ")[2]


def test_a_mindspore_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken/mindspore"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libmindspore.so: cannot open shared object file')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    code, checks = examine()
    assert code == 1 and "ImportError: libmindspore.so" in checks["MindSpore"]["text"]
    assert "pip install" in checks["MindSpore"]["cure"]


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\nfrom ms_gan_callbacks.cli import main\ntry:\n    main(['doctor', '--no-training'])\n"
        "except SystemExit:\n    pass\nassert not {'mindspore', 'numpy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert distribution("packaging")
