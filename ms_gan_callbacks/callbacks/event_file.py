"""One TensorBoard event file, written in the caller's own thread."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic, time
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from ms_gan_callbacks.errors import warn
from ms_gan_callbacks.storage.files import list_folder, replace_file

OURS = ".ms-gan"
"""What the names of our files end in: others write event files into the same folder, too."""


class EventFile:
    """Appends summaries to a new event file in a folder.

    tensorboardX's ``SummaryWriter`` passes events to a thread through a short queue. Once that thread meets a full
    disk nobody hears of it, and a dozen events later the queue is full and training hangs for good. Writing to a
    buffered file is as fast, and an error reaches its caller.

    Args:
        folder: where TensorBoard looks; made if it is missing.
        suffix: stands in the file's name, which is unique only to the second without it.
        flush_seconds: how long, at most, what was added before the newest event may wait in the buffer.

    Raises:
        OSError: the folder or the file cannot be written, here and in every method.
    """

    def __init__(self, folder: Path, suffix: str, flush_seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(os.fspath(folder / "events"), suffix + OURS)
        self._flush_seconds, self._flush_at = flush_seconds, 0.0

    def add(self, summaries: Iterable[Any], step: int) -> None:
        """Append summaries, as the functions of ``tensorboardX.summary`` make them, that belong to a step."""
        for summary in summaries:
            self._file.write_event(Event(wall_time=time(), step=step, summary=summary))
        if monotonic() >= self._flush_at:
            self._file.flush()
            self._flush_at = monotonic() + self._flush_seconds

    def flush(self) -> None:
        """Hand over to the system what the buffer holds."""
        self._file.flush()

    def close(self) -> None:
        """Write out the rest."""
        self._file.close()


def drop_events_after(folder: Path, step: int) -> None:
    """Take out of a folder's event files whatever belongs to a later step: a run that goes on has one line.

    A record that a kill tore in two goes, too, and a file that holds nothing any more. Files are replaced whole.
    What no :class:`EventFile` has made is left alone.

    Raises:
        OSError: a file cannot be read or written.
    """
    try:
        found = list_folder(folder)
    except FileNotFoundError:
        return
    for path in found:
        if not path.name.endswith(OURS) or path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        try:
            events = [(Event.FromString(record), frame) for record, frame in _records(content)]
        except (DecodeError, ValueError):
            warn(f"{path} is damaged and left as it is")
            continue
        kept = [(event, frame) for event, frame in events if event.step <= step]
        if all(event.HasField("file_version") for event, _ in kept):
            path.unlink()
        elif (rest := b"".join(frame for _, frame in kept)) != content:
            replace_file(path, rest)


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk TFRecord frames: length (8 bytes), its checksum (4), the record, its checksum (4).

    Raises:
        ValueError: a length is not what its checksum says.
    """
    start = 0
    while start + 12 <= len(content):
        length, checksum = struct.unpack_from("<QI", content, start)
        if checksum != masked_crc32c(content[start : start + 8]):
            raise ValueError(f"the length at byte {start:,} is damaged")
        end = start + 12 + length + 4
        if end > len(content):
            return
        yield content[start + 12 : end - 4], content[start:end]
        start = end
