"""``ms-gan sample``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import checkpoint_option, device_option, run_dir_argument, set_option
from ms_gan_callbacks.cli.outputs import Output, attach_output
from ms_gan_callbacks.errors import UsageError, pluralize, warn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ms_gan_callbacks.results.inference import Trained

MAX_IN_A_GRID = 10_000
PART = 1024
"""Images generated at a time: a multiple of the compiled batch size, so that the result does not depend on it."""


@click.command("sample")
@run_dir_argument
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Number of images; at most 10,000 in a grid.",
)
@attach_output("Name ending in .png (a grid) or .npz (an array). [default: samples.png, samples-2.png and so on]")
@click.option(
    "--columns",
    type=click.IntRange(1),
    help="Columns of the grid. [default: about square, or one column per class]",
)
@click.option(
    "--scale",
    type=click.IntRange(1),
    help="Enlarge images in the grid by this factor. [default: by the images' size, 3 for 28 x 28]",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the noise. [default: the run's]")
@click.option("--class", "label", type=click.IntRange(0), help="Images of one class only, in a conditional run.")
@click.option("--interpolate", is_flag=True, help="Interpolate linearly between two noise vectors.")
@click.option(
    "--input",
    "inputs",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of images to translate, in a run whose generator is fed images.",
)
@checkpoint_option
@set_option
@device_option
def command(
    run_dir: Path,
    count: int,
    out: Path | None,
    overwrite: bool,
    columns: int | None,
    scale: int | None,
    seed: int | None,
    label: int | None,
    interpolate: bool,
    inputs: Path | None,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Generate images with the generator of the run in RUN_DIR.

    \b
    ms-gan sample runs/mine                         64 images in samples.png
    ms-gan sample runs/mine -n 16 --interpolate     interpolation between two images
    ms-gan sample runs/mine -n 50000 -o fakes.npz   array "images", uint8 (N, C, H, W)
    ms-gan sample runs/mine --class 7               one class of a conditional run
    ms-gan sample runs/mine --input in -o out       every image of a folder, translated
    """
    if inputs is not None:
        _translate(run_dir, inputs, out, overwrite, checkpoint, overrides, device)
        return
    output = Output(out or Path("samples.png"), overwrite, (".png", ".npz"), numbered=out is None)
    output.check()
    as_grid = output.ending == ".png"
    if as_grid and count > MAX_IN_A_GRID:
        raise UsageError(
            f"a grid can contain at most {MAX_IN_A_GRID:,} images, not {count:,}; "
            f"write an array: -o {output.path.with_suffix('.npz').name}"
        )
    if not as_grid and (columns or scale):
        names = " and ".join(name for name, value in (("--columns", columns), ("--scale", scale)) if value)
        warn(f"{names}: used for grids only, ignored for {output.path}")
    with Interrupts():
        from ms_gan_callbacks.data.images import write_npz
        from ms_gan_callbacks.results.inference import Trained

        trained = Trained(run_dir, checkpoint, device, overrides)
        parts = _draw(trained, count, seed, label, interpolate)
        first = next(parts)
        if as_grid:
            by_class = trained.recipe.classes if label is None and count >= (trained.recipe.classes or 0) else None
            in_a_row = min(columns or by_class or round(count**0.5), count)
            content = _render_grid(first, parts, count, in_a_row, scale)
            path = output.write(lambda file: file.write(content))
        else:
            shape = (count, *first.shape[1:])
            path = output.write(lambda file: write_npz(file, "images", shape, chain([first], parts)))
    click.echo(f"{pluralize(count, 'images')} of step {trained.step:,}: {path}")


def _translate(
    run_dir: Path,
    inputs: Path,
    out: Path | None,
    overwrite: bool,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Write an image for every image of a folder."""
    with Interrupts():
        from ms_gan_callbacks.results.inference import Trained
        from ms_gan_callbacks.results.translation import translate_folder

        trained = Trained(run_dir, checkpoint, device, overrides)
        folder = out or Path("translated")
        count = translate_folder(trained, inputs, folder, overwrite)
    click.echo(f"{pluralize(count, 'images')} of step {trained.step:,}: {folder}")


def _draw(
    trained: Trained, count: int, seed: int | None, label: int | None, interpolate: bool
) -> Iterator[NDArray[np.uint8]]:
    """Yield uint8 images, (N, C, H, W), at most PART at a time."""
    import numpy as np

    from ms_gan_callbacks.data.images import to_uint8

    if not trained.takes_noise:
        if interpolate or label is not None:
            name = "--interpolate" if interpolate else "--class"
            raise UsageError(f"{name} is for generators of noise; this game has other inputs")
        yield from map(to_uint8, trained.draw_image_parts(count, PART, seed))
        return
    classes, parts = trained.recipe.classes, trained.draw_noise_parts(count, PART, seed)
    if interpolate:
        ends = trained.noise(2, seed=seed)
        path = np.linspace(ends[0], ends[1], count, dtype=np.float32)
        parts = (path[start : start + PART] for start in range(0, count, PART))
        label = 0 if label is None and classes else label  # interpolate within one class
    start, finite = 0, True
    for noise in parts:
        turns = np.arange(start, start + len(noise))
        labels = np.full(len(noise), label) if label is not None else turns % classes if classes else None
        images = trained.generate(noise, labels)
        if finite and not np.isfinite(images).all():
            finite = False
            warn(
                "the generator returns NaN or infinite values, which are shown in black: the run has diverged; "
                "select an earlier checkpoint with --checkpoint"
            )
        yield to_uint8(images)
        start += len(noise)


def _render_grid(
    first: NDArray[np.uint8], rest: Iterator[NDArray[np.uint8]], count: int, columns: int, scale: int | None
) -> bytes:
    import numpy as np

    from ms_gan_callbacks.data.images import MOST_PIXELS, compute_grid_shape, image_grid, to_png

    shape = first.shape[1:]
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(
            f"a grid needs images of shape (1, H, W) or (3, H, W), and generated images have shape {shape}; "
            "write an array: -o samples.npz"
        )
    height, width = compute_grid_shape(count, columns, *shape[1:], scale=scale or 1)
    if height * width > MOST_PIXELS:
        raise UsageError(
            f"{count:,} images of {shape[1]} x {shape[2]} pixels"
            + (f", enlarged {scale} times," if scale else "")
            + f" need a grid of {width:,} x {height:,} pixels, which few programs can open; reduce -n"
            + (" or --scale" if scale else "")
            + ", or write an array: -o samples.npz"
        )
    return to_png(image_grid(np.concatenate([first, *rest]), columns, scale=scale))
