"""``ms-gan show``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ms_gan_callbacks.cli.options import add_seed, attach_options, recipe_argument, seed_option, set_option
from ms_gan_callbacks.config.catalog import locate
from ms_gan_callbacks.errors import UsageError


@click.command("show")
@recipe_argument
@set_option
@attach_options
@seed_option
def command(
    recipe_path: Path,
    overrides: dict[str, str],
    callbacks: tuple[str, ...],
    metrics: tuple[str, ...],
    seed: int | None,
) -> None:
    """Show RECIPE's parameters, networks and callbacks. Does not load data or train.

    If a required parameter is not set, only the parameters are shown.
    """
    path = locate(recipe_path)  # before MindSpore is imported
    from ms_gan_callbacks.config.attach import attach
    from ms_gan_callbacks.config.components import parse_components
    from ms_gan_callbacks.config.overview import show_parameters, show_recipe
    from ms_gan_callbacks.config.parameters import Tunable
    from ms_gan_callbacks.config.recipe import RecipeFile

    file, wanted = RecipeFile.open(path), parse_components(callbacks, metrics)
    try:
        overrides = add_seed(file, overrides, seed)
        arguments = file.bind(overrides)
    except UsageError:
        show_parameters(file, file.bind())
        raise
    show_parameters(file, arguments)
    missing = [name for name, value in arguments.items() if value is Tunable.REQUIRED]
    if missing:
        for one in wanted:
            one.make()  # reports errors in --callback and --metric
        needs = " ".join(f"--set {name}=..." for name in missing)
        click.echo(f"\nTo show networks and callbacks: ms-gan show {shlex.quote(str(recipe_path))} {needs}")
        return
    show_recipe(attach(file.build(overrides), wanted))
