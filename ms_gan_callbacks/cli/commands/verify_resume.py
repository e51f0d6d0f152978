"""``ms-gan verify-resume``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ms_gan_callbacks.cli.options import attach_options, load, recipe_argument, set_option
from ms_gan_callbacks.config.catalog import locate
from ms_gan_callbacks.errors import GanError


@click.command("verify-resume")
@recipe_argument
@click.option(
    "--at", type=click.IntRange(min=1), required=True, metavar="STEP", help="Step to kill one run after."
)
@set_option
@attach_options
def command(
    recipe_path: Path, at: int, overrides: dict[str, str], callbacks: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    """Check that RECIPE resumes exactly. Compares the sha256 of two short runs, one of them killed and resumed.

    Both runs take twice STEP steps, in separate processes and a temporary folder. The exit code is 0 if all bytes
    are equal, else 1.
    """
    recipe_path = locate(recipe_path)
    load(recipe_path, overrides, None, callbacks, metrics)  # reports errors before a process is started
    from ms_gan_callbacks.training.verify import verify_resume

    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder:
        proof = verify_resume(recipe_path, at, overrides, Path(folder), callbacks, metrics)
    click.echo(f"{2 * at} steps uninterrupted, and killed after step {at} and resumed:")
    for name, digest in proof.whole.items():
        same = proof.resumed[name] == digest
        click.echo(f"  {name:<20} {digest}")
        click.echo(f"  {'':<20} {proof.resumed[name]}  {'the same' if same else 'DIFFERENT'}")
    if not proof.holds:
        raise GanError(
            "the resumed run differs: the recipe draws random numbers from a global state, as ops.dropout does, "
            "or has state that is not saved in checkpoints"
        )
