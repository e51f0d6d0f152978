"""``ms-gan sample``: what can be made of a run that has been trained."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.options import device_option
from ms_gan_callbacks.errors import UsageError

run_dir_argument = click.argument("run_dir", type=click.Path(path_type=Path))
checkpoint_option = click.option(
    "--checkpoint", default="last", metavar="WHICH", help="last, best, or a step. [default: last]"
)


@click.command()
@run_dir_argument
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Images.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help=".png, or .npz of uint8 images. [default: samples.png]",
)
@click.option("--columns", type=click.IntRange(1), help="Images in a row of the picture. [default: about square]")
@click.option("--seed", type=click.IntRange(min=0), help="Another noise than the run's own.")
@click.option("--interpolate", is_flag=True, help="Walk from one noise vector to another, in a straight line.")
@checkpoint_option
@device_option
def sample(
    run_dir: Path,
    count: int,
    out: Path | None,
    columns: int | None,
    seed: int | None,
    interpolate: bool,
    checkpoint: str,
    device: str | None,
) -> None:
    """Draw images from the generator of the run in RUN_DIR.

    \b
    ms-gan sample runs/mine                         64 images, samples.png
    ms-gan sample runs/mine -n 16 --interpolate     a walk between two of them
    ms-gan sample runs/mine -n 10000 -o fakes.npz   an array "images", uint8 (N, C, H, W)
    """
    path = out or Path("samples.png")
    if path.suffix not in (".png", ".npz"):
        raise UsageError(f"{path} must end in .png or .npz")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} to")
    import numpy as np

    from ms_gan_callbacks.images import image_grid, save_npz, save_png, to_uint8
    from ms_gan_callbacks.trained import Trained

    trained = Trained(run_dir, checkpoint, device)
    noise = trained.noise(2 if interpolate else count, seed=seed)
    if interpolate:
        noise = np.linspace(noise[0], noise[1], count, dtype=np.float32)
    images = to_uint8(trained.generate(noise))
    if path.suffix == ".npz":
        save_npz(path, images=images)
    else:
        save_png(path, image_grid(images, columns=columns or round(count**0.5)))
    click.echo(f"{count} images of step {trained.step:,}: {path}")
