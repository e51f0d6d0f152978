"""Atomic file operations, directory listings and text encodings."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import GanError

_MARK = ".ms-gan."
"""Part of the names of this package's drafts, which distinguishes them from other temporary files."""
_DRAFT = re.compile(r"\..+\.(?P<process>[0-9]+)" + re.escape(_MARK) + r"(tmp|old|gone)", re.DOTALL)


@contextmanager
def convert_errors(kind: type[GanError], action: str, rest: str = "") -> Iterator[None]:
    """Convert an OSError to an exception of this package, with a one-line message."""
    try:
        yield
    except OSError as error:
        reason = f"cannot {action}: {error.strerror or error}"
        raise kind(f"{reason}; {rest}" if rest else reason) from error


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and flush it to disk."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Flush a file that another library has written to disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk; does nothing on Windows."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_draft_path(path: Path, ending: str = "tmp") -> Path:
    """Return the path of this process's temporary file or directory for ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}{_MARK}{ending}")


def is_leftover(path: Path) -> bool:
    """Return whether a path is a draft of a process that has ended, or had the id of this process."""
    words = _DRAFT.fullmatch(path.name)
    process = int(words["process"]) if words else None
    return process is not None and (process == os.getpid() or not _is_running(process))


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return False  # os.kill would end the process on Windows
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically: after a kill or on a full disk, the old file or the new one exists.

    Missing parent folders are created. The content is flushed to disk before the file is renamed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = make_draft_path(path)
    try:
        write_durably(draft, content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def list_folder(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted by name.

    ``Path.glob`` returns nothing for an unreadable folder on some versions of Python; this raises.

    Raises:
        OSError: the folder is missing or cannot be read.
    """
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries)


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, including links to folders, sorted by name; see :func:`list_folder`."""
    for path in list_folder(folder):
        if path.is_dir() and not path.is_symlink():
            yield from walk_files(path)
        else:
            yield path


def sweep_drafts(folder: Path) -> None:
    """Remove the drafts of files left by killed processes, in a folder and all below it."""
    for path in list(walk_files(folder)):
        if is_leftover(path):
            path.unlink(missing_ok=True)


def decode_source(content: bytes) -> str:
    """Decode a Python file like Python: with a byte order mark, a declared encoding, and any line endings.

    Raises:
        SyntaxError: see :func:`detect_encoding`.
        UnicodeDecodeError: the content does not match the encoding.
    """
    return io.TextIOWrapper(io.BytesIO(content), detect_encoding(content)).read()


def detect_encoding(content: bytes) -> str:
    """Return the encoding of a Python file, detected like in Python.

    Raises:
        SyntaxError: the declared encoding is unknown or invalid.
    """
    return tokenize.detect_encoding(io.BytesIO(content).readline)[0]


def hash_file(path: Path) -> str:
    """Return the sha256 of a file as hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def compute_sha256(text: str) -> str:
    """Return the sha256 of a text as hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(value: Any) -> bytes:
    """Serialise a value as readable JSON: indented, in the given order, with a newline at the end."""
    return (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode()
