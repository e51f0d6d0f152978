"""The command line: ``python -m benchmarks [speed|callbacks|scaling|ranks|report|epoch]``; three by default."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console as Terminal

from benchmarks import ROOT, callbacks, epoch, plot, ranks, results, scaling, speed
from benchmarks.contestants import have_torch
from benchmarks.report import tables
from ms_gan_callbacks import GanError

terminal = Terminal(highlight=False, soft_wrap=True, width=max(118, Terminal().width))


@dataclass(frozen=True)
class Settings:
    """What the options say."""

    quick: bool
    rounds: int | None
    pair_rounds: int | None
    only: str
    out: Path

    def names(self) -> list[str]:
        """Return the names in ``--only``."""
        return [name.strip() for name in self.only.split(",") if name.strip()]

    def count(self) -> int:
        """Return the rounds among all contestants."""
        return self.rounds or (3 if self.quick else 12)

    def pair_count(self) -> int:
        """Return the rounds of a close pair; in a quick run there are none."""
        return self.pair_rounds if self.pair_rounds is not None else 0 if self.quick else 20


# What each command takes; an option may also stand before the command's name, where the command's own wins.
OPTIONS: dict[str, Callable[[Any], Any]] = {
    "quick": click.option("--quick", is_flag=True, help="Little of everything, in about two minutes."),
    "rounds": click.option("--rounds", type=click.IntRange(1), help="Rounds among all contestants."),
    "pair_rounds": click.option("--pair-rounds", type=click.IntRange(0), help="Rounds of close pairs."),
    "only": click.option("--only", default="", metavar="NAME,...", help="Settings and contestants of `speed`."),
    "out": click.option("--out", type=click.Path(path_type=Path), default=ROOT / "benchmarks" / "results",
                        show_default="benchmarks/results", help="Folder for results.json and results.png."),
}  # fmt: skip
TAKES = {
    "speed": ("quick", "rounds", "pair_rounds", "only", "out"),
    "callbacks": ("quick", "rounds", "pair_rounds", "out"),
    "scaling": ("quick", "rounds", "out"),
}


def options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add options to a command."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            command = OPTIONS[name](command)
        return command

    return decorate


def typed(context: click.Context, name: str) -> bool:
    """Whether an option was typed for a command, rather than left at its default."""
    return context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def settings(context: click.Context) -> Settings:
    """Return what was typed behind a command's name, else before it, else the defaults."""
    group = context.parent or context
    return Settings(**{
        name: (context if typed(context, name) else group).params[name] for name in OPTIONS
    })  # fmt: skip


MEASUREMENTS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "speed": lambda s: speed.measure(s.count(), s.pair_count(), s.quick, s.names(), terminal.print),
    "callbacks": lambda s: callbacks.measure(s.count(), s.pair_count(), s.quick, terminal.print),
    "scaling": lambda s: scaling.measure(s.count(), s.quick, terminal.print),
}


def measure(names: list[str], settings: Settings) -> None:
    """Measure some sections, save each as it ends, and show all that the folder then holds."""
    results.check(settings.out)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # or workers stay behind, asleep
    if not have_torch():
        terminal.print("PyTorch is not installed (pip install torch): its contestants are left out")
    for name in names:
        facts = results.facts(settings.quick)
        results.save(settings.out, name, {"facts": facts, **MEASUREMENTS[name](settings)})
    show(settings.out / "results.json")


def show(path: Path, markdown: bool = False) -> None:
    """Print the tables of a file of results, and draw its picture beside it."""
    measured = results.load(path)
    for table in tables(measured):
        if markdown:
            click.echo(table.markdown() + "\n")
        else:
            table.print(terminal)
    if plot.draw(measured, path.with_suffix(".png")) and not markdown:
        terminal.print(f"{path}, {path.with_suffix('.png').name}")


class Group(click.Group):
    """Says what is wrong in one line."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except GanError as error:
            told = click.ClickException(str(error))
            told.exit_code = error.exit_code
            raise told from error


@click.group(cls=Group, invoke_without_command=True)
@options(*OPTIONS)
@click.pass_context
def main(context: click.Context, **_: Any) -> None:
    """Measure how fast this package trains, on the MNIST that comes with it."""
    command = context.invoked_subcommand
    if command is None:
        measure(list(MEASUREMENTS), settings(context))
        return
    for name in OPTIONS:
        if typed(context, name) and name not in TAKES.get(command, ()):
            raise click.UsageError(f"{command} takes no --{name.replace('_', '-')}")


def _add(name: str, help: str) -> None:
    @options(*TAKES[name])
    @click.pass_context
    def command(context: click.Context, **_: Any) -> None:
        measure([name], settings(context))

    main.command(name, help=help)(command)


_add("speed", "Time per step against the tutorial's loop, PyTorch and the floor.")
_add("callbacks", "What callbacks cost.")
_add("scaling", "Longer runs, larger data, bigger batches.")


@main.command("ranks")
@click.option("--quick", is_flag=True, help="One setting and few steps, in about a minute.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds of all settings.")
@click.option("--out", type=click.Path(path_type=Path), help="A file for the raw numbers, in JSON.")
def two_ranks(quick: bool, rounds: int, out: Path | None) -> None:
    """Time two ranks against one process, and predict more ranks by a model."""
    measured = ranks.measure(rounds, quick, terminal.print)
    if out is not None:
        out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    for table in ranks.tables(measured):
        table.print(terminal)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
def report(path: Path) -> None:
    """Write the tables of a results.json in Markdown, and draw its picture beside it."""
    show(path, markdown=True)


@main.command("epoch")
@click.argument("pairs", type=click.IntRange(1), default=1)
def whole_epoch(pairs: int) -> None:
    """Time whole processes for one epoch: the tutorial, then ms-gan run; a pair takes minutes."""
    epoch.measure(pairs, terminal.print)
