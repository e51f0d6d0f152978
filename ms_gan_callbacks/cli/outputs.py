"""Output files of commands: written atomically, and existing files are not replaced by default."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

import click

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.storage.files import make_draft_path
from ms_gan_callbacks.storage.names import LOCK, LOG, MANIFEST, RECIPE

OF_A_RUN = {LOCK, LOG, RECIPE, MANIFEST, "samples", "tensorboard"}
"""Files and folders in a run directory that the run writes, except its checkpoints."""
CHECKPOINTS = "checkpoints"


def _parse_file(_: click.Context, __: click.Parameter, text: str | None) -> Path | None:
    if text == "-":
        raise click.BadParameter("- (standard output) is not supported; give the name of a file")
    if text is not None and (not text or text.endswith(("/", os.sep))):
        raise click.BadParameter(f"{text or 'an empty name'!r} is not the name of a file")
    return None if text is None else Path(text)


def attach_output(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``-o FILE`` and ``--overwrite`` to a command."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")(command)
        option = click.option("-o", "--out", type=click.Path(), callback=_parse_file, metavar="FILE", help=help)
        return option(command)

    return decorate


@dataclass(frozen=True)
class Output:
    """A file to write.

    Args:
        path: path of the file.
        overwrite: whether an existing file is replaced. Folders and files of a run are never replaced.
        endings: allowed suffixes in lower case; empty to allow any.
        numbered: whether to use ``name-2``, ``name-3`` and so on if the file exists.
        replaceable: whether the command has the option ``--overwrite``.
    """

    path: Path
    overwrite: bool = False
    endings: tuple[str, ...] = ()
    numbered: bool = False
    replaceable: bool = True

    @property
    def ending(self) -> str:
        """Suffix of the path in lower case."""
        return self.path.suffix.lower()

    def check(self) -> None:
        """Raise UsageError unless the file can be written; called before any expensive work."""
        if self.path.name.lower() in self.endings:
            raise UsageError(f"{self.path} is a suffix without a name")
        if self.endings and self.ending not in self.endings:
            raise UsageError(f"{self.path} must end in {', '.join(self.endings[:-1])} or {self.endings[-1]}")
        with _report_os_errors(self.path):
            folder = self.path.parent
            if not folder.is_dir():
                what = _describe(folder)
                fault = f"{folder} is {what}" if what else f"there is no folder {folder}"
                raise UsageError(f"{self.path} cannot be written: {fault}")
            _check_allowed(self.path, self.overwrite)
            if not self.overwrite and not self.numbered and (what := _describe(self.path)):
                raise self._refuse(what)
            with _open_draft(self.path):  # fails if the folder is not writable
                pass

    def write(self, fill: Callable[[IO[bytes]], object]) -> Path:
        """Write the file with ``fill``, and return its path, which differs from ``path`` if a number was added.

        Raises:
            UsageError: the file was created in the meantime, or cannot be written.
        """
        with _report_os_errors(self.path), _open_draft(self.path) as (draft, file):
            fill(file)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if self.overwrite:
                _check_allowed(self.path, self.overwrite)
                draft.replace(self.path)
                return self.path
            for path in _list_names(self.path) if self.numbered else (self.path,):
                with suppress(FileExistsError):
                    _publish(draft, path)
                    return path
            raise self._refuse(_describe(self.path) or "")

    def _refuse(self, what: str) -> UsageError:
        kind = "" if what == "a file" else f" ({what})"
        fixed = what in ("a folder", "a special file") or not self.replaceable
        way = "choose another name" + ("" if fixed else ", or pass --overwrite")
        return UsageError(f"{self.path} exists already{kind}; {way}")


def _list_names(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


@contextmanager
def _report_os_errors(path: Path) -> Iterator[None]:
    """Raise operating system errors as UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _open_draft(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Create a temporary file next to a path; it is removed at the end unless it was moved."""
    for number in count():
        draft = make_draft_path(path.with_name(f"{path.name}.{number}"))
        with suppress(FileExistsError):  # left by a killed process with the same id
            file = open(draft, "xb")  # noqa: SIM115 - closed below
            break
    try:
        with file:
            yield draft, file
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    """Move a temporary file to a path; raise FileExistsError if the path exists."""
    try:
        os.link(draft, path)  # unlike a rename, it does not replace a file
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        open(path, "xb").close()
        try:
            draft.replace(path)
        except BaseException:
            path.unlink()
            raise


def _describe(path: Path) -> str:
    """Describe the file, folder or link at a path; return an empty string if there is none."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if stat.S_ISLNK(mode):
        return f"a link to {path.readlink()}"
    return "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "a special file"


def _check_allowed(path: Path, overwrite: bool) -> None:
    """Check that a path is not reserved by a run and, to overwrite it, that it is a replaceable file."""
    real = Path(os.path.realpath(path.parent)) / path.name
    run = next((folder for folder in real.parents if (folder / MANIFEST).is_file()), None)
    first, *inner = real.relative_to(run).parts if run else ("",)
    reserved = first.lower() == CHECKPOINTS or (not inner and first.lower() in OF_A_RUN)
    what = _describe(path) if overwrite else ""
    if not reserved and what and (what == "a special file" or path.is_dir()):
        raise UsageError(f"{path} is {what} and cannot be replaced; choose another name")
    if reserved or (what and inner):
        raise UsageError(f"{path} belongs to the run in {run} and cannot be replaced; choose another name")
