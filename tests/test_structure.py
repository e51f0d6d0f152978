"""Each room imports only rooms before it, files stay short, and importing the package costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ms_gan_callbacks"

# Each room imports only rooms before it.
ROOMS = [
    "errors",
    "storage",
    "data",
    "metrics",
    "events",
    "models",
    "callbacks",
    "interop",
    "config",
    "training",
    "results",
    "testing",
    "cli",
    "__main__",
]
LOOSE = {"__init__.py", "__main__.py", "errors.py"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """Return a module's room: its folder in the package, or its own name where it lies in no folder."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


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


def test_every_module_is_in_a_room() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == LOOSE
    assert {room(path) for path in modules()} == {*ROOMS, "__init__"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    here = room(path)
    before = set() if here == "__init__" else set(ROOMS[: ROOMS.index(here)])
    assert imports(path) <= before


def test_the_check_sees_imports_that_hide() -> None:
    assert "training" in imports(PACKAGE / "cli" / "commands" / "run.py")  # inside a function
    assert "config" in imports(PACKAGE / "cli" / "options.py")  # under TYPE_CHECKING
    assert "errors" in imports(PACKAGE / "data" / "idx.py")  # however it is spelled


LONGEST_FUNCTION = 30
LONGEST_FILE = 285


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
