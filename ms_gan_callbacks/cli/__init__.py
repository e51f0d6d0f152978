"""The ``ms-gan`` command; MindSpore is imported only by the commands that use it, so that help is fast."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import tempfile
import warnings

import click

from ms_gan_callbacks.cli import commands
from ms_gan_callbacks.cli.front import CommandLine, show_warning
from ms_gan_callbacks.cli.next_steps import show_next_steps

__all__ = ["main"]


@click.group(
    cls=CommandLine, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="ms-gan-callbacks", prog_name="ms-gan")
@click.pass_context
def main(context: click.Context) -> None:
    """Train GANs in MindSpore from recipes.

    \b
    ms-gan run mnist_mlp     train the first recipe
    ms-gan new mine          write mine.py, a recipe to modify

    RECIPE is a Python file, or a name listed by ms-gan new --list. Without a command, the next
    steps in this folder are printed.
    """
    # These must be set before MindSpore is imported. They suppress log messages about deprecated kernels, and
    # a rank_0/ folder in the working directory when a network does not compile.
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", tempfile.gettempdir())
    # Before NumPy is imported: the threads of its matrix products busy-wait for up to a tenth of a second after
    # each, on the cores that train; with this, for a microsecond.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")
    warnings.showwarning = show_warning
    # Imports create over 100,000 objects that stay: Python would search for garbage among them many times.
    gc.set_threshold(50_000)
    if context.invoked_subcommand is None:
        show_next_steps()


for _module in pkgutil.iter_modules(commands.__path__):
    main.add_command(importlib.import_module(f"{commands.__name__}.{_module.name}").command)
