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
@click.option("--at", type=click.IntRange(min=1), required=True, metavar="STEP", help="Kill after this step.")
@set_option
@attach_options
def command(
    recipe_path: Path, at: int, overrides: dict[str, str], callbacks: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    """Prove on RECIPE that resuming is exact. Compares the sha256 of two short runs, one of them killed.

    Both run for twice STEP steps, in processes and a temporary folder of their own. The exit code is 0 if every
    byte is the same, else 1.
    """
    recipe_path = locate(recipe_path)
    load(recipe_path, overrides, None, callbacks, metrics)  # its mistakes are told here, not by a child
    from ms_gan_callbacks.training.verify import verify_resume

    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder:
        proof = verify_resume(recipe_path, at, overrides, Path(folder), callbacks, metrics)
    click.echo(f"{2 * at} steps in one go, and killed after step {at} and resumed:")
    for name, digest in proof.whole.items():
        same = proof.resumed[name] == digest
        click.echo(f"  {name:<20} {digest}")
        click.echo(f"  {'':<20} {proof.resumed[name]}  {'the same' if same else 'DIFFERENT'}")
    if not proof.holds:
        raise GanError(
            "the resumed run differs: something in the recipe draws random numbers of its own (nn.Dropout does), "
            "or keeps state that no checkpoint holds"
        )
