"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder (a no-op where folders cannot be opened)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def draft_of(path: Path) -> Path:
    """Return where this process makes what it then puts in place; sweep_drafts knows it by this name."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place in one go: a reader, a kill or a full disk sees the old one or the new one.

    Missing parent folders are made. The content is flushed to the disk before the name changes hands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    try:
        write_durably(draft, content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def list_folder(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name.

    Unlike ``Path.glob``, which on some versions of Python returns nothing for a folder that it cannot read.

    Raises:
        OSError: the folder is missing or cannot be read.
    """
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries)


def sweep_drafts(folder: Path) -> None:
    """Remove what killed processes left of files that they were about to put in place, in all the folder."""
    for draft in folder.rglob(".*.tmp"):
        if draft.stem.rpartition(".")[2].isdecimal() and draft.is_file():
            draft.unlink(missing_ok=True)


def to_json(value: Any) -> bytes:
    """Serialise for a file that people read too: sorted as given, indented, ending in a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode()
