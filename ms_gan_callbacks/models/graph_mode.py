"""MindSpore's execution modes: compiled graphs, and single operations without queues."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import mindspore as ms

from ms_gan_callbacks.models.mindspore_private import set_synchronous


@contextmanager
def graph_mode() -> Iterator[None]:
    """Run cells as compiled graphs, and restore the mode afterwards.

    Graph mode avoids the queues on which MindSpore's other modes busy-wait.
    """
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        yield
    finally:
        ms.set_context(mode=mode)


@contextmanager
def compilation() -> Iterator[None]:
    """Graph mode for a call that compiles.

    MindSpore collects garbage before and after it compiles. Objects that exist already, most of them those of
    imported modules, are excluded, because examining them takes time. Afterwards the memory that the compiler has
    freed, tens of megabytes, is returned to the system before the graph allocates its own.
    """
    frozen = gc.get_freeze_count() > 0  # by the user
    if not frozen:
        gc.freeze()
    try:
        with graph_mode():
            yield
    finally:
        if not frozen:
            gc.unfreeze()
        trim_heap()


def trim_heap() -> None:
    """Return freed memory to the system, where the C library is glibc, which otherwise keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@contextmanager
def synchronous_operations() -> Iterator[None]:
    """Wait for every operation outside of a graph, which on a CPU takes a quarter of the time.

    Otherwise operations pass through queues whose threads busy-wait on the cores that compute.
    """
    if ms.get_context("device_target") != "CPU":
        yield
        return
    before = set_synchronous(True)
    try:
        yield
    finally:
        set_synchronous(before)
