"""``ms-gan plot``."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.options import run_dir_argument
from ms_gan_callbacks.cli.outputs import Output, out_option


@click.command("plot")
@run_dir_argument
@out_option(
    "[default: curves.png in the run's folder, in place of an older one; curves-2.png and so on where that name"
    " is another file's]"
)
def command(run_dir: Path, out: Path | None, overwrite: bool) -> None:
    """Draw the curves of the run in RUN_DIR. They are losses, D(x) and D(G(z)), and metrics with their floors.

    A run that is still training can be drawn, too. FILE may end in .png, .svg or .pdf.
    """
    from ms_gan_callbacks.results.plots import draw_curves, is_curves
    from ms_gan_callbacks.storage.manifest import Manifest

    Manifest.read(run_dir)  # before its folder is looked at as a place to write to
    path = out or run_dir / "curves.png"
    ours = out is None and is_curves(path)
    output = Output(path, overwrite or ours, (".png", ".svg", ".pdf"), numbered=out is None)
    output.check()
    content = draw_curves(run_dir, output.ending)
    click.echo(f"curves: {output.write(lambda file: file.write(content))}")
