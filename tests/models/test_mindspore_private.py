"""Private names of MindSpore: all on one page, and all there in the installed version."""

from __future__ import annotations

import ast
from pathlib import Path

import mindspore as ms
import pytest
from conftest import ROOT

from ms_gan_callbacks.models import mindspore_private
from ms_gan_callbacks.models.mindspore_private import SEEN_IN, find_missing

PACKAGE = ROOT / "ms_gan_callbacks"
PAGE = PACKAGE / "models" / "mindspore_private.py"


def test_the_installed_version_has_every_private_name() -> None:
    assert find_missing() == [], f"MindSpore {ms.__version__} lacks them; they were seen in {SEEN_IN}"


def test_a_name_that_is_missing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("mindspore.nn.cell:_no_such_name", "mindspore.no_such_module:Thing", "mindspore.nn.cell:Cell.no_such")
    monkeypatch.setattr(mindspore_private, "PRIVATE", dict.fromkeys(names, "") | mindspore_private.PRIVATE)
    monkeypatch.setattr(mindspore_private, "CELL_METHODS", ("_no_such_method", "_predict"))
    assert find_missing() == [*names, "mindspore.nn.Cell._no_such_method"]


def private_imports(path: Path) -> list[str]:
    """Return the private names of MindSpore that a module imports."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mindspore":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "mindspore"]
        else:
            continue
        found += [name for name in names if any(part.startswith("_") for part in name.split("."))]
    return found


def test_no_other_module_imports_one() -> None:
    assert {name.rpartition(".")[2] for name in private_imports(PAGE)} == {
        "_cell_graph_executor",
        "_context",
        "_BatchNorm",
        "MirrorPadGrad",
        "ReluGrad",
    }
    others = {str(path): private_imports(path) for path in PACKAGE.rglob("*.py") if path != PAGE}
    assert not {path: names for path, names in others.items() if names}
