"""A run's folder: found a name for, claimed, and told what it holds.

::

    runs/mnist_mlp-20261123-101500/
        recipe.py        the recipe, as it was
        run.json         recipe hash, arguments, seed, versions, git revision, data, device
        metrics.jsonl    scalars, one JSON object a line
        samples/         picture grids
        tensorboard/     event files
        checkpoints/     one directory for each step kept
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from ms_gan_callbacks.errors import RunDirError
from ms_gan_callbacks.storage.files import (
    decode_source,
    is_leftover,
    list_folder,
    replace_file,
    sha256_of,
    sweep_drafts,
    walk_files,
)
from ms_gan_callbacks.storage.manifest import MANIFEST, Manifest

LOCK, RECIPE = ".lock", "recipe.py"
WRITES = (LOCK, MANIFEST, RECIPE, "checkpoints/*")
"""What a run writes in its folder beside what its callbacks say that they write."""
PARENT = Path("runs")
_NAMED = 3  # files of somebody else's that a line has room for


class RunFolder:
    """The folder of a run: new or empty for a fresh one, and held by one process at a time.

    Args:
        path: the folder; None for ``runs/<name>-<time>``, which is made by :meth:`reserved`.
        name: what a default folder is called after.

    Attributes:
        path: the folder.
        kept: whether it stays if a fresh run fails: set once training has begun.

    Raises:
        RunDirError: it is a file.
    """

    def __init__(self, path: str | Path | None, name: str) -> None:
        self._name = name if path is None else None
        self.path = next(_default_names(name)) if path is None else Path(path)
        self.kept = self._made = False

    def check_free(self) -> None:
        """Make sure that a fresh run may have this folder.

        A folder is free if it does not exist, is empty, or holds what a run left that was killed before it had
        begun: a ``run.json`` whose recipe is not there yet.

        Raises:
            RunDirError: it holds a run or other files, is a file, or cannot be read.
        """
        path = self.path
        try:
            names = [entry.name for entry in list_folder(path) if not is_leftover(entry)]
        except FileNotFoundError:
            return
        except OSError as error:
            if path.is_file():
                raise RunDirError(f"{path} is a file; a run needs a folder of its own") from error
            raise RunDirError(f"cannot write to {path}: {error.strerror or error}") from error
        if MANIFEST in names and not _has_begun(path, names):
            names.remove(MANIFEST)
        if MANIFEST in names:
            hint = f"or go on with it: ms-gan resume {shlex.quote(str(path))}"
            raise RunDirError(f"{path} holds a run already; choose another --out, {hint}")
        if _is_empty_file(path / LOCK):
            names.remove(LOCK)
        if names:
            told = ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
            raise RunDirError(f"{path} holds other files ({told}); a run needs an empty or a new folder")

    @contextmanager
    def reserved(self, fresh: bool = True) -> Iterator[None]:
        """Make a default folder, under a name that no other process has taken; it goes if what is within fails.

        Args:
            fresh: whether a run begins here; nothing is done if not, or if the folder was named.

        Raises:
            RunDirError: it cannot be made.
        """
        if fresh and self._name is not None and not self._made:
            self._make_default(self._name)
        try:
            yield
        except BaseException:
            self._abandon()
            raise

    def _make_default(self, name: str) -> None:
        try:
            PARENT.mkdir(exist_ok=True)
            for path in _default_names(name):
                with suppress(FileExistsError):
                    path.mkdir()
                    self.path, self._made = path, True
                    return
        except OSError as error:
            raise RunDirError(f"cannot write to {PARENT}: {error.strerror or error}") from error

    def _abandon(self) -> None:
        """Remove the folder if this process made it and it is empty."""
        if self._made and not self.kept:
            with suppress(OSError):
                self.path.rmdir()
                self._made = False

    def keep(self) -> None:
        """Let the folder stay whatever happens: training has begun."""
        self.kept = True

    @contextmanager
    def held(self, fresh: bool, writes: Iterable[str] = ()) -> Iterator[None]:
        """Hold the folder, which is made for a fresh run, against every other process.

        Drafts that killed processes left are removed. If a fresh run fails before it is ``kept``, so is what it
        wrote, and the folder if this process made it.

        Args:
            fresh: whether a run begins here.
            writes: paths below the folder that the run's callbacks write, with ``*`` where they vary.

        Raises:
            RunDirError: the folder is taken, cannot be made or written to, or another process trains in it.
        """
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            if fresh:
                self.check_free()
                self._make()
            lock.acquire()
            if fresh:
                self.check_free()  # again: another run may have come and gone before the lock was ours
            sweep_drafts(self.path)
        except Timeout as error:
            raise RunDirError(f"another process is training in {self.path}") from error
        except OSError as error:
            lock.release()
            self._abandon()
            raise RunDirError(f"cannot write to {self.path}: {error.strerror or error}") from error
        except BaseException:
            lock.release()
            raise
        try:
            yield
        except BaseException:
            if fresh and not self.kept:
                lock.release()
                self._withdraw((*WRITES, *writes))
            raise
        finally:
            lock.release()

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True)
            self._made = True
        except FileExistsError:
            if not self.path.is_dir():
                raise

    def _withdraw(self, patterns: tuple[str, ...]) -> None:
        """Remove what this run has written: it found the folder empty, and has held it since."""
        with suppress(OSError):  # the failure at hand says more
            folders = {self.path}
            for file in list(walk_files(self.path)):
                inside = file.relative_to(self.path).as_posix()
                if is_leftover(file) or any(fnmatchcase(inside, pattern) for pattern in patterns):
                    file.unlink(missing_ok=True)
                    folders |= {parent for parent in file.parents if self.path in parent.parents}
            for folder in sorted(folders - {self.path}, key=lambda folder: len(folder.parts), reverse=True):
                with suppress(OSError):
                    folder.rmdir()
        self._abandon()


def _default_names(name: str) -> Iterator[Path]:
    stem = PARENT / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (stem if number == 1 else stem.with_name(f"{stem.name}-{number}") for number in count(1))
    return (path for path in names if not os.path.lexists(path))


def _has_begun(path: Path, names: list[str]) -> bool:
    """Whether a folder holds more of a run than a ``run.json`` whose recipe was to follow."""
    try:
        facts = Manifest.read(path).facts
    except RunDirError:
        return True
    return not {"recipe_sha256", "versions"} <= facts.keys() or not {*names} <= {MANIFEST, LOCK}


def _is_empty_file(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink() and path.stat().st_size == 0
    except OSError:
        return False


def newest_run(parent: Path = PARENT) -> Path:
    """Return the run that was started or resumed last.

    Raises:
        RunDirError: there is none, or the folder cannot be read.
    """
    try:
        manifests = [path / MANIFEST for path in list_folder(parent) if path.is_dir()]
        runs = [(path.stat().st_mtime, path.parent) for path in manifests if path.is_file()]
    except FileNotFoundError:
        runs = []
    except OSError as error:
        raise RunDirError(f"cannot look into {error.filename}: {error.strerror or error}") from error
    if not runs:
        raise RunDirError(f"there is no run in {parent}; name the folder of one")
    return max(runs)[1]


def keep_recipe(path: Path, content: bytes, known: str | None = None) -> None:
    """Write a recipe into its run's folder, unless it lies there already.

    Args:
        path: the folder.
        content: the recipe's file.
        known: the sha256 of the recipe that may be replaced, as ``run.json`` has it.

    Raises:
        RunDirError: another recipe lies there, which is not that one; or the folder cannot be written to.
    """
    file = path / RECIPE
    try:
        there = file.read_bytes() if os.path.lexists(file) else None
        if there == content:
            return
        if there is not None and sha256_of(decode_source(there)) != known:
            raise RunDirError(
                f"{file} was changed since the run wrote it, and would be replaced by another recipe: move it away"
            )
        replace_file(file, content)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise RunDirError(f"cannot write to {path}: {error}") from error
