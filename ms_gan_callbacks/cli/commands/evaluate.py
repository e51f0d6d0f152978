"""``ms-gan evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import (
    attach_samples,
    checkpoint_option,
    device_option,
    run_dir_argument,
    set_option,
)
from ms_gan_callbacks.cli.outputs import Output, attach_output


@click.command("evaluate")
@run_dir_argument
@attach_samples(10_000)
@click.option(
    "--features",
    metavar="NAME[:KEY=VALUE,...]",
    help="Feature extractor instead of the recipe's: lenet, picture_net, stacked_lenet, thumbnails, "
    "package.module:function.",
)
@attach_output("Also write the values to a JSON file.")
@checkpoint_option
@set_option
@device_option
def command(
    run_dir: Path,
    samples: int,
    features: str | None,
    out: Path | None,
    overwrite: bool,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Evaluate the run in RUN_DIR by every metric.

    Generated images are compared with held-out test images if the recipe defines test data, else with
    training images. The table also lists real images (the floor) and fakes of known quality.

    \b
    ms-gan evaluate runs/mine                         takes about a minute
    ms-gan evaluate runs/mine --checkpoint best       the checkpoint of Checkpoint(best=...)
    ms-gan evaluate runs/mine --features picture_net  for images other than 28 x 28 digits
    ms-gan evaluate runs/mine --set path=/new/photos  if its data has moved
    """
    output = None if out is None else Output(out, overwrite)
    if output is not None:
        output.check()
    with Interrupts():
        from dataclasses import asdict

        from rich.console import Console as Terminal

        from ms_gan_callbacks.config.components import Typed
        from ms_gan_callbacks.results.inference import Trained
        from ms_gan_callbacks.results.report import evaluate
        from ms_gan_callbacks.storage.files import to_json

        extractor = None if features is None else Typed.parse("features", features).make()
        report = evaluate(Trained(run_dir, checkpoint, device, overrides), samples, extractor)
        Terminal(highlight=False).print(report.make_table())
        if output is not None:
            content = to_json(asdict(report))
            click.echo(f"all digits: {output.write(lambda file: file.write(content))}")
