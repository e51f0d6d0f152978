"""Files that commands write for the user: never over something that is there, whole or not at all."""

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

OF_A_RUN = {".lock", "metrics.jsonl", "recipe.py", "run.json", "samples", "tensorboard"}
"""What lies in a run's folder that the run itself writes, beside its checkpoints."""
CHECKPOINTS = "checkpoints"


class OutputFile(click.Path):
    """What is typed behind ``-o``: the name of a file."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Return the path."""
        typed = os.fspath(value)
        if typed == "-":
            self.fail("- (standard output) is not supported; name a file", parameter, context)
        if not typed or typed.endswith(("/", os.sep)):
            self.fail(f"{typed or 'an empty name'!r} names no file; name a file in a folder", parameter, context)
        return super().convert(value, parameter, context)


def out_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command ``-o FILE`` and ``--overwrite``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")(command)
        return click.option("-o", "--out", type=OutputFile(), metavar="FILE", help=help)(command)

    return decorate


@dataclass(frozen=True)
class Output:
    """A file that a command is going to write.

    Args:
        path: its name.
        overwrite: whether a file of that name may be replaced. A folder never is, nor what belongs to a run.
        endings: the endings that it may have, in small letters; any where there are none.
        numbered: whether ``name-2``, ``name-3`` and so on are taken where the name is.
        replaceable: whether the command has ``--overwrite``.
    """

    path: Path
    overwrite: bool = False
    endings: tuple[str, ...] = ()
    numbered: bool = False
    replaceable: bool = True

    @property
    def ending(self) -> str:
        """The path's ending, in small letters."""
        return self.path.suffix.lower()

    def check(self) -> None:
        """Make sure, before anything costs time, that the file can be written.

        Raises:
            UsageError: its name is taken, or of no use; its folder is missing or cannot be written to.
        """
        if self.path.name.lower() in self.endings:
            raise UsageError(f"{self.path} is an ending without a name before it")
        if self.endings and self.ending not in self.endings:
            last = self.endings[-1]
            ways = f"{', '.join(self.endings[:-1])} or {last}" if len(self.endings) > 1 else last
            raise UsageError(f"{self.path} must end in {ways}")
        with _told(self.path):
            _check_folder(self.path)
            _check_reserved(self.path)
            if self.overwrite:
                _check_replaceable(self.path)
            elif not self.numbered and (what := _what_is(self.path)):
                raise self._taken(what)
            with _draft(self.path):  # whether the folder can be written to is known once it was
                pass

    def write(self, fill: Callable[[IO[bytes]], object]) -> Path:
        """Write the file; return its name, which differs from ``path`` where a numbered one was taken.

        Args:
            fill: writes the content into an open file.

        Raises:
            UsageError: the name has been taken meanwhile, or the disk refuses.
        """
        with _told(self.path), _draft(self.path) as (draft, file):
            fill(file)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if self.overwrite:
                _check_replaceable(self.path)
                draft.replace(self.path)
                return self.path
            for path in _names(self.path) if self.numbered else (self.path,):
                with suppress(FileExistsError):
                    _publish(draft, path)
                    return path
            raise self._taken(_what_is(self.path) or "")

    def _taken(self, what: str) -> UsageError:
        told = f"{self.path} exists already" + ("" if what == "a file" else f" ({what})")
        fixed = what in ("a folder", "no ordinary file") or not self.replaceable
        way = "choose another name" + ("" if fixed else ", or pass --overwrite")
        return UsageError(f"{told} and is left as it is; {way}")


def _names(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in one line what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _draft(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Make a new file beside a path, which is gone afterwards unless it was put in its place."""
    for number in count():
        draft = make_draft_path(path.with_name(f"{path.name}.{number}"))
        with suppress(FileExistsError):  # of a killed process that had the same id
            file = open(draft, "xb")  # noqa: SIM115 - closed below, and by who puts it in its place
            break
    try:
        with file:
            yield draft, file
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    """Put a draft in a place that is free.

    Raises:
        FileExistsError: it is not.
    """
    try:
        os.link(draft, path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        open(path, "xb").close()
        try:
            draft.replace(path)
        except BaseException:
            path.unlink()
            raise


def _what_is(path: Path) -> str:
    """Return what goes by a name already: a file, a folder, a link, or nothing, which is empty."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if stat.S_ISLNK(mode):
        return f"a link to {path.readlink()}"
    return "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "no ordinary file"


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        what = _what_is(folder)
        raise UsageError(
            f"there is no folder {folder} to write {path.name} to" + (f": {folder} is {what}" if what else "")
        )


def _run_around(path: Path) -> tuple[Path, tuple[str, ...]] | None:
    """Return the folder of the run that a file would lie in, and the parts of its name in there."""
    real = Path(os.path.realpath(path.parent)) / path.name
    for folder in real.parents:
        if (folder / "run.json").is_file():
            return folder, real.relative_to(folder).parts
    return None


def _check_reserved(path: Path) -> None:
    run = _run_around(path)
    if run is None:
        return
    folder, parts = run
    if parts[0].lower() == CHECKPOINTS or (len(parts) == 1 and parts[0].lower() in OF_A_RUN):
        raise UsageError(f"{path} belongs to the run in {folder} and is left as it is; choose another name")


def _check_replaceable(path: Path) -> None:
    what = _what_is(path)
    if what in ("a folder", "no ordinary file") or (path.is_symlink() and path.is_dir()):
        raise UsageError(f"{path} is {what} and is never replaced; choose another name")
    run = _run_around(path)
    if what and run is not None and len(run[1]) > 1:
        raise UsageError(f"{path} was written by the run in {run[0]} and is never replaced; choose another name")
