"""The environment recorded in ``run.json``: versions, git commit, CPU and MindSpore variables."""

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

ROLE, ROLES = "MS_ROLE", ("MS_WORKER", "MS_SCHED")
"""The environment variable by which MindSpore identifies the processes of a job, and its values."""
PACKAGES = ("ms-gan-callbacks", "mindspore", "numpy", "tensorboardX")


def is_rank() -> bool:
    """Return whether this process was started as a rank of a job."""
    return os.environ.get(ROLE) in ROLES


def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect the results of a run."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def get_git_revision(folder: Path) -> str | None:
    """Return the git commit of a folder, with ``+`` if files are modified; None outside a repository."""

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=5, check=True
        ).stdout.strip()

    try:
        return ask("rev-parse", "HEAD") + ("+" if ask("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def get_time() -> str:
    """Return the current time, as ISO 8601 in UTC to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def get_cpu_name() -> str:
    """Return the model name of the CPU."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


# Variables for paths, clusters and logging, which do not affect results.
HARMLESS = re.compile(
    "MS_(GAN_|OM_|ROLE|NODE_|SCHED_|WORKER_|TOPO_|HEARTBEAT_|DISABLE_HEARTBEAT|RECEIVE_|CPU_COMM_|RDR_|"
    "DIAGNOSTIC_|PROFILER_|BUILD_|SUBMODULE_|"
    "COMPILER_CACHE_|COMPILER_OP_|DEV_SAVE_GRAPHS|DEV_DUMP_|ENABLE_GRACEFUL_EXIT|ENABLE_NUMA|TFT_).*"
)
PRETENDS = ("MS_SIMULATION_LEVEL", "MS_DEV_PRECOMPILE_ONLY")
"""Variables with which MindSpore compiles but does not compute."""


def list_mindspore_variables() -> dict[str, str]:
    """Return the environment variables of MindSpore that may affect results.

    Raises:
        UsageError: a variable is set with which MindSpore does not compute.
    """
    for name in PRETENDS:
        if os.environ.get(name):
            raise UsageError(f"{name} is set, which makes MindSpore simulate its computations: unset it")
    names = sorted(name for name in os.environ if name.startswith("MS_") and not HARMLESS.fullmatch(name))
    return {name: os.environ[name] for name in names}


def collect_environment() -> dict[str, Any]:
    """Return the start time, platform, CPU, versions and MindSpore variables of a run."""
    return {
        "started": get_time(),
        "platform": platform.platform(),
        "cpu": get_cpu_name(),
        "cpus": os.cpu_count(),
        "versions": list_versions(),
        "environment": list_mindspore_variables(),
    }
