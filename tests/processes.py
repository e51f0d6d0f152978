"""Real training processes for the tests that kill and interrupt them."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import getsource
from pathlib import Path

import numpy as np
import psutil
from conftest import TinyDiscriminator, TinyGenerator

from ms_gan_callbacks import Callback, Run, Runner
from ms_gan_callbacks.config.recipe import load_recipe

STEPS_PER_EPOCH = 5
# A hang, on any machine.
DEADLINE = 60.0
# What lies between the last words of a process and its end: two seconds promised, five times that before it fails.
ENDING = 10.0

# The tiny GAN as a recipe stands alone: what a recipe's text begins with.
TINY_GAN = f"""
import multiprocessing, os, shutil, subprocess, time
from functools import partial
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from ms_gan_callbacks import *


{getsource(TinyGenerator)}

{getsource(TinyDiscriminator)}

def images():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
    return ArraySource(pixels, batch_size=4)


def tiny_gan(epochs, callbacks, data=images):
    return Recipe(
        generator=TinyGenerator,
        discriminator=TinyDiscriminator,
        objective=NonSaturating(),
        optimizer=partial(nn.Adam, learning_rate=1e-2),
        data=data,
        noise_dim=3,
        epochs=epochs,
        callbacks=callbacks,
    )
"""

# It saves after every step; `trouble` is what a test wants to happen, in words that the recipe acts on.
RECIPE = (
    TINY_GAN
    + '''

class SleepsInTheStep(Callback):
    def on_train_step_end(self, run):
        if run.step == 3:
            Path("asleep").touch()
            time.sleep(300)


class HasChildren(Callback):
    """Each child leaves a copy of what the kernel says of it."""

    def on_train_step_end(self, run):
        if run.step != 3:
            return
        copy = ["cp", "/proc/self/status"]
        subprocess.run([*copy, "by-run"], check=True)
        subprocess.Popen([*copy, "by-popen"], close_fds=False).wait()
        if (child := os.fork()) == 0:
            Path("by-fork").write_bytes(Path("/proc/self/status").read_bytes())
            os._exit(0)
        os.waitpid(child, 0)
        spawned = multiprocessing.get_context("spawn").Process(
            target=shutil.copyfile, args=("/proc/self/status", "by-spawn")
        )
        spawned.start()
        spawned.join()
        Path("by-nobody").write_bytes(Path("/proc/thread-self/status").read_bytes())


def slow_images():
    Path("asleep").touch()
    time.sleep(300)


def recipe(epochs: int = 100_000, trouble: str = ""):
    troubles = {"slow step": [SleepsInTheStep()], "children": [HasChildren()]}
    callbacks = [Checkpoint(Every.steps(1), keep=3), *troubles.get(trouble, [])]
    return tiny_gan(epochs, callbacks, slow_images if trouble == "slow data" else images)
'''
)


def write_recipe() -> Path:
    """Write the recipe to the working directory."""
    path = Path("tiny.py")
    path.write_text(RECIPE)
    return path


def start(*arguments: str, before: Sequence[str] = (), **options: object) -> subprocess.Popen[str]:
    """Start a command in a session of its own, so that whatever it leaves behind can be found.

    Args:
        *arguments: the command line behind ``ms-gan``.
        before: a command that is to execute it.
        **options: for Popen.
    """
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm"}
    command = [*before, sys.executable, "-m", "ms_gan_callbacks", *arguments]
    return subprocess.Popen(command, env=environment, **{**settings, **options})  # type: ignore[call-overload]


def finish(process: subprocess.Popen[str], seconds: float = DEADLINE) -> tuple[int, str, str]:
    """Return a process's exit code and what it wrote; one that hangs is killed and fails the test."""
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        raise AssertionError(f"still there after {seconds} s: {out}{errors}") from None
    until = time.monotonic() + ENDING  # multiprocessing's resource tracker ends when its parent has
    while left_by(process) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left_by(process), "it left processes behind"
    return process.returncode, out, errors


def left_by(process: subprocess.Popen[str]) -> list[int]:
    """Return what still runs in the session that a process was started in."""
    left = []
    for pid in psutil.pids():
        try:
            if pid != process.pid and os.getsid(pid) == process.pid:
                left.append(pid)
        except ProcessLookupError:
            continue
    return left


def wait_until(what: Callable[[], object], process: subprocess.Popen[str], seconds: float = DEADLINE) -> None:
    """Wait for something that a process does; fail if it ends or takes for ever instead."""
    until = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, f"it ended: {process.communicate()}"
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.001)


def saved(folder: Path) -> set[str]:
    """Return the names in a run's checkpoints folder, drafts included."""
    try:
        return {path.name for path in (folder / "checkpoints").iterdir()}
    except FileNotFoundError:
        return set()


def blocked(status: str) -> set[int]:
    """Return which of SIGINT and SIGTERM are blocked by a text such as /proc/self/status."""
    found = re.search(r"^SigBlk:\s*([0-9a-f]+)$", status, re.MULTILINE)
    assert found is not None
    return {number for number in (signal.SIGINT, signal.SIGTERM) if int(found[1], 16) >> (number - 1) & 1}


def is_listening(process: subprocess.Popen[str]) -> bool:
    """Whether a command has begun to take signals: Python has started, MindSpore is not imported yet."""
    return blocked(Path(f"/proc/{process.pid}/status").read_text()) == {signal.SIGINT, signal.SIGTERM}


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """Return the sha256 of every name and byte."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode() + weights[name].tobytes())
    return total.hexdigest()


class Records(Callback):
    """Keeps the digest of everything trained at some steps."""

    def __init__(self, wanted: Collection[int]) -> None:
        self.wanted, self.digests = set(wanted), dict[int, str]()
        self.runner: Runner | None = None

    def on_train_step_end(self, run: Run) -> None:
        if run.step in self.wanted:
            assert self.runner is not None
            self.digests[run.step] = digest(self.runner._players.weights())


def uninterrupted(wanted: Collection[int], out_dir: str = "whole") -> dict[int, str]:
    """Train the recipe once, from its first step through, and return the digests at some steps."""
    records = Records(wanted)
    runner = records.runner = Runner.from_recipe(load_recipe(write_recipe()), out_dir)
    runner.train(-(-max(wanted) // STEPS_PER_EPOCH), callbacks=[records], quiet=True)
    return records.digests
