"""Reports errors and warnings of the command line in one line each, and sets the exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from ms_gan_callbacks.errors import GanError, GanWarning, Interrupted, extract_message
from ms_gan_callbacks.storage.environment import is_rank

INTERRUPTED = 130


class CommandLine(click.Group):
    """Prints exceptions as one ``Error:`` line and exits with the exception's exit code."""

    arguments: Sequence[str] = ()
    """The command line, without the name of the program."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """Run a command; always raises SystemExit."""
        extra["standalone_mode"] = False
        self.arguments = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(args, *more, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help() if error.ctx else "", err=True)
            code = error.exit_code
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            hint = f" (see {context.command_path} --help)" if context else ""
            code = _report(error.format_message().replace("\n", " ") + hint, error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            code = _report("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # The reader of the output has exited, for example ``| head``. Flushing at exit would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except Interrupted as error:
            click.echo(str(error), err=True)
            code = error.exit_code
        except GanError as error:
            code = _report(_format_error(error), error.exit_code)
        except Exception as error:
            code = _report(f"{_format_error(error)}; {_save_traceback()}", 1)
        if code and is_rank():
            _exit_now(code)
        raise SystemExit(code or 0)


def _exit_now(code: int) -> None:
    """End a failed rank without MindSpore's shutdown, which would wait for the other ranks."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _report(message: str, code: int) -> int:
    click.echo(click.style("Error: ", fg="red", bold=True) + message, err=True)
    return code


def _format_error(error: BaseException) -> str:
    """Return the type of an error (except for GanError), its first line, and its notes."""
    first = extract_message(error)
    kind = "" if isinstance(error, GanError) else type(error).__name__ + (": " if first else "")
    notes = ", ".join(getattr(error, "__notes__", []))
    return f"{kind}{first}" + (f" ({notes})" if notes else "")


def _save_traceback() -> str:
    """Write the current traceback to a temporary file and return a message with its path."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="ms-gan-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"the traceback cannot be saved: {error.strerror or error}"
    return f"traceback in {name}"


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """Print a warning in one line, with its source location unless it is a GanWarning."""
    where = "" if issubclass(category, GanWarning) else f" ({filename}:{lineno})"
    click.echo(click.style("Warning: ", fg="yellow", bold=True) + f"{message}{where}", err=True)
