"""Ctrl-C and SIGTERM for a command: noted while a step runs, acted on between two steps.

MindSpore keeps replacing the process's SIGINT handler by one that ends the process on the spot. A signal that
every thread blocks reaches no handler: a thread of ours takes it with ``sigtimedwait``. For that the block must
stand before MindSpore is imported and starts its threads, so it is the command line's business; a library touches
nothing of its host's signals.
"""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ms_gan_callbacks.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
POLL_SECONDS = 0.1
SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """Takes SIGINT and SIGTERM for as long as it is entered, in the main thread.

    Within :meth:`deferred` a first signal is only noted in ``received``; outside it raises KeyboardInterrupt in
    the main thread. A second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferring = False
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="ms-gan signals", daemon=True)

    def __enter__(self) -> Interrupts:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._give_children(self._mask)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._watcher.join(timeout=10 * POLL_SECONDS)
        subprocess.Popen._execute_child = self._execute_child  # type: ignore[attr-defined]
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if kind is KeyboardInterrupt and self.received:
            raise Interrupted("interrupted; nothing was lost", self.received) from error

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let whoever trains finish a step first; they look at ``received`` between two."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _watch(self) -> None:
        while not self._done.is_set():
            taken = signal.sigtimedwait(SIGNALS, POLL_SECONDS)
            if taken is not None:
                self._take(taken.si_signo)

    def _take(self, number: int) -> None:
        if self.received is not None:
            sys.stderr.write(SHOW_CURSOR if sys.stderr.isatty() else "")
            sys.stderr.flush()
            os._exit(128 + number)
        self.received = number
        if not self._deferring:
            _thread.interrupt_main()

    def _give_children(self, mask: set[Any]) -> None:
        """Start child processes with the mask that this one was started with: a blocked signal is inherited."""
        self._execute_child = execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]

        def execute_child(*arguments: Any, **named: Any) -> Any:
            blocked = signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            try:
                return execute(*arguments, **named)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

        subprocess.Popen._execute_child = execute_child  # type: ignore[attr-defined]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_child)

    def _in_child(self) -> None:
        if not self._done.is_set():
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
