"""``ms-gan report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
from ms_gan_callbacks.errors import GanError, UsageError, warn

if TYPE_CHECKING:
    from ms_gan_callbacks.results.report import Report


@click.command("report")
@run_dir_argument
@attach_output("Name ending in .html. [default: report.html, report-2.html and so on]")
@click.option(
    "--evaluation",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Use the values that 'ms-gan evaluate -o FILE' has written. [default: evaluation.json in RUN_DIR if"
    " it is of the newest checkpoint; else the generator is evaluated]",
)
@click.option(
    "--no-evaluation", "skip", is_flag=True, help="Leave out the evaluation, which takes about a minute."
)
@attach_samples(10_000, " of the evaluation")
@click.option("--folder", default="samples", show_default=True, help="Folder of the image grids in RUN_DIR.")
@checkpoint_option
@set_option
@device_option
def command(
    run_dir: Path,
    out: Path | None,
    overwrite: bool,
    file: Path | None,
    skip: bool,
    samples: int,
    folder: str,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Write a report of the run in RUN_DIR as one HTML file, which can be sent by mail.

    The page contains the image grids with a slider over the epochs, curves, metrics compared with real images and
    with fakes of known quality, settings, environment, the time spent in callbacks, and the commands to reproduce
    the run. It does not load anything from elsewhere. The run may still be training.

    \b
    ms-gan report runs/mine                             report.html
    ms-gan report runs/mine -o mine.html -n 2000        a faster evaluation
    ms-gan report runs/mine --evaluation numbers.json   values of ms-gan evaluate -o
    """
    output = Output(out or Path("report.html"), overwrite, (".html", ".htm"), numbered=out is None)
    output.check()
    if file is not None and skip:
        raise UsageError("--evaluation and --no-evaluation are both given; remove one")
    with Interrupts():
        from ms_gan_callbacks.results.frames import list_grids
        from ms_gan_callbacks.results.run_page import make_run_page
        from ms_gan_callbacks.results.stored_report import find_report, read_report
        from ms_gan_callbacks.storage.manifest import Manifest

        Manifest.read(run_dir)
        list_grids(run_dir, folder)  # reports damaged files before the evaluation
        report, reason = None, "The generator was not evaluated."
        if file is not None:
            report = read_report(file)
        elif not skip:
            report = find_report(run_dir) if checkpoint == "last" and not overrides else None
            if report is None:
                report, reason = _evaluate(run_dir, samples, checkpoint, overrides, device)
        content = make_run_page(run_dir, report, reason, folder)
        path = output.write(lambda target: target.write(content))
    click.echo(f"report of {len(content) / 1e6:.1f} MB: {path}")


def _evaluate(
    run_dir: Path, samples: int, checkpoint: str, overrides: dict[str, str], device: str | None
) -> tuple[Report | None, str]:
    """Return the evaluation; if the run cannot be evaluated as it is, warn and return None and the reason."""
    from ms_gan_callbacks.results.inference import Trained
    from ms_gan_callbacks.results.report import evaluate

    try:
        return evaluate(Trained(run_dir, checkpoint, device, overrides), samples), ""
    except GanError as error:
        if checkpoint != "last" or overrides:
            raise
        warn(f"{error}; the report does not contain an evaluation")
        return None, f"The generator was not evaluated: {error}"
