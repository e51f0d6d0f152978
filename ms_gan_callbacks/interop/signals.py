"""Signal handlers that somebody else installs, put back when a run is over."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Handlers:
    """Remembers which handlers were replaced, and by what."""

    def __init__(self) -> None:
        self._replaced: dict[int, tuple[Any, Any]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at what is replaced within."""
        before = _installed()
        try:
            yield
        finally:
            for number, handler in _installed().items():
                if handler is not before[number]:
                    original = self._replaced.get(number, (before[number], None))[0]
                    self._replaced[number] = (original, handler)

    def put_back(self) -> None:
        """Put the old ones back, but not over what has been installed since."""
        for number, (original, theirs) in self._replaced.items():
            # None was installed by other means than Python's, and cannot be put back by them.
            if original is not None and signal.getsignal(number) is theirs:
                signal.signal(number, original)
        self._replaced.clear()


def _installed() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}  # only the main thread can install any
    return {number: signal.getsignal(number) for number in signal.valid_signals()}
