"""The ``ms-gan`` command. What needs MindSpore is imported by the commands that need it, so help is instant."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ms_gan_callbacks.errors import GanError, GanWarning, Interrupted, RecipeError
from ms_gan_callbacks.interrupts import Interrupts

if TYPE_CHECKING:
    from ms_gan_callbacks.recipe import Recipe
    from ms_gan_callbacks.runner import Runner

INTERRUPTED = 130


class CommandLine(click.Group):
    """Prints whatever goes wrong as one ``Error:`` line and ends with the error's exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; always ends in SystemExit, as a process should."""
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help() if error.ctx else "", err=True)
            code = error.exit_code
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            hint = f" (see {context.command_path} --help)" if context else ""
            code = _report(error.format_message().replace("\n", " ") + hint, error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            code = _report("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has left, as ``| head`` does; the work is done. Python would complain once
            # more when it flushes on exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except Interrupted as error:
            click.echo(str(error), err=True)
            code = error.exit_code
        except GanError as error:
            code = _report(_one_line(error), error.exit_code)
        except Exception as error:
            code = _report(f"{_one_line(error)}; {_keep_traceback()}", 1)
        raise SystemExit(code or 0)


def _report(message: str, code: int) -> int:
    click.echo(click.style("Error: ", fg="red", bold=True) + message, err=True)
    return code


def _one_line(error: BaseException) -> str:
    """Describe an error: its type unless it is ours, its first line, and the notes it was annotated with."""
    first = (str(error).strip().splitlines() or [""])[0]
    kind = "" if isinstance(error, GanError) else type(error).__name__ + (": " if first else "")
    notes = ", ".join(getattr(error, "__notes__", []))
    return f"{kind}{first}" + (f" ({notes})" if notes else "")


def _keep_traceback() -> str:
    """Write the traceback at hand to a file, for whoever wants to see more than a line; tell where it is."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="ms-gan-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"the traceback cannot be kept: {error.strerror or error}"
    return f"traceback in {name}"


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    where = "" if issubclass(category, GanWarning) else f" ({filename}:{lineno})"
    click.echo(click.style("Warning: ", fg="yellow", bold=True) + f"{message}{where}", err=True)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ms-gan-callbacks", prog_name="ms-gan")
def main() -> None:
    """Train GANs in MindSpore from recipes.

    \b
    ms-gan run recipes/mnist_mlp.py     train, with everything the recipe attaches
    ms-gan resume                       go on with the newest run, as if it had never ended
    ms-gan show recipes/mnist_mlp.py    see its parameters, networks and callbacks
    """
    # Before MindSpore is imported, or it does not count: no log noise about deprecated kernels, and no
    # rank_0/ folder in the working directory when a network does not compile.
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", tempfile.gettempdir())
    warnings.showwarning = _show_warning


def _overrides(_: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    overrides = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        overrides[name.strip()] = text
    return overrides


recipe_argument = click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
set_option = click.option(
    "--set",
    "overrides",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_overrides,
    help="Override a parameter of the recipe; repeat for more. 'ms-gan show RECIPE' lists them.",
)
seed_option = click.option("--seed", type=click.IntRange(min=0), help="The seed, instead of the recipe's.")
device_option = click.option(
    "--device",
    type=click.Choice(["CPU", "GPU", "Ascend"], case_sensitive=False),
    help="Where to train. [default: MindSpore's choice]",
)


quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress; only the closing summary.")


@main.command()
@recipe_argument
@click.option(
    "--out",
    "out_dir",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The run's folder, new or empty. [default: runs/<recipe>-<time>]",
)
@set_option
@seed_option
@device_option
@quiet_option
def run(
    recipe_path: Path,
    out_dir: Path | None,
    overrides: dict[str, str],
    seed: int | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Train the GAN that RECIPE describes.

    \b
    Exit codes: 0 finished, or stopped by a callback; 1 failed; 2 something in what was
    typed or written has to change; 130 interrupted.
    """
    with Interrupts() as interrupts:
        recipe = _load(recipe_path, overrides, seed)
        from ms_gan_callbacks.runner import Runner

        _train(Runner.from_recipe(recipe, out_dir, device=device, interruption=interrupts), quiet)


def _train(runner: Runner, quiet: bool) -> None:
    result = runner.train(quiet=quiet)
    if quiet:
        click.echo(result.summary())


@main.command()
@click.argument("run_dir", type=click.Path(path_type=Path), required=False)
@click.option(
    "--from", "from_step", metavar="STEP", type=click.IntRange(min=0), help="Go on from this checkpoint."
)
@set_option
@click.option(
    "--allow-change",
    "allowed",
    metavar="NAME",
    multiple=True,
    help="Let this differ from the run: a parameter, or recipe, data, seed, batch_size; repeat for more.",
)
@device_option
@quiet_option
def resume(
    run_dir: Path | None,
    from_step: int | None,
    overrides: dict[str, str],
    allowed: tuple[str, ...],
    device: str | None,
    quiet: bool,
) -> None:
    """Go on with the run in RUN_DIR, by default the newest below runs/, as if it had never ended.

    \b
    ms-gan resume                                   the newest run, from its newest checkpoint
    ms-gan resume runs/mine --set epochs=40         more epochs
    ms-gan resume runs/mine --from 468              from an older checkpoint
    """
    with Interrupts() as interrupts:
        from ms_gan_callbacks.run_dir import newest_run
        from ms_gan_callbacks.runner import Runner

        _train(
            Runner.resume(
                run_dir or newest_run(),
                from_step=from_step,
                overrides=overrides,
                allow_change=allowed,
                device=device,
                interruption=interrupts,
            ),
            quiet,
        )


@main.command()
@recipe_argument
@set_option
@seed_option
def show(recipe_path: Path, overrides: dict[str, str], seed: int | None) -> None:
    """Show RECIPE's parameters, its networks and who listens to what. Loads no data, trains nothing."""
    recipe = _load(recipe_path, overrides, seed)
    from ms_gan_callbacks.overview import overview

    overview(recipe)


@main.command("verify-resume")
@recipe_argument
@click.option("--at", type=click.IntRange(min=1), required=True, metavar="STEP", help="Kill after this step.")
@set_option
def verify_resume(recipe_path: Path, at: int, overrides: dict[str, str]) -> None:
    """Prove on RECIPE that resuming is exact: two short runs, one of them killed, and their sha256.

    Both run for twice STEP steps, in processes and a temporary folder of their own. The exit code is 0 if every
    byte is the same, else 1.
    """
    _load(recipe_path, overrides, None)  # its mistakes are told here, not by a child
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


def _load(path: Path, overrides: dict[str, str], seed: int | None) -> Recipe:
    from ms_gan_callbacks.recipe import RecipeFile

    file = RecipeFile.open(path)
    if seed is not None:
        if "seed" not in file.tunables:
            raise RecipeError(f"{path.name} has no parameter seed for --seed to set")
        overrides = {**overrides, "seed": str(seed)}
    return file.build(overrides)
