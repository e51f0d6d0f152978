"""The memory that a process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Limits of a container, of cgroups version 2 and 1."""
SHARE = 0.5
"""Share of the memory that images may take; the rest is for networks, batches and other programs."""


def fits_in_memory(size: int) -> bool:
    """Return whether data of a size in bytes takes at most half of the memory that this process may use.

    This is the least of the machine's memory, the limit of its container and that of the process. It does not
    depend on other programs, so that a resumed run has the same result.
    """
    return size <= SHARE * min(_list_limits())


def _list_limits() -> Iterator[float]:
    yield float("inf")
    with suppress(ValueError, OSError, AttributeError):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # the text is "max" without a limit
            yield int(Path(path).read_text(encoding="ascii"))
    with suppress(ImportError, ValueError, OSError):
        import resource

        for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            soft = resource.getrlimit(limit)[0]
            if soft != resource.RLIM_INFINITY:
                yield soft
