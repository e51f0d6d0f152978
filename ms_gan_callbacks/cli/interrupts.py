"""Handles Ctrl-C and SIGTERM for commands: a signal takes effect between two training steps.

MindSpore repeatedly replaces the process's SIGINT handler by one that ends the process immediately. Signals are
therefore blocked in all threads and received by a separate thread with ``sigwait``. They must be blocked before
MindSpore is imported and starts its threads, so this is done by the command line and not by the library.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, contextmanager
from functools import wraps
from multiprocessing import resource_tracker
from multiprocessing import util as multiprocessing_util
from time import monotonic, sleep
from types import TracebackType
from typing import Any

from ms_gan_callbacks.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Interrupts the main thread's sleep or read, and the watcher's wait. Otherwise unused, and ignored by default.
WAKE: int = getattr(signal, "SIGURG", 0)
# ``timeout`` and wrappers such as ``uv run`` forward a signal that the terminal has sent to the process already.
REPEAT_SECONDS = 0.3
INSIST_SECONDS = 0.02
SHOW_CURSOR = b"\x1b[?25h"
# Functions that start child processes without calling the hooks of os.register_at_fork.
STARTERS: tuple[tuple[Any, str], ...] = (
    (subprocess.Popen, "_execute_child"),
    (multiprocessing_util, "spawnv_passfds"),
    (resource_tracker.ResourceTracker, "ensure_running"),  # it also unblocks signals
)


class Interrupts:
    """Context manager that handles SIGINT and SIGTERM.

    Inside of :meth:`defer` the first signal is only recorded in ``received``; outside it raises
    KeyboardInterrupt in the main thread. A second signal ends the process immediately. Signals that were ignored
    before stay ignored. It has no effect on Windows, where threads cannot block signals, and in other threads.
    """

    entered: Interrupts | None = None

    def __init__(self) -> None:
        self.received: int | None = None
        self._received_at = 0.0
        self._deferring = self._raised = False
        self._undo = ExitStack()

    def __enter__(self) -> Interrupts:
        if hasattr(signal, "pthread_sigmask") and threading.current_thread() is threading.main_thread():
            self._block()
            self._unblock_children()
            self._watch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deferring = True  # do not raise from here on
        self._undo.close()
        if self.received and (error is None or self._raised):
            # Another exception may have replaced the KeyboardInterrupt: MindSpore wraps exceptions.
            raise Interrupted("interrupted; no data was lost", self.received) from error

    @contextmanager
    def defer(self) -> Iterator[None]:
        """Only record signals inside of the context; the training loop checks ``received`` between steps."""
        before, self._deferring = self._deferring, True
        try:
            yield
        finally:
            self._deferring = before

    def _block(self) -> None:
        self._main = threading.get_ident()
        self._handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, WAKE})
        self._undo.callback(atexit.register, _block_signals)
        self._undo.callback(atexit.unregister, _block_signals)
        self._undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, self._mask)
        self._undo.callback(self._take_pending)
        self._undo.callback(self._set_handlers)
        self._undo.callback(signal.signal, WAKE, signal.signal(WAKE, self._interrupt_main))

    def _watch(self) -> None:
        done = threading.Event()

        def watch() -> None:
            while True:
                number, sender = _wait_for_signal({*SIGNALS, WAKE})
                if done.is_set():
                    return
                self._take_from(number, sender)

        def stop() -> None:
            done.set()
            if watcher.is_alive() and watcher.ident:  # it does not exist in a forked child
                signal.pthread_kill(watcher.ident, WAKE)
                watcher.join(timeout=1)

        watcher = threading.Thread(target=watch, name="ms-gan signals", daemon=True)
        watcher.start()
        self._undo.callback(stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {WAKE})  # in this thread only

    def _take(self, number: int, _: Any = None) -> None:
        if number not in SIGNALS or self._handlers[signal.Signals(number)] is signal.SIG_IGN:
            return
        if self.received is None:
            # A plain int: sigwait returns an IntEnum, whose text is "Signals.SIGINT" before Python 3.11.
            self.received, self._received_at = int(number), monotonic()
            threading.Thread(target=self._insist, name="ms-gan interrupt", daemon=True).start()
        elif monotonic() - self._received_at > REPEAT_SECONDS:
            # Bypass locks and buffers: their holder may be blocked.
            if os.isatty(2):
                os.write(2, SHOW_CURSOR)
            os._exit(128 + number)

    def _take_from(self, number: int, sender: int | None) -> None:
        # MindSpore sends SIGTERM to its own process if another rank has left, as it does when interrupted.
        if self.received is None or sender != os.getpid():
            self._take(number)

    def _insist(self) -> None:
        while not self._deferring and not self._raised:
            signal.pthread_kill(self._main, WAKE)
            sleep(INSIST_SECONDS)

    def _take_pending(self) -> None:
        for number in signal.sigpending() & set(SIGNALS):
            self._take_from(*_wait_for_signal({number}))

    def _interrupt_main(self, *_: Any) -> None:
        # This runs in the main thread, so _deferring cannot change in between.
        if self.received and not self._deferring and not self._raised and not _imports_mindspore():
            self._raised = True
            raise KeyboardInterrupt

    def _set_handlers(self, ours: bool = False) -> None:
        """Set the process's handlers, which MindSpore replaces, to ours or to the original ones."""
        for number, handler in self._handlers.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, self._take if ours else handler)

    def _unblock_children(self) -> None:
        """Start child processes with the original signal mask, because they inherit blocked signals."""
        for owner, name in STARTERS:
            start = getattr(owner, name)
            self._undo.callback(setattr, owner, name, start)
            setattr(owner, name, self._wrap_start(start))
        self._undo.callback(setattr, Interrupts, "entered", Interrupts.entered)
        Interrupts.entered = self

    def _wrap_start(self, start: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(start)
        def unblocked(*arguments: Any, **named: Any) -> Any:
            in_main = threading.get_ident() == self._main  # only the main thread may set handlers
            if in_main:
                self._set_handlers(ours=True)
            blocked = signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            try:
                return start(*arguments, **named)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                if in_main:
                    self._set_handlers()

        return unblocked


def _wait_for_signal(numbers: Set[int]) -> tuple[int, int | None]:
    """Return the number of the next signal and the id of the process that sent it, or None if unknown."""
    if not hasattr(signal, "sigwaitinfo"):  # macOS
        return signal.sigwait(numbers), None
    found = signal.sigwaitinfo(numbers)
    return found.si_signo, found.si_pid


def _imports_mindspore() -> bool:
    """Whether MindSpore's import is in progress: if interrupted, it aborts the process on exit."""
    spec = getattr(sys.modules.get("mindspore"), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _block_signals() -> None:
    """Block signals at exit: MindSpore takes half a second to shut down, and a signal would kill the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _unblock_in_child() -> None:
    if Interrupts.entered is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, Interrupts.entered._mask)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unblock_in_child)
