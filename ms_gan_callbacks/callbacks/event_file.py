"""One TensorBoard event file, written in the caller's own thread."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from time import monotonic, time
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event


class EventFile:
    """Appends summaries to a new event file in a folder.

    tensorboardX's ``SummaryWriter`` passes events to a thread through a short queue. Once that thread meets a full
    disk nobody hears of it, and a dozen events later the queue is full and training hangs for good. Writing to a
    buffered file is as fast, and an error reaches its caller.

    Args:
        folder: where TensorBoard looks; made if it is missing.
        suffix: ends the file's name, which is unique only to the second without it.
        flush_seconds: how long, at most, what was added before the newest event may wait in the buffer.

    Raises:
        OSError: the folder or the file cannot be written, here and in every method.
    """

    def __init__(self, folder: Path, suffix: str, flush_seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(os.fspath(folder / "events"), suffix)
        self._flush_seconds, self._flush_at = flush_seconds, 0.0

    def add(self, summaries: Iterable[Any], step: int) -> None:
        """Append summaries, as the functions of ``tensorboardX.summary`` make them, that belong to a step."""
        for summary in summaries:
            self._file.write_event(Event(wall_time=time(), step=step, summary=summary))
        if monotonic() >= self._flush_at:
            self._file.flush()
            self._flush_at = monotonic() + self._flush_seconds

    def close(self) -> None:
        """Write out the rest."""
        self._file.close()
