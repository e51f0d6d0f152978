"""``ms-gan plot``."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.options import run_dir_argument
from ms_gan_callbacks.cli.outputs import Output, attach_output


@click.command("plot")
@run_dir_argument
@attach_output(
    "Name ending in .png, .svg or .pdf. [default: curves.png in RUN_DIR, replacing an earlier plot, or"
    " curves-2.png and so on if another file has that name]"
)
def command(run_dir: Path, out: Path | None, overwrite: bool) -> None:
    """Plot the run in RUN_DIR. Shows losses, D(x) and D(G(z)), and metrics with their floors.

    The run may still be training.
    """
    from ms_gan_callbacks.results.plots import draw_curves, is_curves
    from ms_gan_callbacks.storage.manifest import Manifest

    Manifest.read(run_dir)  # first, so that a missing run is reported before a missing folder
    path = out or run_dir / "curves.png"
    output = Output(
        path, overwrite or (out is None and is_curves(path)), (".png", ".svg", ".pdf"), numbered=out is None
    )
    output.check()
    content = draw_curves(run_dir, output.ending)
    click.echo(f"curves: {output.write(lambda file: file.write(content))}")
