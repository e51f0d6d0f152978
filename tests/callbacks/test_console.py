"""What a person at a terminal sees, and a log file, and nobody at all."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from conftest import tiny_runner
from rich.console import Console as Terminal

from ms_gan_callbacks import Callback, GanWarning, Run, RunResult
from ms_gan_callbacks.callbacks import console
from ms_gan_callbacks.callbacks.console import Console

SPEED = r"[\d,.]+ steps/s"
NUMBER = r"-?\d+\.\d{3}"
LINE = rf"d_loss {NUMBER}  g_loss {NUMBER}  D\(x\) {NUMBER}  D\(G\(z\)\) {NUMBER}"


def train(
    console: Console, images: np.ndarray, *others: Callback, epochs: int = 2, fresh: bool = False
) -> RunResult:
    # A console of its own takes the place of the default one; quiet only leaves out the printed summary.
    return tiny_runner(fresh=fresh).train(epochs, images, [console, *others], batch_size=4, quiet=True)


def test_a_log_file_gets_plain_lines(images: np.ndarray) -> None:
    file = io.StringIO()
    train(Console(Terminal(file=file, width=40)), images)
    headline, compiling, *epochs = file.getvalue().splitlines()
    assert headline == "array, 20 images; 2 epochs of 5 steps; writing to run"
    assert compiling == "compiling the training step, once"
    assert len(epochs) == 2
    for number, line in enumerate(epochs, start=1):
        assert re.fullmatch(rf"epoch {number}/2  {LINE}  {SPEED}", line)


class Means(Callback):
    def __init__(self) -> None:
        self.d_loss: list[float] = []

    def on_train_epoch_end(self, run: Run) -> None:
        self.d_loss.append(run.epoch_means["d_loss"])


def test_an_epochs_line_shows_its_means(images: np.ndarray) -> None:
    file, means = io.StringIO(), Means()
    train(Console(Terminal(file=file)), images, means)
    shown = re.findall(r"d_loss (\S+)", file.getvalue())
    assert shown == [f"{value:.3f}" for value in means.d_loss]


def test_epochs_are_aligned(images: np.ndarray) -> None:
    file = io.StringIO()
    train(Console(Terminal(file=file)), images, epochs=10)
    assert [line[:12] for line in file.getvalue().splitlines()[2:]][::9] == ["epoch  1/10 ", "epoch 10/10 "]


def test_the_speed_leaves_the_compiling_out(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock that moves on by a quarter of a second whenever somebody looks: at every step and every epoch's end.
    ticks = count()
    monkeypatch.setattr(console, "monotonic", lambda: next(ticks) / 4)
    file = io.StringIO()
    train(Console(Terminal(file=file)), images)
    first, second = re.findall(r"(\S+) steps/s", file.getvalue())
    # The first epoch counts 4 steps in 5 looks, from the end of the step that compiled; the second 5 in 6.
    assert float(first) == pytest.approx(4 / 1.25, abs=0.005)
    assert float(second) == pytest.approx(5 / 1.5, abs=0.005)


class Screen:
    """A real pseudo-terminal, and everything that was written to it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._master, slave = pty.openpty()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.file = os.fdopen(slave, "w")

    def _read(self) -> None:
        try:
            while part := os.read(self._master, 4096):
                self._parts.append(part)
        except OSError:  # how Linux says that the other end is closed
            pass

    def close(self) -> str:
        self.file.close()
        self._reader.join(10)
        os.close(self._master)
        return b"".join(self._parts).decode()


def replay(written: str) -> list[str]:
    """Return the lines that are left on the screen: enough of a terminal for what a live display does."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            continue
        elif move := re.fullmatch(r"\x1b\[(\d+)A", token):
            row -= int(move[1])
        elif token == "\x1b[2K":
            lines[row] = ""
        elif not token.startswith("\x1b"):
            lines[row] += token
    return [line for line in lines if line.strip()]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("columns", [70, pytest.param(100, marks=pytest.mark.slow)])
def test_a_terminal_gets_a_live_bar_that_fits_and_leaves_no_trace(columns: int, images: np.ndarray) -> None:
    screen = Screen()
    # rich asks the standard streams for the width, and under pytest they are no terminals.
    train(Console(Terminal(file=screen.file, width=columns), refresh_seconds=0), images, fresh=True)
    written = screen.close()
    plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", written)
    assert "compiling the training step, once" in plain
    live = [line.rstrip() for line in re.split(r"[\r\n]+", plain) if "step " in line]
    assert any(re.search(r"epoch 2/2  step \d+/10 .*left$", line) for line in live)
    assert [line for line in live if len(line) > columns] == []
    assert not any("…" in line for line in live)
    assert re.search(rf"^  {LINE}", plain, re.MULTILINE)
    headline, *epochs = replay(written)
    assert headline.startswith("array, 20 images;")
    assert [line[:9] for line in epochs] == ["epoch 1/2", "epoch 2/2"]


class CountsDrawers(Callback):
    """Counts the threads that draw and were not stopped, at the beginning of every step."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def on_train_step_begin(self, run: Run) -> None:
        drawing = [thread for thread in threading.enumerate() if type(thread).__module__ == "rich.live"]
        self.counts.append(sum(not thread.done.is_set() for thread in drawing))  # a stopped one ends later


@pytest.mark.usefixtures("environment")
def test_a_thread_draws_while_the_step_is_compiled_and_none_later(images: np.ndarray) -> None:
    screen, drawers = Screen(), CountsDrawers()
    train(Console(Terminal(file=screen.file), refresh_seconds=0), images, drawers)
    screen.close()
    assert drawers.counts == [1] + [0] * 9


class Fails(Callback):
    def on_train_step_end(self, run: Run) -> None:
        if run.step == 3:
            raise ZeroDivisionError


@pytest.mark.usefixtures("environment")
def test_the_bar_is_gone_and_the_cursor_back_after_a_failure(images: np.ndarray) -> None:
    screen = Screen()
    with pytest.raises(ZeroDivisionError):
        train(Console(Terminal(file=screen.file), refresh_seconds=0), images, Fails())
    written = screen.close()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert len(replay(written)) == 1


class StopsAt(Callback):
    def on_train_step_end(self, run: Run) -> None:
        if run.step == 7:
            run.stop("enough")


def test_a_run_that_goes_on_in_mid_epoch_is_told_like_any_other(images: np.ndarray) -> None:
    runner, file = tiny_runner(), io.StringIO()
    runner.train(2, images, [StopsAt()], batch_size=4, quiet=True)
    runner.train(1, images, [Console(Terminal(file=file))], batch_size=4, quiet=True)
    epochs = file.getvalue().splitlines()[2:]
    assert [re.fullmatch(rf"epoch (\d)/3  {LINE}  {SPEED}", line)[1] for line in epochs] == ["2", "3"]  # type: ignore[index]


@pytest.fixture
def broken_pipe() -> Iterator[io.TextIOWrapper]:
    """Yield a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    file = os.fdopen(writer, "w")
    yield file
    with pytest.raises(BrokenPipeError):
        file.close()


def test_a_reader_who_leaves_does_not_end_the_run(
    broken_pipe: io.TextIOWrapper, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", broken_pipe)
    result = train(Console(), images)
    monkeypatch.undo()
    assert (result.step, result.faults) == (10, ())


def test_a_closed_file_detaches_the_console_and_the_run_goes_on(images: np.ndarray, tmp_path: Path) -> None:
    file = (tmp_path / "log").open("w")
    file.close()
    with pytest.warns(
        GanWarning, match=r"Console.on_train_begin at step 0 raised ValueError.*continues without it"
    ):
        result = train(Console(Terminal(file=file)), images)
    assert result.step == 10
