"""``ms-gan new``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from ms_gan_callbacks.cli.completion import complete_recipes
from ms_gan_callbacks.cli.outputs import Output
from ms_gan_callbacks.config.catalog import copy_text, find_required, list_built_in, list_recipes, read_summary
from ms_gan_callbacks.errors import UsageError

DEFAULT = "mnist_dcgan"


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        recipes = list_recipes()
        width = max(map(len, recipes), default=0)
        for name, path in recipes.items():
            click.echo(f"{name:<{width}}  {read_summary(path)}")
        context.exit()


@click.command("new")
@click.argument("name", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "source",
    metavar="RECIPE",
    shell_complete=complete_recipes,
    help=f"Recipe to copy. [default: the recipe called NAME, else {DEFAULT}]",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List the available recipes."
)
def command(name: Path, source: str | None) -> None:
    """Write NAME.py, a copy of an existing recipe, ready to run.

    \b
    ms-gan new --list                     list the available recipes
    ms-gan new faces --from folder_dcgan  write faces.py
    """
    if name.suffix not in ("", ".py") or not re.fullmatch(r"\w[\w-]*", name.stem):
        raise UsageError(f"{name} is not a valid name for a recipe: use letters, digits, _ and -; .py is optional")
    path = name.with_suffix(".py")
    # A copy called like a built-in recipe hides it in this directory: by default it has the same content.
    source = source if source is not None else path.stem if path.stem in list_built_in() else DEFAULT
    output = Output(path, replaceable=False)
    output.check()
    content = copy_text(source, path)
    output.write(lambda file: file.write(content))
    needs = "".join(f" --set {one}=..." for one in find_required(path))
    click.echo(f"{path}, from {source}; run it with: ms-gan run {shlex.quote(str(path))}{needs}")
