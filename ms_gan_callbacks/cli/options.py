"""Arguments and options shared by commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ms_gan_callbacks.cli.completion import (
    complete_checkpoints,
    complete_overrides,
    complete_recipes,
    complete_run_dirs,
)
from ms_gan_callbacks.config.catalog import locate
from ms_gan_callbacks.errors import RecipeError, UsageError
from ms_gan_callbacks.storage.environment import is_rank

if TYPE_CHECKING:
    from ms_gan_callbacks.config.recipe import Recipe, RecipeFile
    from ms_gan_callbacks.training.runner import Runner


def _parse_overrides(_: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    overrides = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        if name.strip() in overrides:
            raise click.BadParameter(f"{name.strip()} is given twice")
        overrides[name.strip()] = text
    return overrides


recipe_argument = click.argument(
    "recipe_path", metavar="RECIPE", type=click.Path(path_type=Path), shell_complete=complete_recipes
)
set_option = click.option(
    "--set",
    "overrides",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_parse_overrides,
    shell_complete=complete_overrides,
    help="Override a parameter of the recipe; repeat for more. 'ms-gan show RECIPE' lists them.",
)
seed_option = click.option("--seed", type=click.IntRange(min=0), help="Seed of the run. [default: the recipe's]")


def attach_samples(default: int, use: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds ``--samples``, the number of images on each side of a comparison."""
    return click.option(
        "-n",
        "--samples",
        type=click.IntRange(100),
        default=default,
        show_default=True,
        help=f"Number of generated and of real images{use}, limited by the data. Values for different numbers are "
        "not comparable.",
    )


def attach_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--callback`` and ``--metric`` to a command."""
    for kind in ("metric", "callback"):  # decorators nest from the inside out
        command = click.option(
            f"--{kind}",
            f"{kind}s",
            metavar="NAME[:KEY=VALUE,...]",
            multiple=True,
            help=f"Attach an additional {kind}; repeat for more. 'ms-gan plugins' lists them.",
        )(command)
    return command


run_dir_argument = click.argument("run_dir", type=click.Path(path_type=Path), shell_complete=complete_run_dirs)
checkpoint_option = click.option(
    "--checkpoint",
    default="last",
    metavar="WHICH",
    shell_complete=complete_checkpoints,
    help="last, best, or a step. [default: last]",
)
device_option = click.option(
    "--device",
    type=click.Choice(["CPU", "GPU", "Ascend"], case_sensitive=False),
    help="Device to use. [default: MindSpore's choice]",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only print the closing summary.")

ranks_option = click.option(
    "--ranks",
    type=click.IntRange(1),
    metavar="N",
    help="Divide each batch among N processes of this machine. [default: 1]",
)


def start_ranks(ranks: int | None, out_dir: Path | None, recipe_path: Path | None = None) -> None:
    """Run this command as several ranks, and exit; return if there is only one, and in each of the ranks.

    Call it before signals are blocked.
    """
    if ranks is None:
        return
    from ms_gan_callbacks.cli.launcher import check_ranks, launch

    check_ranks(ranks)
    if ranks > 1 and not is_rank():
        if recipe_path is not None:
            locate(recipe_path)  # raises if there is none, which would otherwise be known seconds later
        context = click.get_current_context()
        arguments = getattr(context.find_root().command, "arguments", ())
        context.exit(launch(ranks, [sys.executable, "-m", "ms_gan_callbacks", *arguments], out_dir))


def join_ranks() -> None:
    """Join the other ranks in a job; call it before anything is written."""
    if is_rank():
        from ms_gan_callbacks.models.world import join_world

        join_world()


def load(
    path: Path,
    overrides: dict[str, str],
    seed: int | None,
    callbacks: Sequence[str] = (),
    metrics: Sequence[str] = (),
) -> Recipe:
    """Return the recipe with a path or name, with the parameters, callbacks and metrics of the command line."""
    path = locate(path)  # before MindSpore is imported
    from ms_gan_callbacks.config.attach import attach
    from ms_gan_callbacks.config.components import parse_components
    from ms_gan_callbacks.config.recipe import RecipeFile

    file = RecipeFile.open(path)
    return attach(file.build(add_seed(file, overrides, seed)), parse_components(callbacks, metrics))


def add_seed(file: RecipeFile, overrides: dict[str, str], seed: int | None) -> dict[str, str]:
    """Return overrides that include ``--seed``; raise UsageError if it is not a parameter or set twice."""
    if seed is None:
        return overrides
    if "seed" not in file.tunables:
        raise RecipeError(f"{file.path.name} does not have a parameter seed, which --seed needs")
    if "seed" in overrides:
        raise UsageError(f"--seed {seed} and --set seed={overrides['seed']} are both given; remove one")
    return {**overrides, "seed": str(seed)}


def train(runner: Runner, quiet: bool) -> None:
    """Train; print the closing summary if ``quiet``, as Console does otherwise."""
    result = runner.train(quiet=quiet)
    if quiet and runner.leads:
        click.echo(result.summary())
