"""``ms-gan run`` and ``ms-gan resume``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import (
    attach_options,
    device_option,
    load,
    quiet_option,
    recipe_argument,
    seed_option,
    set_option,
)

if TYPE_CHECKING:
    from ms_gan_callbacks.training.runner import Runner


@click.command()
@recipe_argument
@click.option(
    "--out",
    "out_dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The run's folder, new or empty. [default: runs/<recipe>-<time>]",
)
@set_option
@attach_options
@seed_option
@device_option
@quiet_option
def run(
    recipe_path: Path,
    out_dir: Path | None,
    overrides: dict[str, str],
    callbacks: tuple[str, ...],
    metrics: tuple[str, ...],
    seed: int | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Train the GAN that RECIPE describes.

    \b
    ms-gan run mnist_mlp --set epochs=3
    ms-gan run mnist_mlp --callback ImageGrid:every=50steps,folder=often --metric kid

    Exit codes: 0 finished, or stopped by a callback; 1 failed; 2 something in what was
    typed or written has to change; 130 interrupted.
    """
    with Interrupts() as interrupts:
        recipe = load(recipe_path, overrides, seed, callbacks, metrics)
        from ms_gan_callbacks.training.runner import Runner

        _train(Runner.from_recipe(recipe, out_dir, device=device, interruption=interrupts), quiet)


def _train(runner: Runner, quiet: bool) -> None:
    result = runner.train(quiet=quiet)
    if quiet:
        click.echo(result.summary())


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from", "from_step", metavar="STEP", type=click.IntRange(min=0), help="Go on from this checkpoint."
)
@set_option
@click.option(
    "--allow-change",
    "allowed",
    metavar="NAME",
    multiple=True,
    help="Let this differ from the run: a parameter, or recipe, data, seed, batch_size; repeat for more.",
)
@attach_options
@click.option(
    "--without",
    metavar="NAME",
    multiple=True,
    help="Leave out what --callback or --metric attached by this name; repeat for more.",
)
@device_option
@quiet_option
def resume(
    run_dir: Path | None,
    from_step: int | None,
    overrides: dict[str, str],
    allowed: tuple[str, ...],
    callbacks: tuple[str, ...],
    metrics: tuple[str, ...],
    without: tuple[str, ...],
    device: str | None,
    quiet: bool,
) -> None:
    """Go on with the run in RUN_DIR, by default the newest below runs/, as if it had never ended.

    \b
    ms-gan resume                                   the newest run, from its newest checkpoint
    ms-gan resume runs/mine --set epochs=40         more epochs
    ms-gan resume runs/mine --from 468              from an older checkpoint
    ms-gan resume runs/mine --callback TensorBoard  with one callback more

    What was attached to the run by --callback and --metric is attached again.
    """
    with Interrupts() as interrupts:
        from ms_gan_callbacks.config.components import typed
        from ms_gan_callbacks.storage.run_dir import newest_run
        from ms_gan_callbacks.training.lineage import recipe_of
        from ms_gan_callbacks.training.runner import Runner

        out_dir, more = run_dir or newest_run(), typed(callbacks, metrics)
        asked_for = ("callbacks", "metrics") if more or without else ()
        _train(
            Runner.from_recipe(
                recipe_of(out_dir, overrides, more, without),
                out_dir,
                resume=True if from_step is None else from_step,
                allow_change=(*allowed, *asked_for),
                device=device,
                interruption=interrupts,
            ),
            quiet,
        )
