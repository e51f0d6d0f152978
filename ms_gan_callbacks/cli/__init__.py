"""The ``ms-gan`` command. What needs MindSpore is imported by the commands that need it, so help is instant."""

from __future__ import annotations

import os
import tempfile
import warnings

import click

from ms_gan_callbacks.cli.front import CommandLine, show_warning
from ms_gan_callbacks.cli.plugins import list_plugins
from ms_gan_callbacks.cli.recipes import new, show, verify_resume
from ms_gan_callbacks.cli.results import evaluate, plot
from ms_gan_callbacks.cli.sample import sample
from ms_gan_callbacks.cli.training import resume, run

__all__ = ["main"]


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ms-gan-callbacks", prog_name="ms-gan")
def main() -> None:
    """Train GANs in MindSpore from recipes.

    \b
    ms-gan run mnist_mlp                train, with everything the recipe attaches
    ms-gan resume                       go on with the newest run, as if it had never ended
    ms-gan sample runs/mine             draw images from what was trained
    ms-gan evaluate runs/mine           see how good they are
    ms-gan plot runs/mine               see its curves as a picture
    ms-gan show mnist_mlp               see its parameters, networks and callbacks
    ms-gan new mine                     write mine.py, a recipe of your own to start from
    ms-gan plugins                      see what other packages bring

    RECIPE is a Python file, or a name that ms-gan new --list shows.
    """
    # Before MindSpore is imported, or it does not count: no log noise about deprecated kernels, and no
    # rank_0/ folder in the working directory when a network does not compile.
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", tempfile.gettempdir())
    warnings.showwarning = show_warning


for command in (new, run, resume, sample, evaluate, plot, show, verify_resume, list_plugins):
    main.add_command(command)
