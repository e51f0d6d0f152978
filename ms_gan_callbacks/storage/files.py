"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MARK = ".ms-gan."
"""Tells our drafts from files that merely look temporary."""
_DRAFT = re.compile(r"\..+\.(?P<process>[0-9]+)" + re.escape(_MARK) + r"(tmp|old|gone)", re.DOTALL)


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


def draft_of(path: Path, ending: str = "tmp") -> Path:
    """Return where this process makes what it then puts in place; ``left_by`` knows it by this name."""
    return path.with_name(f".{path.name}.{os.getpid()}{_MARK}{ending}")


def left_by(name: str) -> int | None:
    """Return the process that made a draft of this name; None for every other name."""
    words = _DRAFT.fullmatch(name)
    return int(words["process"]) if words else None


def is_leftover(path: Path) -> bool:
    """Whether a path is a draft whose process has ended, or had this one's number."""
    process = left_by(path.name)
    return process is not None and (process == os.getpid() or not _is_running(process))


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return False  # where os.kill would end the process that it asks about
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


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


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, links to folders among them, in the order of their names.

    Raises:
        OSError: a folder cannot be read.
    """
    for path in list_folder(folder):
        if path.is_dir() and not path.is_symlink():
            yield from walk_files(path)
        else:
            yield path


def sweep_drafts(folder: Path) -> None:
    """Remove the drafts of files that killed processes left anywhere in a folder.

    Raises:
        OSError: a folder cannot be read, or a draft not be removed.
    """
    for path in list(walk_files(folder)):
        if is_leftover(path):
            path.unlink(missing_ok=True)


def decode_source(content: bytes) -> str:
    """Return a Python file's text as Python reads it: a byte order mark, a declared encoding, any line ends.

    Raises:
        SyntaxError: the declared encoding is unknown, or not what the file is written in.
        UnicodeDecodeError: the file is not written in its encoding.
    """
    return io.TextIOWrapper(io.BytesIO(content), encoding_of(content)).read()


def encoding_of(content: bytes) -> str:
    """Return the encoding of a Python file, as Python finds it out.

    Raises:
        SyntaxError: the declared encoding is unknown, or not what the file is written in.
    """
    return tokenize.detect_encoding(io.BytesIO(content).readline)[0]


def sha256_of(text: str) -> str:
    """Return the hex digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(value: Any) -> bytes:
    """Serialise for a file that people read too: sorted as given, indented, ending in a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode()
