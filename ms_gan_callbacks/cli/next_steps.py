"""The next steps in a folder, which ``ms-gan`` prints without arguments."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ms_gan_callbacks.config.catalog import find_parameters, find_required
from ms_gan_callbacks.errors import RunDirError
from ms_gan_callbacks.storage.files import list_folder
from ms_gan_callbacks.storage.names import MANIFEST

FIRST = "mnist_mlp"


def show_next_steps() -> None:
    """Print the commands to continue with: for the newest run in runs/, or to start the first one."""
    from ms_gan_callbacks.storage.run_dir import find_runs

    try:
        runs = [Path()] if Path(MANIFEST).is_file() else find_runs()
    except RunDirError as error:
        click.echo(str(error))
        runs = []
    rows = _list_for_run(runs[-1]) if runs else _list_for_start()
    width = max(len(command) for command, _ in rows)
    for command, purpose in (*rows, ("ms-gan --help", "all commands")):
        click.echo(f"  {command:<{width}}  {purpose}")


def _list_for_start() -> list[tuple[str, str]]:
    """Describe a folder without runs, and return the commands that start one."""
    try:
        recipes = [path for path in list_folder(Path()) if path.suffix == ".py" and find_parameters(path)]
    except OSError:  # a folder that cannot be read
        recipes = []
    click.echo("There are no runs in this folder. Start one:")
    rows = []
    for recipe in recipes[:3]:
        needs = "".join(f" --set {name}=..." for name in find_required(recipe))
        rows.append((f"ms-gan run {shlex.quote(recipe.name)}{needs}", "train the recipe in this folder"))
    if not rows:
        rows = [(f"ms-gan run {FIRST}", "train the first recipe: digits in some minutes")]
    return [*rows, ("ms-gan new --list", "list the recipes"), ("ms-gan doctor", "check the installation")]


def _list_for_run(path: Path) -> list[tuple[str, str]]:
    """Describe a run, and return the commands that apply to it."""
    from ms_gan_callbacks.results.runs import summarize

    run = summarize(path)
    name = shlex.quote(str(path))
    of = f" of {run.epochs}" if run.epochs is not None else ""
    best = f", {run.metric} {run.best[run.metric]:.4g}" if run.metric in run.best else ""
    note = f" ({run.note})" if run.note else ""
    length = "" if run.state == "damaged" else f", epoch {run.epoch}{of}{best}"
    click.echo(f"The newest run is {path}: {run.state}{note}{length}.")
    look = [
        (f"ms-gan sample {name}", "generate images"),
        (f"ms-gan evaluate {name}", "compare them with real images by every metric"),
        (f"ms-gan plot {name}", "plot losses and metrics"),
    ]
    watch = (f"tensorboard --logdir {name}", "watch the curves")
    again = (f"ms-gan resume {name}", "continue from the newest checkpoint")
    if run.state == "running":
        return [watch, look[2], look[0]]
    if run.state == "damaged":
        return [("ms-gan runs", "list all runs"), again]
    if run.state in ("interrupted", "failed"):
        return [again, *look]
    more = f"ms-gan resume {name} --set epochs={2 * (run.epochs or 1)}", "train longer"
    return [*look, (f"ms-gan export {name} -o generator.onnx", "use the generator elsewhere"), more]
