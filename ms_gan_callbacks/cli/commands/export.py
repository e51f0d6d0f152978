"""``ms-gan export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import checkpoint_option, device_option, run_dir_argument, set_option
from ms_gan_callbacks.cli.outputs import Output, attach_output
from ms_gan_callbacks.errors import UsageError

if TYPE_CHECKING:
    from ms_gan_callbacks.results.export.files import ExportedFile

ENDINGS = (".mindir", ".onnx", ".safetensors")
LISTING = b"written by ms-gan export"
"""Text in the first line of a PyTorch module, which may be replaced by another."""


@click.command("export")
@run_dir_argument
@attach_output("Name ending in .mindir, .onnx or .safetensors.")
@click.option(
    "--uint8", is_flag=True, help="Images are uint8, 0 to 255, in the file. [default: floats in [-1, 1]]"
)
@click.option("--network", metavar="NAME", help="Export one network of a game. [default: what makes its images]")
@checkpoint_option
@set_option
@device_option
def command(
    run_dir: Path,
    out: Path | None,
    overwrite: bool,
    uint8: bool,
    network: str | None,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Export the generator of the run in RUN_DIR. Its moving average (EMA) is exported if it has one.

    \b
    ms-gan export runs/mine -o digits.mindir       for MindSpore
    ms-gan export runs/mine -o digits.onnx         for onnxruntime and others; needs the extra [onnx]
    ms-gan export runs/mine -o digits.safetensors  for PyTorch, with a module in digits.py; extra [torch]

    The batch size is open. Before the file is written, it is read back and compared with the generator.
    """
    from ms_gan_callbacks.storage.manifest import Manifest

    Manifest.read(run_dir)  # a missing run is reported first
    output, listing = _check(out, overwrite)
    with Interrupts():
        from ms_gan_callbacks.results.export.files import check_packages, export
        from ms_gan_callbacks.results.inference import Trained

        check_packages(output.ending)
        trained = Trained(run_dir, checkpoint, device, overrides)
        file = export(trained, output.path.name, network, uint8)
        source = file.listing
        if listing is not None and source is not None:
            listing.write(lambda stream: stream.write(source))
        path = output.write(lambda stream: stream.write(file.content))
    averaged = ", moving average" if file.averaged else ""
    click.echo(f"generator of step {trained.step:,}{averaged}: {path}, {len(file.content) / 1e6:.1f} MB")
    _show(file, output, listing)


def _check(out: Path | None, overwrite: bool) -> tuple[Output, Output | None]:
    """Return the output file, and that of the PyTorch module if there is one, after checking both."""
    if out is None:
        raise UsageError(f"-o is missing: the name of a file ending in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    output = Output(out, overwrite, ENDINGS)
    output.check()
    if output.ending != ".safetensors":
        return output, None
    path = out.with_suffix(".py")
    ours = path.is_file() and LISTING in path.read_bytes().partition(b"\n")[0]
    listing = Output(path, overwrite and ours, replaceable=ours)
    listing.check()
    return output, listing


def _show(file: ExportedFile, output: Output, listing: Output | None) -> None:
    """Print the inputs, the output and the result of the comparison."""
    from ms_gan_callbacks.results.export.files import BATCHES, FORMATS

    ports = [("input", port) for port in file.inputs] + [("output", file.output)]
    width = max(len(port.name) for _, port in ports)
    for kind, port in ports:
        click.echo(f"  {kind:<6}  {port.name:<{width}}  {port.describe()}")
    if listing is not None:
        click.echo(f"  module  {listing.path}: from {listing.path.stem} import load; generator = load()")
    batches = f"{', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]}"
    program = FORMATS[output.ending]
    click.echo(f"  same images in {program}: differences up to {file.difference:.1e}, at batches of {batches}")
