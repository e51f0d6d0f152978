"""``ms-gan show``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ms_gan_callbacks.cli.options import attach_options, recipe_argument, seed_option, set_option, with_seed
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
    """Show RECIPE's parameters, networks and callbacks. Loads no data and trains nothing.

    Without a value for every required parameter, only the parameters are shown.
    """
    path = locate(recipe_path)  # before MindSpore is imported
    from ms_gan_callbacks.config.attach import attach
    from ms_gan_callbacks.config.components import typed
    from ms_gan_callbacks.config.overview import overview, show_parameters
    from ms_gan_callbacks.config.parameters import Tunable
    from ms_gan_callbacks.config.recipe import RecipeFile

    file, wanted = RecipeFile.open(path), typed(callbacks, metrics)
    try:
        overrides = with_seed(file, overrides, seed)
        arguments = file.bind(overrides)
    except UsageError:
        show_parameters(file, file.bind())
        raise
    show_parameters(file, arguments)
    missing = [name for name, value in arguments.items() if value is Tunable.REQUIRED]
    if missing:
        for one in wanted:
            one.make()  # its mistakes are told here, too
        needs = " ".join(f"--set {name}=..." for name in missing)
        click.echo(
            f"\nThe networks and callbacks are shown with: ms-gan show {shlex.quote(str(recipe_path))} {needs}"
        )
        return
    overview(attach(file.build(overrides), wanted))
