"""``ms-gan run``."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import (
    attach_options,
    device_option,
    join_ranks,
    load,
    quiet_option,
    ranks_option,
    recipe_argument,
    seed_option,
    set_option,
    start_ranks,
    train,
)


@click.command("run")
@recipe_argument
@click.option(
    "--out",
    "out_dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Run directory, new or empty. [default: runs/<recipe>-<time>]",
)
@set_option
@attach_options
@seed_option
@device_option
@ranks_option
@quiet_option
def command(
    recipe_path: Path,
    out_dir: Path | None,
    overrides: dict[str, str],
    callbacks: tuple[str, ...],
    metrics: tuple[str, ...],
    seed: int | None,
    device: str | None,
    ranks: int | None,
    quiet: bool,
) -> None:
    """Train the GAN of RECIPE.

    \b
    ms-gan run mnist_mlp --set epochs=3
    ms-gan run mnist_mlp --callback ImageGrid:every=50steps,folder=often --metric kid

    Exit codes: 0 complete, or stopped by a callback; 1 failed; 2 error in the command, recipe
    or settings; 130 interrupted.
    """
    start_ranks(ranks, out_dir, recipe_path)
    with Interrupts() as interrupts:
        join_ranks()
        recipe = load(recipe_path, overrides, seed, callbacks, metrics)
        from ms_gan_callbacks.training.runner import Runner

        train(Runner.from_recipe(recipe, out_dir, device=device, interruption=interrupts), quiet)
