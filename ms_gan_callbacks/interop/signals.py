"""Restores signal handlers that MindSpore callbacks replace during a run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Handlers:
    """Records replaced signal handlers."""

    def __init__(self) -> None:
        self._replaced: dict[int, tuple[Any, Any]] = {}

    @contextmanager
    def track(self) -> Iterator[None]:
        """Record the handlers that are replaced in the context."""
        before = _list_handlers()
        try:
            yield
        finally:
            for number, handler in _list_handlers().items():
                if handler is not before[number]:
                    original = self._replaced.get(number, (before[number], None))[0]
                    self._replaced[number] = (original, handler)

    def restore(self) -> None:
        """Restore the original handlers, except those that have been replaced again since."""
        for number, (original, theirs) in self._replaced.items():
            # None is a handler that was not installed from Python and cannot be restored.
            if original is not None and signal.getsignal(number) is theirs:
                signal.signal(number, original)
        self._replaced.clear()


def _list_handlers() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}  # only the main thread can install handlers
    return {number: signal.getsignal(number) for number in signal.valid_signals()}
