"""Console: prints progress to a terminal or a log file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from time import monotonic

from rich.console import Console as Terminal
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ms_gan_callbacks.errors import pluralize
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.run import Run

COMPILING = "compiling the training step, once"
MOST_SCALARS = 4
"""Maximum number of a game's scalars in each line."""
SHOWN = {"d_loss": "d_loss", "g_loss": "g_loss", "d_real": "D(x)", "d_fake": "D(G(z))", "loss": "loss"}


class Console(Callback):
    """Prints one line per epoch and, on a terminal, a live progress bar; attached by default.

    Scalars are read from the device only when the bar is refreshed. All lines fit into 80 columns.

    Args:
        terminal: output console; standard error by default, so that the output of a program can be piped.
        refresh_seconds: minimum interval between two updates of the bar, in seconds.
    """

    order = 80
    optional = True
    carried_over = ("terminal",)

    def __init__(self, terminal: Terminal | None = None, refresh_seconds: float = 1.0) -> None:
        self.terminal = terminal or _Terminal(stderr=True, highlight=False)
        self.refresh_seconds = refresh_seconds
        self._live: _LiveLines | None = None
        self._shown_at = 0.0
        # Speed is measured from the end of the first step, which includes the compilation.
        self._counted_from: tuple[int, float] | None = None

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def on_train_begin(self, run: Run) -> None:
        self._counted_from = None
        self._print(_format_headline(run))
        if self.terminal.is_terminal:
            self._live = _LiveLines(self.terminal, self.refresh_seconds)
        else:
            self._print(COMPILING)

    def on_train_step_end(self, run: Run) -> None:
        now = monotonic()
        if self._counted_from is None:
            self._counted_from = (run.step, now)
        if self._live is not None and now - self._shown_at >= self.refresh_seconds:
            self._shown_at = now
            self._live.update(run)

    def on_train_epoch_end(self, run: Run) -> None:
        now = monotonic()
        step, then = self._counted_from or (run.step, now)
        self._counted_from = (run.step, now)
        speed = _format_speed((run.step - step) / (now - then)) if run.step > step and now > then else ""
        numbers = _format_numbers(run, run.epoch_means) + "".join(
            f"  {name} {value:.4g}" for name, value in run.metrics.items()
        )
        self._print(f"epoch {run.epoch:>{len(str(run.epochs))}}/{run.epochs}  {numbers}  {speed}")

    def _print(self, line: str) -> None:
        self.terminal.print(line.rstrip(), markup=False, soft_wrap=True)


class _Terminal(Terminal):
    """A terminal that ignores a closed pipe, where rich would exit: training continues after ``| head``."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class _LiveLines:
    """A progress bar with the step's scalars below it, removed when stopped."""

    def __init__(self, terminal: Terminal, refresh_seconds: float) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            _Pace(""),
            TimeRemainingColumn(),
            TextColumn("{task.fields[unit]}"),
            console=terminal,
            expand=True,
        )
        self._task = self._bar.add_task(COMPILING, total=None, unit="")
        self._text = Text(no_wrap=True, overflow="ellipsis")
        self._draw = partial(Live, Group(self._bar, self._text), console=terminal, transient=True)
        # A thread draws during compilation, which takes seconds. Later it would hold Python's lock during a step.
        self._display = self._draw(refresh_per_second=1 / max(refresh_seconds, 0.25))
        self._display.start()

    def update(self, run: Run) -> None:
        if self._display.auto_refresh:
            self._display.stop()
            self._display = self._draw(auto_refresh=False)
            self._display.start()
        line = f"epoch {run.epoch}/{run.epochs}  step {run.step:,}/{run.steps:,}"
        self._bar.update(self._task, completed=run.step, total=run.steps, description=line, unit="left")
        self._text.plain = f"  {_format_numbers(run, run.scalars)}"
        self._display.refresh()

    def stop(self) -> None:
        self._display.stop()


class _Pace(TextColumn):
    """Steps per second, over the same interval as the estimate of the remaining time."""

    def render(self, task: Task) -> Text:
        return Text(_format_speed(task.speed) if task.speed else "")


def _format_speed(steps_per_second: float) -> str:
    return f"{steps_per_second:,.{0 if steps_per_second >= 10 else 2}f} steps/s"


def _format_headline(run: Run) -> str:
    data = run.manifest.data
    what = f"{data.name}, {data.count:,} images; " if data.name else ""
    length = f"{pluralize(run.epochs, 'epochs')} of {pluralize(run.steps_per_epoch, 'steps')}"
    start = f"resuming after step {run.step:,}; " if run.step else ""
    ranks = f"{run.manifest.ranks} ranks; " if run.manifest.ranks > 1 else ""
    return f"{what}{length}; {ranks}{start}writing to {run.out_dir}"


def _format_numbers(run: Run, scalars: Mapping[str, float]) -> str:
    names = run.epoch_means.names or tuple(SHOWN)
    shown = SHOWN if {"d_real", "loss"}.intersection(names) else {name: name for name in names[:MOST_SCALARS]}
    return "  ".join(f"{label} {scalars[name]:.3f}" for name, label in shown.items() if name in scalars)
