"""The documentation's notebooks run in a kernel of their own; what is committed of them is small and clean."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
LARGEST = 150_000  # bytes: a few grids, not a film

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def run_notebook() -> ModuleType:
    """Return the script that runs notebooks and keeps their outputs."""
    spec = importlib.util.spec_from_file_location("run_notebook", ROOT / "scripts" / "run_notebook.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook["cells"]:
        yield from cell.get("outputs", ())


@pytest.mark.slow
@each_notebook
def test_a_notebook_runs(path: Path, run_notebook: ModuleType, tmp_path: Path) -> None:
    notebook = run_notebook.executed(path, tmp_path)  # its last cell asserts that no signal was touched
    assert notebook.cells[-2].source == "assert signals() == before"
    pictures = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    printed = "".join(output.get("text", "") for output in outputs(notebook))
    assert len(pictures) >= 3
    assert "fld was best at epoch" in printed
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"]
    [run] = tmp_path.glob("runs/*")
    assert list(run.glob("tensorboard/*"))
    assert list(run.glob("checkpoints/step-*"))


@each_notebook
def test_what_is_committed_of_a_notebook_is_clean(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) <= LARGEST
    notebook = json.loads(text)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"] == list(
        range(1, 1 + sum(cell["cell_type"] == "code" for cell in notebook["cells"]))
    ), "run it whole: python scripts/run_notebook.py"
    for output in outputs(notebook):
        assert output.get("name") != "stderr"
        shown = "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
        assert "/tmp" not in shown
        assert str(Path.home()) not in shown
