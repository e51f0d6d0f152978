"""What made these pictures: the facts about a run that go into its ``run.json``."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import UsageError

PACKAGES = ("ms-gan-callbacks", "mindspore", "numpy", "tensorboardX")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run's bytes depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_revision(folder: Path) -> str | None:
    """Return the commit that a folder is at, with ``+`` when files differ from it; None outside git."""

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()

    try:
        return ask("rev-parse", "HEAD") + ("+" if ask("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def cpu_name() -> str:
    """Return what the processor calls itself."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# Where things lie, how processes find each other, what is logged: nothing of it changes a number.
HARMLESS = re.compile(
    "MS_(GAN_|OM_|ROLE|NODE_|SCHED_|WORKER_NUM|TOPO_|RECEIVE_|CPU_COMM_|RDR_|DIAGNOSTIC_|PROFILER_|BUILD_|SUBMODULE_|"
    "COMPILER_CACHE_|COMPILER_OP_|DEV_SAVE_GRAPHS|DEV_DUMP_|ENABLE_GRACEFUL_EXIT|ENABLE_NUMA|TFT_).*"
)
PRETENDS = ("MS_SIMULATION_LEVEL", "MS_DEV_PRECOMPILE_ONLY")
"""With these MindSpore compiles, and computes nothing."""


def mindspore_variables() -> dict[str, str]:
    """Return the environment variables of MindSpore that may change what it computes.

    Raises:
        UsageError: one of them makes it compute nothing.
    """
    for name in PRETENDS:
        if os.environ.get(name):
            raise UsageError(f"{name} is set, with which MindSpore only pretends to compute: unset it")
    names = sorted(name for name in os.environ if name.startswith("MS_") and not HARMLESS.fullmatch(name))
    return {name: os.environ[name] for name in names}


def surroundings() -> dict[str, Any]:
    """Return when and on what a run was started."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "versions": versions(),
        "environment": mindspore_variables(),
    }
