"""The parts of tensorboardX that this package uses, imported without PyTorch.

tensorboardX imports PyTorch if it is installed, for the sake of a type annotation. That takes a second and 180 MB.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hide_torch() -> Iterator[None]:
    """Make ``import torch`` fail inside of the context, unless PyTorch has been imported before."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop("torch", None)


with hide_torch():
    from tensorboardX import summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import masked_crc32c

__all__ = ["Event", "EventsWriter", "Summary", "masked_crc32c", "summary"]
