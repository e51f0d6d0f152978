"""How the command line ends: one line for whatever went wrong, and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import Any

import click

from ms_gan_callbacks.errors import GanError, GanWarning, Interrupted, extract_message

INTERRUPTED = 130


class CommandLine(click.Group):
    """Prints whatever goes wrong as one ``Error:`` line and ends with the error's exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; always ends in SystemExit, as a process should."""
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
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
            # Whoever read our output has left, as ``| head`` does; the work is done. Python would complain once
            # more when it flushes on exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except Interrupted as error:
            click.echo(str(error), err=True)
            code = error.exit_code
        except GanError as error:
            code = _report(_one_line(error), error.exit_code)
        except Exception as error:
            code = _report(f"{_one_line(error)}; {_keep_traceback()}", 1)
        raise SystemExit(code or 0)


def _report(message: str, code: int) -> int:
    click.echo(click.style("Error: ", fg="red", bold=True) + message, err=True)
    return code


def _one_line(error: BaseException) -> str:
    """Describe an error: its type unless it is ours, its first line, and the notes it was annotated with."""
    first = extract_message(error)
    kind = "" if isinstance(error, GanError) else type(error).__name__ + (": " if first else "")
    notes = ", ".join(getattr(error, "__notes__", []))
    return f"{kind}{first}" + (f" ({notes})" if notes else "")


def _keep_traceback() -> str:
    """Write the traceback at hand to a file, for whoever wants to see more than a line; tell where it is."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="ms-gan-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"the traceback cannot be kept: {error.strerror or error}"
    return f"traceback in {name}"


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """Print a warning as one line; where it came from only if it is not ours."""
    where = "" if issubclass(category, GanWarning) else f" ({filename}:{lineno})"
    click.echo(click.style("Warning: ", fg="yellow", bold=True) + f"{message}{where}", err=True)
