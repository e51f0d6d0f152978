"""``ms-gan animate``."""

from __future__ import annotations

from pathlib import Path

import click

from ms_gan_callbacks.cli.interrupts import Interrupts
from ms_gan_callbacks.cli.options import checkpoint_option, device_option, run_dir_argument, set_option
from ms_gan_callbacks.cli.outputs import Output, attach_output
from ms_gan_callbacks.errors import UsageError, pluralize

ENDINGS = (".gif", ".webp", ".mp4")


@click.command("animate")
@run_dir_argument
@attach_output(
    "Name ending in .gif, .webp or .mp4 (needs pip install 'ms-gan-callbacks[video]'). [default: animation.gif,"
    " animation-2.gif and so on]"
)
@click.option("--interpolate", is_flag=True, help="A walk in latent space, by spherical interpolation.")
@click.option("--class", "label", type=click.IntRange(0), help="Images of one class only, in a conditional run.")
@click.option(
    "-n", "--count", type=click.IntRange(1, 1000), help="Number of images, if they are generated. [default: 25]"
)
@click.option("--frames", "length", type=click.IntRange(2, 2000), help="Frames of the walk. [default: 80]")
@click.option(
    "--fps",
    type=click.FloatRange(0.1, 60),
    help="Frames per second. [default: 20 for a walk; else for about ten seconds in all, from 1 to 10]",
)
@click.option("--folder", default="samples", show_default=True, help="Folder of the image grids in RUN_DIR.")
@click.option("--metric", help="Metric in the captions. [default: fld, or else the first of the run]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of generated images. [default: the run's]")
@checkpoint_option
@set_option
@device_option
def command(
    run_dir: Path,
    out: Path | None,
    overwrite: bool,
    interpolate: bool,
    label: int | None,
    count: int | None,
    length: int | None,
    fps: float | None,
    folder: str,
    metric: str | None,
    seed: int | None,
    checkpoint: str,
    overrides: dict[str, str],
    device: str | None,
) -> None:
    """Animate the run in RUN_DIR: its image grids through the epochs, or a walk in latent space.

    By default, the frames are the image grids that ImageGrid has saved during training, all of the same noise,
    since a run keeps a few checkpoints only. If there are none, or with --class, the frames are generated from the
    checkpoints that the run keeps. The run may still be training.

    \b
    ms-gan animate runs/mine                             the epochs, in animation.gif
    ms-gan animate runs/mine -o walk.webp --interpolate  a walk between noise vectors
    ms-gan animate runs/mine -o run.mp4 --fps 5          a video
    ms-gan animate runs/mine --class 7 --interpolate     one class of a conditional run
    """
    output = Output(out or Path("animation.gif"), overwrite, ENDINGS, numbered=out is None)
    output.check()
    if not interpolate:
        _refuse({"--frames": length, "--checkpoint": checkpoint != "last" or None}, "a walk: pass --interpolate")
    with Interrupts():
        from ms_gan_callbacks.results.animation import check_encoder, encode
        from ms_gan_callbacks.results.frames import draw_frames, list_grids, read_saved_frames
        from ms_gan_callbacks.results.inference import Trained
        from ms_gan_callbacks.results.log import choose_metric
        from ms_gan_callbacks.storage.manifest import Manifest

        check_encoder(output.ending)
        shown = metric or choose_metric(Manifest.read(run_dir).evaluation.floors)
        if not interpolate and label is None and list_grids(run_dir, folder):
            generated = "generated images: pass --interpolate or --class"
            _refuse({"--count": count, "--seed": seed, "--set": overrides or None}, generated)
            frames, source = read_saved_frames(run_dir, folder, shown), f"the grids in {run_dir / folder}"
        else:
            trained = Trained(run_dir, checkpoint, device, overrides)
            steps = (length or 80) if interpolate else None
            frames, source = draw_frames(trained, steps, count or 25, label, seed, shown)
        speed = fps or (20.0 if interpolate else min(10.0, max(1.0, len(frames) / 10)))
        path = output.write(
            lambda file: encode(file, output.ending, frames, speed, hold=0.0 if interpolate else 1.5)
        )
    click.echo(f"{pluralize(len(frames), 'frames')} of {source}: {path}")


def _refuse(options: dict[str, object], use: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} is for {use}, too")
