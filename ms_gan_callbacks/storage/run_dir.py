"""Run directories: naming, locking, cleaning up and finding them.

::

    runs/mnist_mlp-20261123-101500/
        recipe.py        a copy of the recipe
        run.json         recipe hash, arguments, seed, versions, git revision, data, device
        metrics.jsonl    scalars, one JSON object per line
        samples/         image grids
        tensorboard/     event files
        checkpoints/     one directory per retained step
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
    compute_sha256,
    convert_errors,
    decode_source,
    is_leftover,
    list_folder,
    replace_file,
    sweep_drafts,
    walk_files,
)
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.names import LOCK, MANIFEST, PARENT, RECIPE

WRITES = (LOCK, MANIFEST, RECIPE, "checkpoints/*")
"""Files of a run directory, in addition to those declared by callbacks in ``writes``."""
_LISTED = 3  # maximum number of other files listed in a message


class RunFolder:
    """A run directory: new or empty for a new run, and locked by one process at a time.

    Args:
        path: the directory; None for ``runs/<name>-<time>``, which is created by :meth:`reserve`.
        name: first part of a default name.

    Attributes:
        path: the directory.
        kept: whether to keep it if a new run fails; set when training begins.
    """

    def __init__(self, path: str | Path | None, name: str) -> None:
        self._name = name if path is None else None
        self.path = next(_generate_names(name)) if path is None else Path(path)
        self.kept = False
        self._made: list[Path] = []  # the directory and its parents, as far as this process created them

    def check_free(self) -> None:
        """Check that the directory can be used for a new run.

        It must be missing or empty, or contain only the ``run.json`` of a run that was killed before writing its
        recipe.

        Raises:
            RunDirError: it contains a run or other files, is a file, or cannot be read.
        """
        path = self.path
        try:
            names = [entry.name for entry in list_folder(path) if not is_leftover(entry)]
        except FileNotFoundError:
            return
        except OSError as error:
            if path.is_file():
                raise RunDirError(f"{path} is a file; choose a directory") from error
            raise RunDirError(f"cannot write to {path}: {error.strerror or error}") from error
        if MANIFEST in names:
            if _has_begun(path, names):
                hint = f"or resume it: ms-gan resume {shlex.quote(str(path))}"
                raise RunDirError(f"{path} already contains a run; choose another --out, {hint}")
            names.remove(MANIFEST)
        if _is_empty_file(path / LOCK):
            names.remove(LOCK)
        if names:
            listed = ", ".join(names[:_LISTED]) + ", ..." * (len(names) > _LISTED)
            raise RunDirError(f"{path} contains other files ({listed}); choose an empty or new directory")

    @contextmanager
    def reserve(self, fresh: bool = True) -> Iterator[None]:
        """Create a directory with a unique default name; it is removed if the context raises an exception.

        Args:
            fresh: whether the run is new. Nothing is done if it is not, or if the directory was given.

        Raises:
            RunDirError: the directory cannot be created.
        """
        if fresh and self._name is not None and not self._made:
            with convert_errors(RunDirError, f"write to {PARENT}"):
                for path in _generate_names(self._name):
                    with suppress(FileExistsError):
                        self._made, self.path = _make_folders(path), path
                        break
        try:
            yield
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Remove the directory and its parents as far as this process created them and they are empty."""
        if not self.kept:
            with suppress(OSError):
                while self._made:
                    self._made[0].rmdir()
                    del self._made[0]

    def keep(self) -> None:
        """Keep the directory even if the run fails; called when training begins."""
        self.kept = True

    @contextmanager
    def lock(self, fresh: bool, writes: Iterable[str] = ()) -> Iterator[None]:
        """Lock the directory, which is created for a new run.

        Drafts left by killed processes are removed. If a new run fails before :meth:`keep`, its files are removed,
        and the directory if this process created it.

        Args:
            fresh: whether the run is new.
            writes: paths that the run's callbacks write, as patterns relative to the directory.

        Raises:
            RunDirError: the directory is not free, cannot be written to, or is locked by another process.
        """
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            if fresh:
                self.check_free()
                self._make()
            lock.acquire()
            if fresh:
                self.check_free()  # again: another run may have used the directory before the lock was acquired
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
            self._made = _make_folders(self.path)
        except FileExistsError:
            if not self.path.is_dir():
                raise

    def _withdraw(self, patterns: tuple[str, ...]) -> None:
        """Remove the files of a failed new run, which locked an empty directory."""
        with suppress(OSError):  # the original exception is more useful
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


def _make_folders(path: Path) -> list[Path]:
    """Create a directory and its missing parents; return them, the innermost first."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True)
    return missing


def _generate_names(name: str) -> Iterator[Path]:
    stem = PARENT / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    names = (stem if number == 1 else stem.with_name(f"{stem.name}-{number}") for number in count(1))
    return (path for path in names if not os.path.lexists(path))


def _has_begun(path: Path, names: list[str]) -> bool:
    """Return whether a directory contains more of a run than a ``run.json`` without its recipe."""
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


def find_runs(parent: Path = PARENT) -> list[Path]:
    """Return the run directories in a folder in the order in which they were started or resumed, the newest last.

    Raises:
        RunDirError: a directory cannot be read.
    """
    try:
        manifests = [path / MANIFEST for path in list_folder(parent) if path.is_dir()]
        runs = [(path.stat().st_mtime, path.parent) for path in manifests if path.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunDirError(f"cannot read {error.filename}: {error.strerror or error}") from error
    return [path for _, path in sorted(runs)]


def find_newest_run(parent: Path = PARENT) -> Path:
    """Return the run directory that was started or resumed last.

    Raises:
        RunDirError: there is no run, or a directory cannot be read.
    """
    runs = find_runs(parent)
    if not runs:
        raise RunDirError(f"no runs found in {parent}; pass a run directory")
    return runs[-1]


def keep_recipe(path: Path, content: bytes, known: str | None = None) -> None:
    """Write a recipe to its run directory, unless it exists there.

    Args:
        path: the run directory.
        content: content of the recipe file.
        known: sha256 of the recipe that may be replaced, from ``run.json``.

    Raises:
        RunDirError: the existing recipe is not the known one, or the file cannot be written.
    """
    file = path / RECIPE
    try:
        there = file.read_bytes() if os.path.lexists(file) else None
        if there == content:
            return
        if there is not None and compute_sha256(decode_source(there)) != known:
            raise RunDirError(
                f"{file} was modified since the run wrote it and would be overwritten: move the file elsewhere"
            )
        replace_file(file, content)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise RunDirError(f"cannot write to {path}: {error}") from error
