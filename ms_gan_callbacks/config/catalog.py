"""Finds, lists and copies the built-in recipes and those of plugins.

The built-in recipes are in ``recipes/``, next to the package in a clone and inside of the package if installed.
"""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

from ms_gan_callbacks.config.plugins import find_recipe_file, list_plugins, pick
from ms_gan_callbacks.errors import RecipeError, UsageError, suggest, warn
from ms_gan_callbacks.storage.files import decode_source, detect_encoding, list_folder

_PACKAGE = Path(__file__).parent.parent


def list_built_in() -> dict[str, Path]:
    """Return the built-in recipes by name."""
    inside = _PACKAGE / "recipes"
    folder = inside if inside.is_dir() else _PACKAGE.parent / "recipes"
    return {path.stem: path for path in list_folder(folder) if path.suffix == ".py" and path.stem != "__init__"}


def list_recipes() -> dict[str, Path]:
    """Return the built-in recipes and those of plugins by name; a warning is issued for missing files."""
    recipes = list_built_in()
    for plugin in list_plugins("recipes"):
        try:
            recipes.setdefault(plugin.name, find_recipe_file(plugin))
        except UsageError as error:
            warn(f"recipe {plugin.name} of {plugin.provider} is skipped: {error}")
    return recipes


def read_summary(path: Path) -> str:
    """Return the first line of a recipe's docstring, without importing it."""
    return (ast.get_docstring(_parse(path)) or "").partition("\n")[0]


def find_required(path: Path) -> list[str]:
    """Return the parameters of a recipe without a default, without importing it."""
    return [name for name, default in find_parameters(path).items() if default is None]


def find_parameters(path: Path) -> dict[str, str | None]:
    """Return the parameters of a recipe and the source of each default (None: required), without importing it."""
    for node in _parse(path).body:
        if isinstance(node, ast.FunctionDef) and node.name == "recipe":
            given = node.args
            positional = [*given.posonlyargs, *given.args]
            bare: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
            defaults = [*bare, *given.defaults, *given.kw_defaults]
            named = zip([*positional, *given.kwonlyargs], defaults, strict=True)
            return {one.arg: None if default is None else ast.unparse(default) for one, default in named}
    return {}


def _parse(path: Path) -> ast.Module:
    """Parse a file; return an empty module if that fails, as the error is reported when the recipe is loaded."""
    try:
        return ast.parse(decode_source(path.read_bytes()))
    except (OSError, ValueError, SyntaxError):
        return ast.Module([], [])


def locate(path: Path) -> Path:
    """Return the file of a recipe: a path, else ``<name>.py`` in the working directory, else an installed recipe.

    Raises:
        RecipeError: there is no recipe of this name.
        UsageError: several plugins provide a recipe of this name.
    """
    if path.is_file():
        return path
    recipes, is_name = list_built_in(), path.name == str(path) and not path.suffix
    if is_name and path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if is_name and path.name in recipes:
        return recipes[path.name]
    if is_name and (plugin := pick("recipes", path.name)):
        try:
            return find_recipe_file(plugin)
        except UsageError as error:
            raise RecipeError(f"recipe {path.name} of {plugin.provider} cannot be found: {error}") from error
    if is_name and not path.exists():
        here = [file.name for file in list_folder(Path()) if file.suffix == ".py"]
        names = dict.fromkeys([*recipes, *(one.name for one in list_plugins("recipes")), *here])
        raise RecipeError(f"there is no recipe {path}; {suggest(path.name, names)}")
    if path.stem in recipes and not path.exists():
        raise RecipeError(f"there is no recipe {path}; the built-in recipe is called {path.stem}")
    return path


def copy_text(name: str, path: Path) -> bytes:
    """Return the content of a recipe for a copy at ``path``, whose name replaces the original's in the text.

    Raises:
        UsageError: there is no recipe of this name, or it cannot be read.
    """
    recipes = list_built_in()
    if name not in recipes:
        recipes = list_recipes()
    if name not in recipes:
        raise UsageError(f"there is no recipe {name!r}; {suggest(name, recipes)}")
    quoted = shlex.quote(path.as_posix()).replace("\\", "\\\\").replace('"', '\\"')  # for a docstring
    try:
        content = recipes[name].read_bytes()
        encoding = detect_encoding(content)
        return content.decode(encoding).replace(f"recipes/{name}.py", quoted).encode(encoding)
    except (OSError, SyntaxError, UnicodeError) as error:
        raise UsageError(f"{recipes[name]} cannot be read: {error}") from error
