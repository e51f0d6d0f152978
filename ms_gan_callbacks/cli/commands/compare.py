"""``ms-gan compare``."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.completion import complete_run_dirs
from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import attach_samples, checkpoint_option, device_option, set_option
from ms_gan_callbacks.cli.outputs import Output, attach_output


@click.command("compare")
@click.argument(
    "run_dirs",
    metavar="RUN_DIR RUN_DIR...",
    nargs=-1,
    type=click.Path(path_type=Path),
    shell_complete=complete_run_dirs,
)
@attach_output("Also write curves, image grids and tables to a file ending in .html or .png.")
@attach_samples(2000, " of the metrics")
@click.option("--no-evaluation", "skip", is_flag=True, help="Leave out the metrics.")
@checkpoint_option
@set_option
@device_option
def command(
    run_dirs: tuple[Path, ...],
    out: Path | None,
    overwrite: bool,
    samples: int,
    skip: bool,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Compare several runs: settings that differ, curves, metrics with their noise, and images of the same noise.

    Each run is compared with the first one: a metric is better, worse, or within noise. If some runs differ in
    their seed only, the noise is the spread between them; else it is that of the generated images. Runs that
    cannot be loaded, such as runs without a checkpoint, are compared without images and metrics.

    \b
    ms-gan compare runs/a runs/b                      tables
    ms-gan compare runs/a runs/b -o compare.html      a page with curves and images
    ms-gan compare runs/a runs/b runs/c -o runs.png   a picture
    """
    output = None if out is None else Output(out, overwrite, (".html", ".png"))
    if output is not None:
        output.check()
    with Interrupts():
        from rich.console import Console as Terminal

        from ms_gan_callbacks.results.comparison import load_runs, read_runs
        from ms_gan_callbacks.results.comparison_page import draw_comparison, make_comparison_page, make_tables

        runs = read_runs(run_dirs)
        if output is not None or not skip:
            load_runs(runs, checkpoint, overrides, device, None if skip else samples)
        terminal = Terminal(highlight=False)
        for part in make_tables(runs):
            terminal.print(part)
            terminal.print()
        if output is not None:
            content = make_comparison_page(runs) if output.ending == ".html" else draw_comparison(runs)
            click.echo(f"comparison: {output.write(lambda file: file.write(content))}")
