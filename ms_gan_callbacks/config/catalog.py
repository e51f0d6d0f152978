"""The recipes that go by a name, of the package and of plugins: found, listed, and copied to start from.

Those of the package lie in ``recipes/`` beside the package in a clone, and inside of it where it is installed.
"""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

from ms_gan_callbacks.config.plugins import pick, plugins, recipe_file
from ms_gan_callbacks.errors import RecipeError, UsageError, choices, warn
from ms_gan_callbacks.storage.files import decode_source, detect_encoding, list_folder

_PACKAGE = Path(__file__).parent.parent


def shipped() -> dict[str, Path]:
    """Return the recipes that come with the package, by name."""
    inside, beside = _PACKAGE / "recipes", _PACKAGE.parent / "recipes"
    folder = inside if inside.is_dir() else beside
    return {path.stem: path for path in list_folder(folder) if path.suffix == ".py" and path.stem != "__init__"}


def named() -> dict[str, Path]:
    """Return the recipes of the package and then those of plugins, by name; one that cannot be found warns."""
    recipes = shipped()
    for plugin in plugins("recipes"):
        found = recipe_file(plugin)
        if found.fault:
            warn(f"the recipe {plugin.name} of {plugin.provider} is left out: {found.fault}")
        else:
            recipes.setdefault(plugin.name, found.thing)
    return recipes


def about(path: Path) -> str:
    """Return the first line of a recipe's docstring, without importing it."""
    try:
        text = ast.get_docstring(ast.parse(decode_source(path.read_bytes()))) or ""
    except (OSError, ValueError, SyntaxError):
        return ""  # whoever opens it is told
    return text.partition("\n")[0]


def required(path: Path) -> list[str]:
    """Return the parameters of a recipe that have no default, without importing it."""
    try:
        tree = ast.parse(decode_source(path.read_bytes()))
    except (OSError, ValueError, SyntaxError):
        return []  # whoever opens it is told
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "recipe":
            given = node.args
            positional = [*given.posonlyargs, *given.args]
            bare = positional[: len(positional) - len(given.defaults)]
            bare += [
                one for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None
            ]
            return [one.arg for one in bare]
    return []


def locate(path: Path) -> Path:
    """Return the file of a recipe: what is called so, else ``<name>.py`` here, else one that is installed.

    Raises:
        RecipeError: it is a bare name, and nothing goes by it; or a shipped recipe is sought where it is not.
        UsageError: several plugins go by it.
    """
    if path.is_file():
        return path
    recipes, is_name = shipped(), path.name == str(path) and not path.suffix
    if is_name and path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    if is_name and path.name in recipes:
        return recipes[path.name]
    if is_name and (theirs := _of_a_plugin(path.name)):
        return theirs
    if is_name and not path.exists():
        here = [file.name for file in list_folder(Path()) if file.suffix == ".py"]
        names = dict.fromkeys([*recipes, *(plugin.name for plugin in plugins("recipes")), *here])
        raise RecipeError(f"there is no recipe {path}; {choices(path.name, names)}")
    if path.stem in recipes and not path.exists():
        raise RecipeError(f"there is no recipe {path}; the one that comes with the package is called {path.stem}")
    return path


def _of_a_plugin(name: str) -> Path | None:
    plugin = pick("recipes", name)
    if plugin is None:
        return None
    found = recipe_file(plugin)
    if found.fault:
        raise RecipeError(f"the recipe {name} of {plugin.provider} cannot be found: {found.fault}")
    return Path(found.thing)


def text_to_start_from(name: str, path: Path) -> bytes:
    """Return the content of a recipe that goes by a name, its docstring naming the file that it is going to be.

    Raises:
        UsageError: no recipe is called so, or it cannot be read.
    """
    recipes = shipped()
    if name not in recipes:
        recipes = named()
    if name not in recipes:
        raise UsageError(f"there is no recipe {name!r} to start from; {choices(name, recipes)}")
    typed = shlex.quote(path.as_posix()).replace("\\", "\\\\").replace('"', '\\"')  # it stands in a docstring
    try:
        content = recipes[name].read_bytes()
        encoding = detect_encoding(content)
        return content.decode(encoding).replace(f"recipes/{name}.py", typed).encode(encoding)
    except (OSError, SyntaxError, UnicodeError) as error:
        raise UsageError(f"{recipes[name]} cannot be read: {error}") from error
