"""Listing of data folders, with an account of the files that were ignored."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

from ms_gan_callbacks.errors import DataError, RecipeError
from ms_gan_callbacks.storage.files import list_folder

NAMED = 3  # files listed for each reason
_HIDDEN = ("hidden file or folder", "hidden files and folders")
_BROKEN = ("broken link", "broken links")
_LOOP = ("link to a parent folder", "links to parent folders")
_SPECIAL = ("special file", "special files")
_OTHER = ("file of another type", "files of other types")


def require_folder(root: str | os.PathLike[str], holds: str, hint: str = "") -> Path:
    """Return the path of an existing folder.

    Args:
        root: path of the folder; ``~`` is expanded.
        holds: expected content, for the error if ``root`` is a file.
        hint: how to obtain the content; appended to the error if the folder is missing.

    Raises:
        RecipeError: ``root`` is not a path.
        DataError: the folder does not exist, is a file, or cannot be read.
    """
    if not isinstance(root, (str, os.PathLike)):
        raise RecipeError(f"a data folder must be a path, not {root!r}")
    text = os.fspath(root)
    try:
        folder = Path(text).expanduser()
        mode = folder.stat().st_mode if text else None
    except (FileNotFoundError, NotADirectoryError, RuntimeError, ValueError):  # unknown home, null character
        mode = None
    except OSError as error:
        raise DataError(f"{text} cannot be read ({error.strerror})") from error
    if mode is None:
        raise DataError(f"data folder {text!r} does not exist{_suggest_folder(text)}{hint}")
    if not stat.S_ISDIR(mode):
        raise DataError(f"{folder} is a file, expected the folder that contains {holds}")
    return folder


def _suggest_folder(text: str) -> str:
    """Return a hint with the folder of the nearest name next to a missing one, or an empty string."""
    try:
        folder = Path(text).expanduser()
        names = [entry.name for entry in list_folder(folder.parent) if entry.is_dir()]
    except (OSError, RuntimeError, ValueError):
        return ""
    nearest = get_close_matches(folder.name, names, n=1) if text else []
    return f"; did you mean {str(folder.with_name(nearest[0]))!r}?" if nearest else ""


def list_data(folder: Path, *, missing_ok: bool = False) -> list[Path]:
    """Return the entries of a folder, sorted by name; raise DataError if it cannot be read."""
    try:
        return list_folder(folder)
    except OSError as error:
        if missing_ok and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return []
        raise DataError(f"{folder} cannot be read ({error.strerror})") from error


class FileTree:
    """The files below a folder with certain suffixes, and the entries that were ignored.

    Linked folders are followed, except links back to one of their parents.

    Args:
        root: the folder.
        suffixes: accepted suffixes, in lower case.

    Raises:
        DataError: a folder or an entry cannot be read.

    Attributes:
        files: files with an accepted suffix, sorted by path, including broken links.
        folders: names of the folders directly below the root, sorted, including empty ones and broken links.
    """

    def __init__(self, root: Path, suffixes: Collection[str]) -> None:
        self.files: list[Path] = []
        self.folders: list[str] = []
        self._root, self._suffixes = root, suffixes
        self._ignored: dict[tuple[str, str], list[Path]] = {}
        waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(root, (_identify(root.stat()),))]
        while waiting:
            folder, above = waiting.pop()
            for entry in list_data(folder):
                status = None if entry.name.startswith(".") else _read_status(entry)
                if status is not None and stat.S_ISDIR(status.st_mode) and _identify(status) not in above:
                    waiting.append((entry, (*above, _identify(status))))
                    self.folders += [entry.name] if folder == root else []
                else:
                    self._take(entry, status)
        self.files.sort()
        self.folders.sort()

    def _take(self, entry: Path, status: os.stat_result | None) -> None:
        wanted = entry.suffix.lower() in self._suffixes
        if entry.name.startswith("."):
            self._ignore(_HIDDEN, entry)
        elif status is None and not wanted:
            self._ignore(_BROKEN, entry)
            if entry.parent == self._root and not entry.suffix:  # probably a class folder on an unmounted disk
                self.folders.append(entry.name)
        elif status is not None and stat.S_ISDIR(status.st_mode):
            self._ignore(_LOOP, entry)
        elif status is not None and not stat.S_ISREG(status.st_mode):
            self._ignore(_SPECIAL, entry)
        elif wanted:
            self.files.append(entry)
        else:
            self._ignore(_OTHER, entry)

    def _ignore(self, why: tuple[str, str], entry: Path) -> None:
        self._ignored.setdefault(why, []).append(entry.relative_to(self._root))

    def describe_ignored(self) -> list[str]:
        """Return one phrase per reason, with the number and names of the ignored entries."""
        phrases = []
        for why, paths in self._ignored.items():
            kinds = Counter(path.suffix.lower() or "without a suffix" for path in paths)
            counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(NAMED))
            several = f"{counts}: " if why == _OTHER and len(kinds) > 1 else ""
            named = name_some(sorted(str(path) for path in paths))
            phrases.append(f"{len(paths):,} {why[len(paths) > 1]} ({several}{named})")
        return phrases


def name_some(names: Sequence[str]) -> str:
    """Return the first few names as one line, unprintable characters escaped.

    >>> name_some(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    shown = [name if name.isprintable() else ascii(name) for name in names[:NAMED]]
    return ", ".join(shown) + ", ..." * (len(names) > NAMED)


def _identify(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _read_status(entry: Path) -> os.stat_result | None:
    """Return the status of an entry's target, or None for a broken or circular link."""
    try:
        return entry.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and entry.is_symlink():
            return None
        raise DataError(f"{entry} cannot be read ({error.strerror})") from error
