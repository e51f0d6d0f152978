"""``ms-gan new``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from ms_gan_callbacks.cli.outputs import Output
from ms_gan_callbacks.config.catalog import about, named, required, shipped, text_to_start_from
from ms_gan_callbacks.errors import UsageError

DEFAULT = "mnist_dcgan"


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        recipes = named()
        width = max(map(len, recipes), default=0)
        for name, path in recipes.items():
            click.echo(f"{name:<{width}}  {about(path)}")
        context.exit()


@click.command("new")
@click.argument("name", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "source",
    metavar="RECIPE",
    help=f"What to copy. [default: the recipe that is called NAME, else {DEFAULT}]",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="Show what there is to copy."
)
def command(name: Path, source: str | None) -> None:
    """Write a recipe to start from, NAME.py. It is a copy of an existing one, ready to run.

    \b
    ms-gan new --list                     what there is
    ms-gan new faces --from folder_dcgan  faces.py
    """
    if name.suffix not in ("", ".py") or not re.fullmatch(r"\w[\w-]*", name.stem):
        raise UsageError(f"{name} is no name for a recipe: letters, digits, _ and -, and .py if you like")
    path = name.with_suffix(".py")
    # Under the name of a recipe one expects that recipe, and this file then goes by it here.
    source = source if source is not None else path.stem if path.stem in shipped() else DEFAULT
    output = Output(path, replaceable=False)
    output.check()
    content = text_to_start_from(source, path)
    output.write(lambda file: file.write(content))
    needs = "".join(f" --set {one}=..." for one in required(path))
    click.echo(f"{path}, from {source}; run it with: ms-gan run {shlex.quote(str(path))}{needs}")
