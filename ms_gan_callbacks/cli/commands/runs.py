"""``ms-gan runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ms_gan_callbacks.cli.completion import complete_run_dirs
from ms_gan_callbacks.errors import GanError, UsageError, format_seconds, pluralize
from ms_gan_callbacks.storage.names import PARENT

if TYPE_CHECKING:
    from ms_gan_callbacks.results.runs import RunSummary


@click.command("runs")
@click.argument(
    "folder",
    metavar="[FOLDER]",
    type=click.Path(file_okay=False, path_type=Path),
    required=False,
    shell_complete=complete_run_dirs,
)
@click.option(
    "--sort", metavar="KEY", default="started", help="started, name, time, size, or a metric such as fld."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option(
    "--remove-checkpoints",
    "remove",
    is_flag=True,
    help="Remove all checkpoints of the listed runs, except the newest and the best of each.",
)
@click.option("-y", "--yes", is_flag=True, help="Remove them without asking.")
def command(folder: Path | None, sort: str, as_json: bool, remove: bool, yes: bool) -> None:
    """List the runs in FOLDER, by default in runs/, or the run in FOLDER.

    \b
    ms-gan runs                                   the newest first
    ms-gan runs --sort fld                        the best first
    ms-gan runs runs/mine --remove-checkpoints    frees disk space

    A run is running, finished, interrupted, failed or damaged. A run that was killed is interrupted.
    """
    if yes and not remove:
        raise UsageError("--yes is for --remove-checkpoints")
    if remove and as_json:
        raise UsageError("--json does not remove checkpoints: remove one of the options")
    if folder is None and not PARENT.exists():
        runs: list[RunSummary] = []
    else:
        from ms_gan_callbacks.results.runs import list_runs, sort_runs

        runs = sort_runs(list_runs(folder or PARENT), sort)
    if as_json:
        from ms_gan_callbacks.storage.files import to_json

        click.echo(to_json([run.facts() for run in runs]).decode(), nl=False)
    elif not runs:
        click.echo(f"no runs found in {folder or PARENT}; start one with: ms-gan run mnist_mlp")
    elif remove:
        _remove(runs, yes)
    else:
        _show(runs, sort)


def _show(runs: list[RunSummary], sort: str) -> None:
    from rich.console import Console as Terminal
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    # The default names of runs begin with their recipe's; without this column they fit a narrow terminal.
    recipes = any(not run.path.name.startswith(run.recipe) for run in runs)
    for column in ("run", *(["recipe"] if recipes else []), "state"):
        table.add_column(column, overflow="fold")
    for column in ("epochs", "best", "time", "size"):
        table.add_column(column, justify="right", no_wrap=True)
    for run in runs:
        epochs = f"{run.epoch}/{run.epochs}" if run.epochs is not None else str(run.epoch or "")
        metric = sort if sort in run.best else run.metric
        best = f"{metric} {run.best[metric]:.4g}" if metric in run.best else ""
        names = [str(run.path), *([run.recipe] if recipes else []), run.state]
        table.add_row(
            *names,
            epochs,
            best,
            "" if run.seconds is None else format_seconds(run.seconds),
            _format_size(run.bytes),
        )
    Terminal(highlight=False).print(table)
    for run in runs:
        if run.note:
            click.echo(f"{run.path}: {run.note}")


def _remove(runs: list[RunSummary], yes: bool) -> None:
    """Remove checkpoints after asking; runs that cannot be changed are listed with the reason."""
    from ms_gan_callbacks.results.runs import list_removable, remove_checkpoints

    chosen = []
    for run in runs:
        try:
            steps = list_removable(run)
        except GanError as error:
            click.echo(f"{run.path}: unchanged: {error}")
            continue
        if steps:
            chosen.append(run)
            kept = ", ".join(f"{step:,}" for step in run.checkpoints if step not in steps)
            click.echo(f"{run.path}: {pluralize(len(steps), 'checkpoints')} to remove; kept: step {kept}")
        elif run.state in ("running", "damaged"):
            click.echo(f"{run.path}: unchanged, because it is {run.state}")
    if not chosen:
        click.echo("there are no checkpoints to remove")
        return
    if not yes:
        try:
            agreed = click.confirm(f"Remove the checkpoints of {pluralize(len(chosen), 'runs')}?")
        except click.Abort as error:
            raise UsageError("nothing was removed: pass --yes to remove them without asking") from error
        if not agreed:
            click.echo("nothing was removed")
            return
    freed = sum(remove_checkpoints(run) for run in chosen)
    click.echo(f"freed {_format_size(freed)}")


def _format_size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"
