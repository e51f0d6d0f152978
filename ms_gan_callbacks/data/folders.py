"""Folders of a user's data: what is in them is taken, or counted and named, or an error."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from ms_gan_callbacks.errors import DataError, RecipeError
from ms_gan_callbacks.storage.files import list_folder

NAMED = 3  # files of a kind that a line has room for
_HIDDEN = ("hidden file or folder", "hidden files and folders")
_NOTHING = ("link to nothing", "links to nothing")
_LOOP = ("link back to a folder that it lies in", "links back to folders that they lie in")
_SPECIAL = ("entry that is neither file nor folder", "entries that are neither files nor folders")
_OTHER = ("file of another type", "files of other types")


def need_folder(root: str | os.PathLike[str], holds: str, hint: str = "") -> Path:
    """Return a folder that somebody has named.

    Args:
        root: its name; ``~`` is the home folder.
        holds: what is expected in it.
        hint: how to get that, for those who have not.

    Raises:
        RecipeError: it is no name of a folder.
        DataError: it does not exist, is a file, or cannot be read.
    """
    if not isinstance(root, (str, os.PathLike)):
        raise RecipeError(f"a data folder is given by its path, not by {root!r}")
    text = os.fspath(root)
    try:
        folder = Path(text).expanduser()
        mode = folder.stat().st_mode if text else None
    except (FileNotFoundError, NotADirectoryError, RuntimeError, ValueError):  # no such home, a null character
        mode = None
    except OSError as error:
        raise DataError(f"{text} cannot be read ({error.strerror})") from error
    if mode is None:
        raise DataError(f"data folder {text!r} does not exist{hint}")
    if not stat.S_ISDIR(mode):
        raise DataError(f"{folder} is a file, expected the folder that holds {holds}")
    return folder


def list_data(folder: Path, *, missing_ok: bool = False) -> list[Path]:
    """Return the entries of a folder, sorted by name; none of one that may be missing and is.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return list_folder(folder)
    except OSError as error:
        if missing_ok and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return []
        raise DataError(f"{folder} cannot be read ({error.strerror})") from error


class FileTree:
    """The files below a folder whose names end as wanted, and all that was passed over.

    Linked folders are entered like others, but for links back to a folder that they lie in.

    Args:
        root: the folder.
        suffixes: the ends of names that are wanted, in lower case.

    Raises:
        DataError: a folder or an entry of one cannot be read.

    Attributes:
        files: those files in the order of their paths; links to nothing that are named so are among them.
        folders: the names of the folders right below the root, sorted, empty ones and links to nothing too.
    """

    def __init__(self, root: Path, suffixes: Collection[str]) -> None:
        self.files: list[Path] = []
        self.folders: list[str] = []
        self._root, self._suffixes = root, suffixes
        self._passed: dict[tuple[str, str], list[Path]] = {}
        waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(root, (_identity(root.stat()),))]
        while waiting:
            folder, above = waiting.pop()
            for entry in list_data(folder):
                status = None if entry.name.startswith(".") else _status(entry)
                if status is not None and stat.S_ISDIR(status.st_mode) and _identity(status) not in above:
                    waiting.append((entry, (*above, _identity(status))))
                    self.folders += [entry.name] if folder == root else []
                else:
                    self._take(entry, status)
        self.files.sort()
        self.folders.sort()

    def _take(self, entry: Path, status: os.stat_result | None) -> None:
        """Take an entry that is not a folder to enter, or note why not."""
        wanted = entry.suffix.lower() in self._suffixes
        if entry.name.startswith("."):
            self._pass_over(_HIDDEN, entry)
        elif status is None and not wanted:
            self._pass_over(_NOTHING, entry)
            if entry.parent == self._root and not entry.suffix:  # a class whose disk is away, by its name
                self.folders.append(entry.name)
        elif status is not None and stat.S_ISDIR(status.st_mode):
            self._pass_over(_LOOP, entry)
        elif status is not None and not stat.S_ISREG(status.st_mode):
            self._pass_over(_SPECIAL, entry)
        elif wanted:
            self.files.append(entry)
        else:
            self._pass_over(_OTHER, entry)

    def _pass_over(self, why: tuple[str, str], entry: Path) -> None:
        self._passed.setdefault(why, []).append(entry.relative_to(self._root))

    def describe_passed(self) -> list[str]:
        """Tell what was passed over, one phrase for each reason, with numbers and names."""
        told = []
        for why, paths in self._passed.items():
            kinds = Counter(path.suffix.lower() or "without a suffix" for path in paths)
            counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(NAMED))
            several = f"{counts}: " if why == _OTHER and len(kinds) > 1 else ""
            named = name_some(sorted(str(path) for path in paths))
            told.append(f"{len(paths):,} {why[len(paths) > 1]} ({several}{named})")
        return told


def name_some(names: Sequence[str]) -> str:
    """Write the first few names, in one line whatever they hold.

    >>> name_some(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    shown = [name if name.isprintable() else ascii(name) for name in names[:NAMED]]
    return ", ".join(shown) + ", ..." * (len(names) > NAMED)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status(entry: Path) -> os.stat_result | None:
    """What an entry is, behind links; None for a link to nothing or to itself."""
    try:
        return entry.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and entry.is_symlink():
            return None
        raise DataError(f"{entry} cannot be read ({error.strerror})") from error
