"""The text of Python files as it was when they were imported.

MindSpore compiles a function from its source, which it reads through ``linecache`` when the function first runs:
a file that is edited while its run trains would be compiled in its edited form. What is pinned here is never read
from the disk again.
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
    """Remember a file's text; return the name to compile it under, another one for every other text.

    Args:
        path: the file.
        source: its text as it is compiled.
    """
    lines = source.splitlines(keepends=True)
    name = str(path)
    while _pinned_lines(name) not in (None, lines):
        name = "/." + name if path.is_absolute() else "./" + name  # leads to the same file
    # Without a time of modification linecache never looks at the file.
    linecache.cache[name] = (len(source), None, lines, name)
    return name


def pin_sources() -> None:
    """Remember the text of every imported module that is not an installed package's: those that people edit."""
    for module in [*sys.modules.values()]:
        name = getattr(module, "__dict__", {}).get("__file__")  # getattr makes some import more
        if not isinstance(name, str) or not name.endswith(".py") or name.startswith(_INSTALLED):
            continue
        if _pinned_lines(name) is not None:
            continue
        try:
            source = decode_source(Path(name).read_bytes())
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue  # there is nothing that MindSpore could read, either
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)


def _pinned_lines(name: str) -> list[str] | None:
    entry: tuple[Any, ...] = linecache.cache.get(name, ())
    return entry[2] if len(entry) == 4 and entry[1] is None else None


def _installed() -> tuple[str, ...]:
    folders = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(folder for folder in [*folders, *site.getsitepackages()] if folder)


_INSTALLED = _installed()
