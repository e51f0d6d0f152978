"""Shell completion of run directories, recipes, their parameters and the steps of checkpoints.

Nothing here imports MindSpore, NumPy or a recipe, so that an answer takes a fraction of a second. Errors give no
candidates.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from ms_gan_callbacks.config.catalog import find_parameters, list_built_in, locate, read_summary
from ms_gan_callbacks.config.plugins import list_plugins
from ms_gan_callbacks.errors import GanError
from ms_gan_callbacks.storage.files import list_folder
from ms_gan_callbacks.storage.names import MANIFEST, PARENT, RECIPE

Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _guard(complete: Completer) -> Completer:
    """Return a completer that gives no candidates if it fails, as messages would disturb the command line."""

    def guarded(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return complete(context, parameter, incomplete)
        except (OSError, GanError, ValueError):
            return []

    return guarded


@_guard
def complete_run_dirs(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the run directories in runs/ and in the folder that is being typed; others are left to the shell."""
    typed = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    found: list[str] = []
    for folder in dict.fromkeys((PARENT, typed)):
        if folder.is_dir():
            found += [str(path) for path in list_folder(folder) if (path / MANIFEST).is_file()]
    matching = [path for path in found if path.startswith(incomplete.removeprefix("./"))]
    return _make_items(matching) or [CompletionItem(incomplete, type="dir")]


@_guard
def complete_recipes(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return installed recipes with their summaries, and recipes in this folder; others are left to the shell."""
    built_in = {name: read_summary(path) for name, path in list_built_in().items()}
    names = {**built_in, **{plugin.name: f"of {plugin.provider}" for plugin in list_plugins("recipes")}}
    files = {path.name: "" for path in list_folder(Path()) if path.suffix == ".py" and find_parameters(path)}
    matching = [
        CompletionItem(name, help=text) for name, text in {**names, **files}.items() if name.startswith(incomplete)
    ]
    return matching or [CompletionItem(incomplete, type="file")]


@_guard
def complete_overrides(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return ``name=`` and ``name=default`` for the parameters of the recipe or run on the command line.

    Two candidates per parameter: after a single one, the shell would insert a space.
    """
    path = _find_recipe(context)
    name, equals, value = incomplete.partition("=")
    found: list[CompletionItem] = []
    for parameter, default in find_parameters(path).items() if path else ():
        if equals and parameter == name:
            found += [CompletionItem(f"{name}={one}") for one in _list_values(default) if one.startswith(value)]
        elif not equals and parameter.startswith(incomplete):
            shown = "required" if default is None else f"default {default}"
            found += [CompletionItem(f"{parameter}=", help=shown)]
            found += [CompletionItem(f"{parameter}={one}") for one in _list_values(default)[:1]]
    return found


@_guard
def complete_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of settings of which a resume allows a change."""
    path = _find_recipe(context)
    names = ["recipe", "data", "seed", "batch_size", *(find_parameters(path) if path else ())]
    return _make_items(name for name in dict.fromkeys(names) if name.startswith(incomplete))


@_guard
def complete_checkpoints(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return last, best and the steps of the checkpoints of the run on the command line."""
    names = ["last", "best", *_list_steps(context)]
    return _make_items(name for name in names if name.startswith(incomplete))


@_guard
def complete_steps(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the steps of the checkpoints of the run on the command line."""
    return _make_items(step for step in _list_steps(context) if step.startswith(incomplete))


def _make_items(names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names]


def _get_path(context: click.Context, name: str) -> Path | None:
    """Return the value of an argument, the first of a command.

    While the value of an option is being typed, click has not assigned the arguments yet.
    """
    first = next((one for one in context.command.params if isinstance(one, click.Argument)), None)
    if first is None or first.name != name:
        return None
    value: Any = context.params.get(name) or next(iter(context.args), None)
    return Path(value) if value else None


def _find_recipe(context: click.Context) -> Path | None:
    """Return the file of the recipe, or of the run's copy of it, that was typed before."""
    recipe, run = _get_path(context, "recipe_path"), _get_path(context, "run_dir")
    if recipe is not None:
        return locate(recipe)
    return run / RECIPE if run is not None else None


def _list_steps(context: click.Context) -> Sequence[str]:
    run = _get_path(context, "run_dir")
    if run is None:
        return []
    names = [path.name for path in list_folder(run / "checkpoints")]
    return [str(int(name[5:])) for name in names if name.startswith("step-") and name[5:].isdecimal()]


def _list_values(default: str | None) -> list[str]:
    """Return the values to propose for a parameter, from the source of its default."""
    if default is None:
        return []
    try:
        value = ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return []
    if isinstance(value, bool):
        return [str(value), str(not value)]
    return ["none"] if value is None else [] if isinstance(value, (tuple, list, dict)) else [str(value)]
