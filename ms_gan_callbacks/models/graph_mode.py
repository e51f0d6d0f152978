"""MindSpore's graph mode."""

from __future__ import annotations

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
