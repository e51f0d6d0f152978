"""``ms-gan resume``."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.completion import complete_names, complete_run_dirs, complete_steps
from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import (
    attach_options,
    device_option,
    join_ranks,
    quiet_option,
    ranks_option,
    set_option,
    start_ranks,
    train,
)


@click.command("resume")
@click.argument("run_dir", type=click.Path(path_type=Path), required=False, shell_complete=complete_run_dirs)
@click.option(
    "--from",
    "from_step",
    metavar="STEP",
    type=click.IntRange(min=0),
    shell_complete=complete_steps,
    help="Resume from this checkpoint.",
)
@set_option
@click.option(
    "--allow-change",
    "allowed",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_names,
    help="Allow a change of this setting: a parameter, or recipe, data, seed, batch_size; repeat for more.",
)
@attach_options
@click.option(
    "--without",
    metavar="NAME",
    multiple=True,
    help="Remove a component that --callback or --metric attached; repeat for more.",
)
@device_option
@ranks_option
@quiet_option
def command(
    run_dir: Path | None,
    from_step: int | None,
    overrides: dict[str, str],
    allowed: tuple[str, ...],
    callbacks: tuple[str, ...],
    metrics: tuple[str, ...],
    without: tuple[str, ...],
    device: str | None,
    ranks: int | None,
    quiet: bool,
) -> None:
    """Resume the run in RUN_DIR. The default is the newest run in runs/.

    \b
    ms-gan resume                                   the newest run, from its newest checkpoint
    ms-gan resume runs/mine --set epochs=40         more epochs
    ms-gan resume runs/mine --from 468              from an older checkpoint
    ms-gan resume runs/mine --callback TensorBoard  with an additional callback

    Callbacks and metrics that were attached with --callback and --metric are attached again.
    """
    start_ranks(ranks, run_dir)
    with Interrupts() as interrupts:
        join_ranks()
        from ms_gan_callbacks.config.components import parse_components
        from ms_gan_callbacks.storage.run_dir import find_newest_run
        from ms_gan_callbacks.training.lineage import load_stored_recipe
        from ms_gan_callbacks.training.runner import Runner

        out_dir, more = run_dir or find_newest_run(), parse_components(callbacks, metrics)
        changed = ("callbacks", "metrics") if more or without else ()
        train(
            Runner.from_recipe(
                load_stored_recipe(out_dir, overrides, more, without),
                out_dir,
                resume=True if from_step is None else from_step,
                allow_change=(*allowed, *changed),
                device=device,
                interruption=interrupts,
            ),
            quiet,
        )
