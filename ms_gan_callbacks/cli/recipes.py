"""``ms-gan new``, ``show`` and ``verify-resume``: what can be done with a recipe, short of running it."""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path

import click

from ms_gan_callbacks.cli.options import (
    attach_options,
    load,
    recipe_argument,
    seed_option,
    set_option,
    with_seed,
)
from ms_gan_callbacks.cli.outputs import Output
from ms_gan_callbacks.config.catalog import about, locate, named, required, shipped, text_to_start_from
from ms_gan_callbacks.errors import GanError, UsageError

DEFAULT = "mnist_dcgan"


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        recipes = named()
        width = max(map(len, recipes), default=0)
        for name, path in recipes.items():
            click.echo(f"{name:<{width}}  {about(path)}")
        context.exit()


@click.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "source",
    metavar="RECIPE",
    help=f"What to copy. [default: the recipe that is called NAME, else {DEFAULT}]",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="Show what there is to copy."
)
def new(name: Path, source: str | None) -> None:
    """Write a recipe to start from: NAME.py, a copy of one that goes by a name, ready to run.

    \b
    ms-gan new --list                     what there is
    ms-gan new faces --from folder_dcgan  faces.py
    """
    if name.suffix not in ("", ".py") or not re.fullmatch(r"\w[\w-]*", name.stem):
        raise UsageError(f"{name} is no name for a recipe: letters, digits, _ and -, and .py if you like")
    path = name.with_suffix(".py")
    # Under the name of a recipe one expects that recipe, and this file then goes by it here.
    source = source if source is not None else path.stem if path.stem in shipped() else DEFAULT
    output = Output(path, replaceable=False)
    output.check()
    content = text_to_start_from(source, path)
    output.write(lambda file: file.write(content))
    needs = "".join(f" --set {one}=..." for one in required(path))
    click.echo(f"{path}, from {source}; run it with: ms-gan run {shlex.quote(str(path))}{needs}")


@click.command()
@recipe_argument
@set_option
@attach_options
@seed_option
def show(
    recipe_path: Path,
    overrides: dict[str, str],
    callbacks: tuple[str, ...],
    metrics: tuple[str, ...],
    seed: int | None,
) -> None:
    """Show RECIPE's parameters, its networks and who listens to what. Loads no data, trains nothing.

    Of a recipe whose parameters are not all given, the parameters.
    """
    path = locate(recipe_path)  # before MindSpore is imported
    from ms_gan_callbacks.config.attach import attach
    from ms_gan_callbacks.config.components import typed
    from ms_gan_callbacks.config.overview import overview, show_parameters
    from ms_gan_callbacks.config.parameters import Tunable
    from ms_gan_callbacks.config.recipe import RecipeFile

    file, wanted = RecipeFile.open(path), typed(callbacks, metrics)
    try:
        overrides = with_seed(file, overrides, seed)
        arguments = file.bind(overrides)
    except UsageError:
        show_parameters(file, file.bind())
        raise
    show_parameters(file, arguments)
    missing = [name for name, value in arguments.items() if value is Tunable.REQUIRED]
    if missing:
        for one in wanted:
            one.make()  # its mistakes are told here, too
        needs = " ".join(f"--set {name}=..." for name in missing)
        click.echo(
            f"\nThe networks and callbacks are shown with: ms-gan show {shlex.quote(str(recipe_path))} {needs}"
        )
        return
    overview(attach(file.build(overrides), wanted))


@click.command("verify-resume")
@recipe_argument
@click.option("--at", type=click.IntRange(min=1), required=True, metavar="STEP", help="Kill after this step.")
@set_option
@attach_options
def verify_resume(
    recipe_path: Path, at: int, overrides: dict[str, str], callbacks: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    """Prove on RECIPE that resuming is exact: two short runs, one of them killed, and their sha256.

    Both run for twice STEP steps, in processes and a temporary folder of their own. The exit code is 0 if every
    byte is the same, else 1.
    """
    recipe_path = locate(recipe_path)
    load(recipe_path, overrides, None, callbacks, metrics)  # its mistakes are told here, not by a child
    from ms_gan_callbacks.training.verify import verify_resume as verify

    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder:
        proof = verify(recipe_path, at, overrides, Path(folder), callbacks, metrics)
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
