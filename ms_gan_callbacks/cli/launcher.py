"""Starts a command as several ranks on this machine, and ends them together.

::

    ms-gan run RECIPE --ranks 2
        scheduler   MindSpore's meeting point, on a free port of 127.0.0.1
        rank 0      the command itself; has the console, writes the run directory
        rank 1      the same command; its output is shown if it fails

MindSpore's ``msrun`` starts the same workers on a cluster. This launcher differs in the treatment of failures: it
ends all ranks as soon as one has failed, shows the last lines of that one, and forwards signals to rank 0, which
saves.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import click

from ms_gan_callbacks.storage.environment import ROLE, is_rank

HOST = "127.0.0.1"
POLL_SECONDS = 0.05
GRACE_SECONDS = 3.0
"""Time for rank 0 to report the same error as another rank, such as a wrong parameter."""
REPEAT_SECONDS = 0.3
LINES = 8
SCHEDULER = "from mindspore.communication import init; init()"
PR_SET_PDEATHSIG = 1


@dataclass
class Rank:
    """A process of the job."""

    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes] | None = None

    @property
    def code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """Kill the process and those it has started, wait for its end, and close its log."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.log is not None:
            self.log.close()

    def read_end(self) -> list[str]:
        """Return the last lines of its output, without blank ones."""
        if self.log is None:
            return []
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").splitlines()
        return [line for line in lines if line.strip()][-LINES:]


def check_ranks(ranks: int | None) -> None:
    """Raise UsageError if a rank of a job was started with another number of ranks than the job has."""
    size = os.environ.get("MS_WORKER_NUM")
    if ranks is not None and is_rank() and size is not None and size != str(ranks):
        raise click.UsageError(f"--ranks {ranks} does not match the {size} processes of this job; leave it out")


def launch(ranks: int, command: Sequence[str], out_dir: Path | None = None) -> int:
    """Run a command as several ranks; return its exit code.

    The first SIGINT or SIGTERM is forwarded to rank 0, so that the run ends after the current step with a
    checkpoint. A second one ends all ranks immediately.

    Args:
        ranks: number of ranks.
        command: the command, which has to join its ranks.
        out_dir: the run directory if it is known, for messages.
    """
    with tempfile.TemporaryDirectory(prefix="ms-gan-ranks-") as folder:
        return _Job(ranks, command, out_dir, Path(folder)).run()


class _Job:
    def __init__(self, ranks: int, command: Sequence[str], out_dir: Path | None, folder: Path) -> None:
        self._size, self._command, self._out_dir, self._folder = ranks, command, out_dir, folder
        self._workers: list[Rank] = []
        self._signal, self._signalled, self._forced = 0, 0.0, False
        self._scheduler: Rank | None = None

    def run(self) -> int:
        """Start all processes, wait for their end, and return the exit code."""
        with self._take_signals():
            try:
                self._start()
                return self._wait()
            finally:
                for rank in self._list_all():
                    rank.kill()

    def _list_all(self) -> list[Rank]:
        return [*self._workers, *([self._scheduler] if self._scheduler else [])]

    def _start(self) -> None:
        job = {
            "MS_WORKER_NUM": str(self._size),
            "RANK_SIZE": str(self._size),
            "MS_SCHED_HOST": HOST,
            "MS_SCHED_PORT": str(_find_port()),
            "MS_WORKER_IP": HOST,
        }
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // self._size))}
        environment = {**threads, **os.environ, "MS_OM_PATH": str(self._folder), "GLOG_v": "3", **job}
        command = [sys.executable, "-c", SCHEDULER]
        self._scheduler = self._start_one("scheduler", command, {**environment, ROLE: "MS_SCHED"})
        for rank in range(self._size):
            own = {ROLE: "MS_WORKER", **dict.fromkeys(("MS_NODE_ID", "RANK_ID", "DEVICE_ID"), str(rank))}
            self._workers.append(
                self._start_one(f"rank {rank}", self._command, {**environment, **own}, logs=rank > 0)
            )

    def _start_one(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: bool = True
    ) -> Rank:
        log = open(self._folder / name, "w+b") if logs else None  # noqa: SIM115 - read at the end
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches this process only
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
        )
        return Rank(name, process, log)

    def _wait(self) -> int:
        leader, failed_at = self._workers[0], 0.0
        while not self._forced:
            failed = [rank for rank in (*self._workers[1:], self._scheduler) if rank and _has_failed(rank)]
            if leader.code is not None:
                # Without a signal, those that are found at the same time may have failed because of rank 0.
                return self._finish(leader, [one for one in failed if failed_at or (one.code or 0) < 0])
            if failed:
                failed_at = failed_at or time.monotonic()
                killed = any((rank.code or 0) < 0 for rank in failed)
                if killed or time.monotonic() - failed_at > GRACE_SECONDS:
                    return self._report(failed[0])
            time.sleep(POLL_SECONDS)
        return 128 + self._signal

    def _finish(self, leader: Rank, failed: Sequence[Rank]) -> int:
        """Return the exit code after the end of rank 0, which has reported its own error."""
        code = leader.code or 0
        if code < 0 and -code == self._signal:  # before it could take signals
            return 128 + self._signal
        if code < 0:
            return self._report(leader)
        if code == 1 and failed:
            return self._report(failed[0])
        until = time.monotonic() + GRACE_SECONDS
        while code == 0 and time.monotonic() < until and any(rank.code is None for rank in self._workers):
            time.sleep(POLL_SECONDS)
        return code

    def _report(self, cause: Rank) -> int:
        """Print why a rank has ended, and its last lines; return exit code 1."""
        code, lines = cause.code or 0, cause.read_end()
        how = f"was killed by {_name_signal(-code)}" if code < 0 else f"failed with exit code {code}"
        place = f" {shlex.quote(str(self._out_dir))}" if self._out_dir else ""
        message = f"{cause.name} {how}, so all ranks were ended; resume with: ms-gan resume{place}"
        click.echo(click.style("Error: ", fg="red", bold=True) + message, err=True)
        for line in lines:
            click.echo(f"{cause.name}: {line}", err=True)
        return 1

    @contextmanager
    def _take_signals(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in taken:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])

    def _take(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self._signal:
            self._signal, self._signalled = int(number), now
            if self._workers:
                with suppress(ProcessLookupError):
                    self._workers[0].process.send_signal(number)
            else:
                self._forced = True  # nothing has been started that could save
        elif now - self._signalled > REPEAT_SECONDS:
            self._forced = True


def _has_failed(rank: Rank) -> bool:
    """Return whether a process has ended with an error; a signal that the run has handled is not an error."""
    return rank.code is not None and rank.code != 0 and rank.code < 128


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _find_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Let the kernel end this process when the launcher ends; executed in the new process."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
