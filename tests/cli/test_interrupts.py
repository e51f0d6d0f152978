"""Ctrl-C and SIGTERM, at any instant: real signals to real processes."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import compiled_players, tiny_runner, weights_of
from processes import (
    DEADLINE,
    ENDING,
    blocked,
    digest,
    finish,
    is_listening,
    left_by,
    saved,
    start,
    uninterrupted,
    wait_until,
    write_recipe,
)

from ms_gan_callbacks import ArraySource, Callback, Checkpoint, Every, Run, Runner
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.errors import Interrupted
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.training.loop import NoInterruption

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads masks from Linux's /proc")
SAVED = r"interrupted and saved at step ([\d,]+); resume with: ms-gan resume (\S+)\n"
NOTHING = r"interrupted; no data was lost\n|interrupted before the first step; nothing was saved\n"


def train(*options: str) -> subprocess.Popen[str]:
    return start("run", str(write_recipe()), "--out", "run", "--quiet", *options)


def trains(process: subprocess.Popen[str]) -> None:
    """Wait until some steps are trained and saved."""
    wait_until(lambda: any(name >= "step-00000003" for name in saved(Path("run"))), process)


def ended(process: subprocess.Popen[str], code: int = 130) -> str:
    """Check that an interrupted process ends with its code and one line; return the line."""
    got, out, errors = finish(process)
    assert (got, out) == (code, ""), errors
    assert len(errors.splitlines()) == 1, errors
    return errors


@pytest.mark.slow
def test_a_run_that_is_interrupted_tells_how_it_goes_on_and_ends_in_the_same_bytes() -> None:
    process = train("--set", "epochs=20")
    trains(process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    line = process.stderr.readline()
    began = time.monotonic()
    assert process.wait(ENDING) == 130
    print(f"{time.monotonic() - began:.2f} s from the last line to the end")
    told = re.fullmatch(SAVED, line)
    assert told is not None and process.stderr.read() == ""
    assert not left_by(process)
    assert 3 <= int(told[1]) < 100
    result = CliRunner().invoke(main, ["resume", told[2], "--quiet"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "100 steps" in result.stdout
    like = Runner.resume("run")._players.weights()
    assert digest(CheckpointStore(Path("run/checkpoints")).load(100, like).weights) == uninterrupted({100})[100]
    assert [*metrics("run")] == [*metrics("whole")]


def metrics(folder: str) -> list[str]:
    return Path(folder, "metrics.jsonl").read_text().splitlines()


class At(Callback):
    """Does something in a hook at a step."""

    def __init__(self, hook: str, step: int, act: Callable[[], object]) -> None:
        self._step, self._act = step, act
        setattr(self, hook, self._do)

    def on_train_begin(self, run: Run) -> None: ...

    def on_train_step_end(self, run: Run) -> None: ...

    def on_checkpoint(self, run: Run) -> None: ...

    def _do(self, run: Run) -> None:
        if run.step == self._step:
            self._act()


def interrupts_itself() -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_sigterm_ends_a_run_with_143_and_a_checkpoint() -> None:
    process = train()
    trains(process)
    process.send_signal(signal.SIGTERM)
    assert re.fullmatch(SAVED, ended(process, 143))


@pytest.mark.slow
def test_a_signal_that_a_wrapper_repeats_is_one_signal() -> None:
    # As `timeout` does, which signals the command and then its group.
    process = train()
    trains(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert re.fullmatch(SAVED, ended(process))


@pytest.mark.slow
def test_a_second_signal_ends_a_step_that_does_not() -> None:
    process = train("--set", "trouble=slow step")
    wait_until(Path("asleep").exists, process)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None, "the first one is to be patient"
    process.send_signal(signal.SIGINT)
    assert finish(process, ENDING) == (130, "", "")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.slow
def test_a_signal_ends_slow_data_at_once_and_leaves_no_folder(number: int, code: int) -> None:
    process = train("--set", "trouble=slow data")
    wait_until(Path("asleep").exists, process)
    process.send_signal(number)
    assert finish(process, ENDING) == (code, "", "interrupted; no data was lost\n")
    assert not Path("run").exists()


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_leaves_one_line_and_its_cursor() -> None:
    ours, theirs = pty.openpty()
    # A session's first terminal to be opened becomes its own: Ctrl-C then goes to the whole foreground group.
    take = f'exec "$0" "$@" <>{os.ttyname(theirs)} >&0 2>&0'
    process = start("run", str(write_recipe()), "--out", "run", before=["sh", "-c", take])
    shown, pressed, until = b"", False, time.monotonic() + DEADLINE
    while (readable := select.select([ours], [], [], 0.2)[0]) or process.poll() is None:
        assert time.monotonic() < until, shown
        shown += os.read(ours, 65536) if readable else b""
        if not pressed and b"steps/s" in shown:
            pressed = os.write(ours, b"\x03") == 1
    os.close(ours)
    os.close(theirs)
    text = shown.decode()
    assert process.wait(ENDING) == 130, text
    last = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text.rpartition("\x1b[?25h")[2])
    assert "\x1b[?25l" in text, "no live display was there to be interrupted"
    assert "\x1b[?25h" in text and "\x1b[?25l" not in text.rpartition("\x1b[?25h")[2]
    assert re.fullmatch(SAVED, last.strip().replace("\r", "") + "\n"), last
    assert text.count("interrupted") == 1 and "Traceback" not in text


@pytest.mark.slow
def test_children_can_be_interrupted_and_their_parent_goes_on_deferring() -> None:
    process = train("--set", "trouble=children")
    trains(process)
    wait_until(Path("by-nobody").exists, process)
    process.send_signal(signal.SIGINT)
    assert re.fullmatch(SAVED, ended(process))
    masks = {path.name: blocked(path.read_text()) for path in Path().glob("by-*")}
    both = {signal.SIGINT, signal.SIGTERM}
    assert masks == {"by-run": set(), "by-popen": set(), "by-fork": set(), "by-spawn": set(), "by-nobody": both}


def surroundings() -> list[object]:
    """Return what a library has to leave as it is."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGURG)]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return [handlers, mask, subprocess.Popen._execute_child, sys.unraisablehook]  # type: ignore[attr-defined]


def test_a_command_leaves_the_process_that_it_was_called_in_as_it_was() -> None:
    before, threads = surroundings(), threading.active_count()
    write_recipe()
    for out in ("one", "two"):
        result = CliRunner().invoke(main, ["run", "tiny.py", "--out", out, "--set", "epochs=1"])
        assert result.exit_code == 0, result.stderr
        compiled_players.free_all()
        assert surroundings() == before
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("ms-gan")]
    assert CliRunner().invoke(main, ["run", "tiny.py", "--out", "one"]).exit_code == 2
    assert surroundings() == before
    assert threading.active_count() <= threads + 1  # MindSpore's own


@pytest.mark.slow
def test_a_library_touches_no_signal(images: np.ndarray) -> None:
    before, within = surroundings(), []

    def look() -> None:
        within.append(surroundings())

    def look_and_stop() -> None:
        look()
        raise KeyboardInterrupt

    data = ArraySource(images, batch_size=4)
    tiny_runner("one", fresh=True).train(1, data, [At("on_train_step_end", 2, look)], quiet=True)
    with pytest.raises(KeyboardInterrupt):
        tiny_runner("two", fresh=True).train(1, data, [At("on_train_step_end", 2, look_and_stop)], quiet=True)
    thread = threading.Thread(
        target=lambda: tiny_runner("three", fresh=True).train(
            1, data, [At("on_train_step_end", 2, look)], quiet=True
        )
    )
    thread.start()
    thread.join(DEADLINE)
    assert within == [before] * 3
    assert surroundings() == before


class ComesDuring(Callback):
    """A signal that comes while a step's checkpoint is being written."""

    def __init__(self, step: int) -> None:
        self.interruption, self._step, self._now = NoInterruption(), step, 0

    def on_train_step_end(self, run: Run) -> None:
        self._now = run.step

    def state(self) -> dict[str, int]:
        if self._now == self._step:
            self.interruption.received = signal.SIGTERM
        return {"now": self._now}

    def load_state(self, state: object) -> None: ...


@pytest.mark.parametrize("every", [1, 3])
def test_a_signal_during_a_save_waits_for_the_next_step_and_saves_that(every: int, images: np.ndarray) -> None:
    signals = ComesDuring(3)
    data = ArraySource(images, batch_size=4)
    with pytest.raises(Interrupted, match="interrupted and saved at step 4") as caught:
        tiny_runner("run", interruption=signals.interruption).train(
            2, data, [Checkpoint(Every.steps(every)), signals], quiet=True
        )
    assert caught.value.exit_code == 143
    assert Path("run/checkpoints/step-00000004/manifest.json").exists()


def test_a_signal_in_the_last_step_finds_the_run_finished(images: np.ndarray) -> None:
    signals = NoInterruption()

    def signalled() -> None:
        signals.received = signal.SIGINT

    result = tiny_runner("run", interruption=signals).train(
        2, ArraySource(images, batch_size=4), [At("on_train_step_end", 10, signalled)], quiet=True
    )
    assert (result.step, result.stop_reason) == (10, None)


# Without MindSpore these take no time: what happens to whoever enters Interrupts in a script.
SCRIPT = """
import os, signal, sys, time
from ms_gan_callbacks.errors import Interrupted
from ms_gan_callbacks.cli.interrupts import Interrupts

def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)
    time.sleep(0.2)

try:
    with Interrupts() as interrupts:
{body}
except Interrupted as error:
    print(error.exit_code, error)
else:
    print("went on")
"""
BODIES = {
    "a sleep is woken": ("send(); time.sleep(60)", "130 interrupted; no data was lost"),
    "a read is woken": ("send(); os.read(os.pipe()[0], 1)", "130 interrupted; no data was lost"),
    "what it is wrapped in": ("try: send()\nexcept BaseException: 1 / 0", "130 interrupted; no data was lost"),
    "deferred": (
        "with interrupts.defer(): send(); print(repr(interrupts.received))",
        "2\n130 interrupted; no data was l",
    ),
    "deferred twice": (
        "with interrupts.defer():\n  with interrupts.defer(): pass\n  send(signal.SIGTERM); print('whole')",
        "whole\n143 interrupted; no data was lost",
    ),
    "a second one, as MindSpore sends it to its own process": (
        "with interrupts.defer(): send(); time.sleep(0.5); send(signal.SIGTERM); print('whole')",
        "whole\n130 interrupted; no data was lost",
    ),
    "an error of its own": ("with interrupts.defer(): send(); raise SystemExit('failed')", ""),
    "no signal": ("pass", "went on"),
}


def script(body: str, before: Sequence[str] = (), first: str = "") -> subprocess.CompletedProcess[str]:
    text = first + SCRIPT.format(body="\n".join(" " * 8 + line for line in body.splitlines()))
    command = [*before, sys.executable, "-c", text]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.parametrize("kind", BODIES)
def test_interrupts_in_a_script(kind: str) -> None:
    body, said = BODIES[kind]
    done = script(body)
    assert done.stdout.startswith(said) and bool(done.stdout) == bool(said)
    assert done.stderr.strip() == ("failed" if not said else "")


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    # As below `nohup` or in the background of a script.
    done = script("send(); send()", before=["sh", "-c", """trap "" INT; exec "$0" "$@" """])
    assert (done.stdout, done.returncode) == ("went on\n", 0)


def test_where_threads_cannot_block_signals_nothing_is_taken() -> None:
    done = script("send()", first="import signal; del signal.pthread_sigmask")
    assert done.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ctrl_c_at_a_random_instant(seed: int) -> None:
    """From the first instant that Python runs our code to well within the training, compiling included."""
    process = train()
    wait_until(lambda: is_listening(process), process)
    wait = random.Random(seed).uniform(0, 3.5)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    line = ended(process)
    print(f"after {wait:.2f} s: {line}")
    if told := re.fullmatch(SAVED, line):
        step = int(told[1].replace(",", ""))
        resumed = Runner.resume("run", from_step=step)
        stop = At("on_train_begin", step, interrupts_itself)
        with pytest.raises(KeyboardInterrupt):
            resumed.train(callbacks=[stop], quiet=True)
        assert digest(weights_of(resumed)) == uninterrupted({step})[step]
    else:
        assert re.fullmatch(NOTHING, line)
        assert not Path("run").exists()
