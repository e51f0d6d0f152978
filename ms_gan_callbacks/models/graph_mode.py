"""MindSpore's graph mode."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import mindspore as ms


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
    imported modules, are excluded, because examining them takes time.
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
