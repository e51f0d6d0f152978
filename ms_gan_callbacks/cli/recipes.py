"""``ms-gan show`` and ``ms-gan verify-resume``: what can be asked of a recipe."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ms_gan_callbacks.cli.options import load, recipe_argument, seed_option, set_option
from ms_gan_callbacks.errors import GanError


@click.command()
@recipe_argument
@set_option
@seed_option
def show(recipe_path: Path, overrides: dict[str, str], seed: int | None) -> None:
    """Show RECIPE's parameters, its networks and who listens to what. Loads no data, trains nothing."""
    recipe = load(recipe_path, overrides, seed)
    from ms_gan_callbacks.overview import overview

    overview(recipe)


@click.command("verify-resume")
@recipe_argument
@click.option("--at", type=click.IntRange(min=1), required=True, metavar="STEP", help="Kill after this step.")
@set_option
def verify_resume(recipe_path: Path, at: int, overrides: dict[str, str]) -> None:
    """Prove on RECIPE that resuming is exact: two short runs, one of them killed, and their sha256.

    Both run for twice STEP steps, in processes and a temporary folder of their own. The exit code is 0 if every
    byte is the same, else 1.
    """
    load(recipe_path, overrides, None)  # its mistakes are told here, not by a child
    from ms_gan_callbacks.verify import verify_resume as verify

    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder:
        proof = verify(recipe_path, at, overrides, Path(folder))
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
