"""``ms-gan evaluate`` and ``plot``: what can be told of a run that has been trained."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import checkpoint_option, device_option, run_dir_argument, set_option
from ms_gan_callbacks.cli.outputs import Output, out_option


@click.command()
@run_dir_argument
@click.option(
    "-n",
    "--samples",
    type=click.IntRange(100),
    default=10_000,
    show_default=True,
    help="Images on each side, fewer where there are fewer real ones; numbers of different counts do not compare.",
)
@click.option(
    "--features",
    metavar="NAME[:KEY=VALUE,...]",
    help="What metrics compare, instead of the recipe's: lenet, thumbnails, or package.module:function.",
)
@out_option("Write the numbers as JSON, too.")
@checkpoint_option
@set_option
@device_option
def evaluate(
    run_dir: Path,
    samples: int,
    features: str | None,
    out: Path | None,
    overwrite: bool,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Judge the generator of the run in RUN_DIR by every metric.

    Its images are held against test images it has not seen, where its recipe names them. Beside its
    numbers stand those of real images (the floor) and of fakes whose quality is known.

    \b
    ms-gan evaluate runs/mine                         about a minute
    ms-gan evaluate runs/mine --checkpoint best       what Checkpoint(best=...) has kept
    ms-gan evaluate runs/mine --features thumbnails   of images that are not 28 x 28 digits
    ms-gan evaluate runs/mine --set path=/new/photos  where its data has moved
    """
    output = None if out is None else Output(out, overwrite)
    if output is not None:
        output.check()
    with Interrupts():
        from dataclasses import asdict

        from rich.console import Console as Terminal

        from ms_gan_callbacks.config.components import Typed
        from ms_gan_callbacks.results.inference import Trained
        from ms_gan_callbacks.results.report import judge
        from ms_gan_callbacks.storage.files import to_json

        extractor = None if features is None else Typed.parse("features", features).make()
        judgement = judge(Trained(run_dir, checkpoint, device, overrides), samples, extractor)
        Terminal(highlight=False).print(judgement.table())
        if output is not None:
            content = to_json(asdict(judgement))
            click.echo(f"all digits: {output.write(lambda file: file.write(content))}")


@click.command()
@run_dir_argument
@out_option(
    "[default: curves.png in the run's folder, in place of an older one; curves-2.png and so on where that name"
    " is another file's]"
)
def plot(run_dir: Path, out: Path | None, overwrite: bool) -> None:
    """Draw the curves of the run in RUN_DIR: losses, D(x) and D(G(z)), and metrics with their floors.

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
