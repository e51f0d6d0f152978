"""Everything the library raises or warns about on purpose.

::

    GanError                 exit code 1
    ├── UsageError           exit code 2: what was typed or written can be put right by its author
    │   ├── RecipeError      a recipe file, its parameters, its networks
    │   ├── CallbackError    a callback's settings
    │   └── RunDirError      a run directory that cannot be used as asked
    ├── DataError            images that are missing, damaged or too few
    ├── CheckpointError      a checkpoint that cannot be written, or not be trusted
    ├── DivergenceError     losses or weights that are of no use any more
    └── Interrupted          a signal asked the run to end; exit code 128 + its number

    GanWarning               the run goes on, but not quite as its author may think

The command line prints a ``GanError`` as one ``Error:`` line without a traceback and ends
with its exit code.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path


class GanError(Exception):
    """A mistake that can be named in one line, together with its fix."""

    exit_code = 1


class UsageError(GanError):
    """What was asked for cannot be done; asking differently can."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe that cannot be loaded, built or trained as it is written."""


class CallbackError(UsageError):
    """A callback whose settings contradict the run or another callback."""


class RunDirError(UsageError):
    """A run directory that cannot be used as asked."""


class DataError(GanError):
    """Images that are missing, damaged, mislabelled or too few."""


class CheckpointError(GanError):
    """A checkpoint that cannot be written, or that cannot be trusted."""


class DivergenceError(GanError):
    """Losses or weights have become NaN, infinite or huge; what was saved before is whole."""


class Interrupted(GanError):  # noqa: N818 - it is no error of anybody's
    """A signal asked the run to end, and it has, between two steps.

    Args:
        message: where it stands and how it goes on.
        signal_number: the signal; a shell expects exit code 128 + its number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class GanWarning(UserWarning):
    """Something the author of a run should know and may want to change."""


def choices(wrong: str, known: Iterable[str]) -> str:
    """Tell what there is instead of ``wrong``, the nearest match first.

    >>> choices("epoch", ["epochs", "seed"])
    "did you mean 'epochs'? Available: epochs, seed"
    >>> choices("x", ["epochs", "seed"])
    'available: epochs, seed'
    """
    names = list(known)
    nearest = get_close_matches(wrong, names, n=1, cutoff=0.5)
    if nearest:
        return f"did you mean {nearest[0]!r}? Available: {', '.join(names)}"
    return f"available: {', '.join(names)}" if names else "none available"


def is_whole(value: object, least: int) -> bool:
    """Whether a value is an int, not a bool, of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def counted(number: int, unit: str) -> str:
    """Write a number and its unit, a plural such as ``"epochs"``, as one says them.

    >>> counted(1, "epochs"), counted(1875, "steps")
    ('1 epoch', '1,875 steps')
    """
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"


def describe(error: BaseException) -> str:
    """Put a foreign exception in one line: its type, what it says, and the author's line it came from."""
    said = first_sentence(error)
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _of_a_library(frame.filename)]
    return f"{text} ({os.path.normpath(theirs[-1].filename)}, line {theirs[-1].lineno})" if theirs else text


def first_sentence(error: BaseException) -> str:
    """Return the first line of an exception that says something; empty where none does.

    MindSpore's messages begin with rows of dashes, headings between such rows, and sentences that only point to
    another section; that of Python code in a data pipeline ends a traceback in the middle of them.
    """
    # A KeyError shows its message as a key, in quotes.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in _without_stacks(lines) if not _POINTER.match(line)]
    return said[0].removeprefix("[ERROR] ") if said else ""


def _without_stacks(lines: list[str]) -> Iterator[str]:
    """Yield what stands outside of headings, which lie between rows of dashes, and of the stacks below some."""
    place, in_stack = 0, False
    while place < len(lines):
        if _is_row(lines[place]) and place + 2 < len(lines) and _is_row(lines[place + 2]):
            in_stack = "Stack" in lines[place + 1] or "Traceback" in lines[place + 1]
            place += 3
            continue
        line = lines[place]
        if _TRACEBACK in line:
            rest = lines[place:]
            length = next((number for number, one in enumerate(rest) if _is_row(one)), len(rest))
            place += length - 1
            yield lines[place]
        elif not (in_stack or _is_row(line)):
            yield line
        place += 1


def _is_row(line: str) -> bool:
    return len(line) > 2 and not line.strip("-=*~_")


_TRACEBACK = "Traceback (most recent call last)"
_POINTER = re.compile(r"Exception thrown from |\S+\.(cc|cpp|h)[:(]\d+|Kernel select failed:$")
_LIBRARIES = (Path(__file__).parent, Path(traceback.__file__).parent)


def _of_a_library(filename: str) -> bool:
    path = Path(filename)
    if filename.startswith("<frozen ") or "site-packages" in path.parts:
        return True
    return any(path.is_relative_to(folder) for folder in _LIBRARIES)


def warn(message: str) -> None:
    """Issue a :class:`GanWarning` at the innermost line that belongs to no library: the user's own."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _of_a_library(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, GanWarning, stacklevel=level)


def annotate(error: BaseException, note: str) -> None:
    """Add a line to an exception without changing its type (PEP 678, also on Python 3.10)."""
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        error.__notes__ = [*getattr(error, "__notes__", []), note]  # type: ignore[attr-defined]
