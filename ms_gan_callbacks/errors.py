"""Exceptions and warnings of the package, and helpers for their messages.

::

    GanError                 exit code 1
    ├── UsageError           exit code 2: an invalid argument, option or setting
    │   ├── RecipeError      a recipe file, its parameters, its networks
    │   ├── CallbackError    a callback's settings
    │   └── RunDirError      a run directory that cannot be used as requested
    ├── DataError            images that are missing, damaged or too few
    ├── CheckpointError      a checkpoint that cannot be written, or is damaged
    ├── DivergenceError      NaN, infinite or exploding losses or weights
    └── Interrupted          the run was ended by a signal; exit code 128 + its number

    GanWarning               the run continues, but may not do what was intended

The command line prints a ``GanError`` as one ``Error:`` line without a traceback and exits with its exit code.
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
    """Base class of the package's exceptions; the message is one line and includes the fix."""

    exit_code = 1


class UsageError(GanError):
    """An invalid argument, option or setting."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe that cannot be loaded, built or trained."""


class CallbackError(UsageError):
    """A callback whose settings are invalid or conflict with the run or another callback."""


class RunDirError(UsageError):
    """A run directory that cannot be used as requested."""


class DataError(GanError):
    """Images that are missing, damaged, mislabelled or too few."""


class CheckpointError(GanError):
    """A checkpoint that cannot be written, or is missing, damaged or incompatible."""


class DivergenceError(GanError):
    """Losses or weights are NaN, infinite or exploding; earlier checkpoints are intact."""


class Interrupted(GanError):  # noqa: N818 - an interruption is not an error
    """The run was ended by a signal, between two steps.

    Args:
        message: the step reached and the command to resume.
        signal_number: the signal; a shell expects exit code 128 + its number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class GanWarning(UserWarning):
    """A setting or an event of a run that may be unintended."""


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Return a hint that lists the valid names, with the nearest match to ``wrong`` first.

    >>> suggest("epoch", ["epochs", "seed"])
    "did you mean 'epochs'? Available: epochs, seed"
    >>> suggest("x", ["epochs", "seed"])
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


def pluralize(number: int, unit: str) -> str:
    """Format a number and its unit, given as a plural such as ``"epochs"``.

    >>> pluralize(1, "epochs"), pluralize(1875, "steps")
    ('1 epoch', '1,875 steps')
    """
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"


def format_seconds(seconds: float) -> str:
    """Format a duration.

    >>> format_seconds(4.25), format_seconds(252.4), format_seconds(3841)
    ('4.2 s', '4 min 12 s', '1 h 4 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def describe(error: BaseException) -> str:
    """Describe an exception in one line: its type, its message, and the line of user code that raised it."""
    message = extract_message(error)
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    user = [frame for frame in frames if not _is_library_file(frame.filename)]
    return f"{text} ({os.path.normpath(user[-1].filename)}, line {user[-1].lineno})" if user else text


def extract_message(error: BaseException) -> str:
    """Return the first informative line of an exception's message, or an empty string.

    MindSpore's messages begin with rows of dashes, headings between such rows, and lines that only refer to
    another section. Errors raised by Python code in a data pipeline follow a traceback inside the message.
    """
    # str() of a KeyError is the quoted repr of its message.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    messages = [line for line in _remove_stacks(lines) if not _POINTER.match(line)]
    return messages[0].removeprefix("[ERROR] ") if messages else ""


def _remove_stacks(lines: list[str]) -> Iterator[str]:
    """Yield the lines that belong neither to a heading (between rows of dashes) nor to a stack trace."""
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


def _is_library_file(filename: str) -> bool:
    path = Path(filename)
    if filename.startswith("<frozen ") or "site-packages" in path.parts:
        return True
    return any(path.is_relative_to(folder) for folder in _LIBRARIES)


def warn(message: str) -> None:
    """Issue a :class:`GanWarning` at the innermost line of user code."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_library_file(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, GanWarning, stacklevel=level)


def annotate(error: BaseException, note: str) -> None:
    """Add a line to an exception without changing its type (PEP 678, also on Python 3.10)."""
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        error.__notes__ = [*getattr(error, "__notes__", []), note]  # type: ignore[attr-defined]
