"""Imports run downward only, rooms stay small, and importing the package costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ms_gan_callbacks"

LAYERS = (
    {"errors", "files", "sources", "progress", "__init__"},
    {
        "plugins",
        "recipe_index",
        "interrupts",
        "objectives",
        "images",
        "data",
        "checkpoint_files",
        "store",
        "run_dir",
        "scalars",
        "provenance",
        "as_made",
        "tunables",
        "layers",
        "networks",
        "metrics",
        "method",
        "averaging",
        "optimizers",
        "doubts",
        "fit",
        "step",
    },
    {"run", "training"},
    {"callback"},
    {"bus_checks"},
    {"bus", "adapters", "callbacks", "evaluation"},
    {"recipe", "result", "loop", "typed"},
    {"attach"},
    {"lineage", "preparation", "resume", "rollback"},
    {"runner", "overview", "verify", "trained", "curves"},
    {"judgement", "testing"},
    {"cli"},
    {"__main__"},
)
# Within a layer, what comes later here may import what comes before.
WITHIN = (
    ("plugins", "recipe_index"),
    ("runner", "verify"),
    ("data", "networks"),
    ("objectives", "networks"),
    ("data", "metrics"),
    ("images", "metrics"),
    ("bus", "adapters"),
    ("adapters", "callbacks"),
    ("networks", "method"),
    ("objectives", "method"),
    ("layers", "averaging"),
    ("networks", "fit"),
    ("averaging", "step"),
    ("fit", "step"),
    ("layers", "step"),
    ("method", "step"),
    ("networks", "step"),
    ("objectives", "step"),
    ("lineage", "preparation"),
    ("checkpoint_files", "store"),
    ("networks", "optimizers"),
    ("networks", "doubts"),
    ("doubts", "fit"),
    ("files", "sources"),
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """Return a module's place in the house: its folder, or its own name at the top."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> set[str]:
    """Return the rooms that a module imports, inside functions and type checking blocks too."""
    found = set()
    package = ("ms_gan_callbacks", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for name in names:
            top, _, rest = name.partition(".")
            if top == "ms_gan_callbacks" and rest:
                found.add(rest.split(".")[0])
    rooms = {room(other) for other in modules()}
    return (found & rooms) - {room(path)}


def layer(name: str) -> int:
    [number] = [number for number, names in enumerate(LAYERS) if name in names]
    return number


def test_every_room_has_one_layer() -> None:
    rooms = {room(path) for path in modules()}
    assert rooms == set().union(*LAYERS)
    assert sum(map(len, LAYERS)) == len(rooms)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    here = room(path)
    upward = {other for other in imports(path) if layer(other) >= layer(here) and (other, here) not in WITHIN}
    assert not upward, f"{here} (layer {layer(here)}) imports {sorted(upward)}"


def test_the_check_sees_imports_that_hide() -> None:
    assert "runner" in imports(PACKAGE / "cli" / "training.py")  # inside a function
    assert "recipe" in imports(PACKAGE / "cli" / "options.py")  # under TYPE_CHECKING
    assert "errors" in imports(PACKAGE / "data" / "idx.py")  # however it is spelled


LONGEST_FUNCTION = 30
LONGEST_FILE = 300


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_stay_small(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_and_asking_for_help_load_neither_mindspore_nor_numpy() -> None:
    loaded = "print([name for name in ('mindspore', 'numpy', 'tensorboardX') if name in sys.modules])"
    assert run_python(f"import sys, ms_gan_callbacks, ms_gan_callbacks.cli; {loaded}") == "[]\n"
    ask_for_help = "try:\n ms_gan_callbacks.cli.main(['run', '--help'])\nexcept SystemExit: pass\n"
    assert run_python(f"import sys, ms_gan_callbacks.cli\n{ask_for_help}{loaded}").endswith("[]\n")


def test_every_public_name_is_there_and_is_what_its_home_calls_it() -> None:
    import ms_gan_callbacks

    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    listed = {
        alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(listed) == sorted(ms_gan_callbacks.__all__)
    for name in ms_gan_callbacks.__all__:
        assert callable(getattr(ms_gan_callbacks, name))
    with pytest.raises(AttributeError):
        ms_gan_callbacks.Nonsense  # noqa: B018
