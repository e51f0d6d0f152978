"""Keeps the source of imported files unchanged for MindSpore's compiler.

MindSpore compiles a function from its source, which it reads through ``linecache`` when the function first runs.
Files that are edited during a run would be compiled in their new form. Pinned sources are not read again.
"""

from __future__ import annotations

import linecache
import site
import sys
import sysconfig
from pathlib import Path
from typing import Any

from ms_gan_callbacks.storage.files import decode_source


def pin_source(path: Path, source: str) -> str:
    """Pin a file's source; return the file name to compile it with, which differs for different sources."""
    lines = source.splitlines(keepends=True)
    name = str(path)
    while _find_pinned(name) not in (None, lines):
        name = "/." + name if path.is_absolute() else "./" + name  # refers to the same file
    # linecache never reloads entries without a modification time.
    linecache.cache[name] = (len(source), None, lines, name)
    return name


def pin_sources() -> None:
    """Pin the sources of all imported modules that are not part of an installed package."""
    for module in [*sys.modules.values()]:
        name = getattr(module, "__dict__", {}).get("__file__")  # getattr of lazy modules would import more
        if not isinstance(name, str) or not name.endswith(".py") or name.startswith(_INSTALLED):
            continue
        if _find_pinned(name) is not None:
            continue
        try:
            source = decode_source(Path(name).read_bytes())
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue  # MindSpore could not read it, either
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)


def _find_pinned(name: str) -> list[str] | None:
    entry: tuple[Any, ...] = linecache.cache.get(name, ())
    return entry[2] if len(entry) == 4 and entry[1] is None else None


_FOLDERS = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
_INSTALLED = tuple(folder for folder in [*_FOLDERS, *site.getsitepackages()] if folder)
