"""``ms-gan sample``, ``evaluate`` and ``plot``: what can be made of a run that has been trained."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.options import check_folder, device_option
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
@click.option(
    "--columns",
    type=click.IntRange(1),
    help="Images in a row of the picture. [default: about square, or a column a class]",
)
@click.option("--seed", type=click.IntRange(min=0), help="Another noise than the run's own.")
@click.option("--class", "label", type=click.IntRange(0), help="Of one class only, in a conditional run.")
@click.option("--interpolate", is_flag=True, help="Walk from one noise vector to another, in a straight line.")
@checkpoint_option
@device_option
def sample(
    run_dir: Path,
    count: int,
    out: Path | None,
    columns: int | None,
    seed: int | None,
    label: int | None,
    interpolate: bool,
    checkpoint: str,
    device: str | None,
) -> None:
    """Draw images from the generator of the run in RUN_DIR.

    \b
    ms-gan sample runs/mine                         64 images, samples.png
    ms-gan sample runs/mine -n 16 --interpolate     a walk between two of them
    ms-gan sample runs/mine -n 10000 -o fakes.npz   an array "images", uint8 (N, C, H, W)
    ms-gan sample runs/mine --class 7               of one class, from a conditional run
    """
    path = out or Path("samples.png")
    if path.suffix not in (".png", ".npz"):
        raise UsageError(f"{path} must end in .png or .npz")
    check_folder(path)
    import numpy as np

    from ms_gan_callbacks.images import image_grid, save_npz, save_png, to_uint8
    from ms_gan_callbacks.trained import Trained

    trained = Trained(run_dir, checkpoint, device)
    noise = trained.noise(2 if interpolate else count, seed=seed)
    if interpolate:
        noise = np.linspace(noise[0], noise[1], count, dtype=np.float32)
        label = 0 if label is None and trained.recipe.classes else label  # a walk is within one class
    images = to_uint8(trained.generate(noise, None if label is None else np.full(count, label)))
    if path.suffix == ".npz":
        save_npz(path, images=images)
    else:
        by_class = trained.recipe.classes if label is None and count >= (trained.recipe.classes or 0) else None
        save_png(path, image_grid(images, columns=columns or by_class or round(count**0.5)))
    click.echo(f"{count} images of step {trained.step:,}: {path}")


@click.command()
@run_dir_argument
@click.option(
    "-n",
    "--samples",
    type=click.IntRange(100),
    default=10_000,
    show_default=True,
    help="Images on each side; numbers of different counts do not compare.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the numbers as JSON, too."
)
@checkpoint_option
@device_option
def evaluate(run_dir: Path, samples: int, out: Path | None, checkpoint: str, device: str | None) -> None:
    """Judge the generator of the run in RUN_DIR by every metric.

    Its images are held against test images it has not seen, where its recipe names them. Beside its
    numbers stand those of real images (the floor) and of fakes whose quality is known.

    \b
    ms-gan evaluate runs/mine                       about a minute
    ms-gan evaluate runs/mine --checkpoint best     what Checkpoint(best=...) has kept
    """
    if out is not None:
        check_folder(out)
    from dataclasses import asdict

    from rich.console import Console as Terminal

    from ms_gan_callbacks.files import replace_file, to_json
    from ms_gan_callbacks.judgement import judge
    from ms_gan_callbacks.trained import Trained

    judgement = judge(Trained(run_dir, checkpoint, device), samples)
    Terminal(highlight=False).print(judgement.table())
    if out is not None:
        replace_file(out, to_json(asdict(judgement)))
        click.echo(f"all digits: {out}")


@click.command()
@run_dir_argument
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="[default: curves.png in the run's folder]",
)
def plot(run_dir: Path, out: Path | None) -> None:
    """Draw the curves of the run in RUN_DIR: losses, D(x) and D(G(z)), and metrics with their floors.

    A run that is still training can be drawn, too. FILE may end in .png, .svg or .pdf.
    """
    from ms_gan_callbacks.curves import plot_curves

    path = out or run_dir / "curves.png"
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"{path} must end in .png, .svg or .pdf")
    if out is not None:
        check_folder(out)
    plot_curves(run_dir, path)
    click.echo(f"curves: {path}")
