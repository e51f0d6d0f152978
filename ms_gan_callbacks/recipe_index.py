"""The recipes that come with the package: found by name, listed, and copied to start from.

They lie in ``recipes/`` beside the package in a clone, and inside of it where it is installed.
"""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

from ms_gan_callbacks.errors import RecipeError, UsageError, choices

_PACKAGE = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """Return the recipes that come with the package, by name."""
    inside, beside = _PACKAGE / "recipes", _PACKAGE.parent / "recipes"
    folder = inside if inside.is_dir() else beside
    return {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"}


def about(path: Path) -> str:
    """Return the first line of a recipe's docstring, without importing it."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def locate(path: Path) -> Path:
    """Return the file of a recipe: what is called so, else ``<name>.py`` here, else the one of that name shipped.

    Raises:
        RecipeError: it is a bare name, and nothing goes by it; or a shipped recipe is sought where it is not.
    """
    if path.is_file():
        return path
    recipes, is_name = shipped(), path.name == str(path) and not path.suffix
    if is_name and path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if is_name and path.name in recipes:
        return recipes[path.name]
    if is_name and not path.exists():
        here = sorted(file.name for file in Path().glob("*.py"))
        raise RecipeError(f"there is no recipe {path}; {choices(path.name, [*recipes, *here])}")
    if path.stem in recipes and not path.exists():
        raise RecipeError(f"there is no recipe {path}; the one that comes with the package is called {path.stem}")
    return path


def start_from(name: str, path: Path) -> None:
    """Write a shipped recipe to a new file, which its docstring then names.

    Raises:
        UsageError: no recipe is called so, the file exists, or it cannot be written.
    """
    recipes = shipped()
    if name not in recipes:
        raise UsageError(f"there is no recipe {name!r} to start from; {choices(name, recipes)}")
    typed = shlex.quote(path.as_posix()).replace("\\", "\\\\").replace('"', '\\"')  # it stands in a docstring
    text = recipes[name].read_text(encoding="utf-8").replace(f"recipes/{name}.py", typed)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already and is left as it is; choose another name") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
