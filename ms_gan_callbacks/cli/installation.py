"""Checks of an installation, none of which imports MindSpore or NumPy: they may be broken."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import parse_tag, sys_tags

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.storage.environment import HARMLESS, get_cpu_name, list_mindspore_variables

OK, WARNING, BROKEN = STATES = ("ok", "warning", "broken")
PACKAGE = "ms-gan-callbacks"
PYTHONS = ((3, 10), (3, 11), (3, 12))
GB = 1e9
LOW_DISK, NO_DISK, LOW_MEMORY = 2 * GB, 0.2 * GB, 1.5 * GB
IMPORTED = ("ms_gan_callbacks", "mindspore", "numpy", "scipy", "click", "safetensors")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        name: the subject of the check.
        state: ok, warning or broken.
        text: the finding.
        cure: the command or change that repairs it, or an empty string.
    """

    name: str
    state: str
    text: str
    cure: str = ""


def check_all() -> Iterator[Check]:
    """Yield the results of all checks, in order."""
    yield check_python()
    yield from check_packages()
    yield check_processor()
    yield check_memory()
    yield from check_variables()
    yield from check_disk()


def check_python() -> Check:
    """Check the version of Python."""
    text = f"{platform.python_version()}, {platform.python_implementation()}, {platform.platform()}"
    wanted = ", ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    if sys.version_info[:2] not in PYTHONS or sys.maxsize < 2**32 or platform.python_implementation() != "CPython":
        return Check("Python", BROKEN, text, f"create an environment with 64-bit CPython {wanted}")
    return Check("Python", OK, text)


def check_packages() -> Iterator[Check]:
    """Check the versions and wheels of this package and its requirements."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        yield Check(PACKAGE, WARNING, "is imported from a folder without being installed", "pip install -e .")
        return
    yield Check(PACKAGE, OK, package.version)
    fitting, versions = set(map(str, sys_tags())), []
    for text in package.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            check = _check_requirement(requirement, fitting)
            if check.state != OK or requirement.name in ("mindspore", "numpy"):
                yield check
            else:
                versions.append(f"{requirement.name} {check.text}")
    yield Check("other packages", OK, ", ".join(versions))


def _check_requirement(requirement: Requirement, fitting: set[str]) -> Check:
    name, cure = requirement.name, f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return Check(name, BROKEN, "is not installed", cure)
    if found.version not in requirement.specifier:
        return Check(name, BROKEN, f"{found.version} is installed, and {requirement.specifier} required", cure)
    if (tags := _list_tags(found)) and not tags & fitting:
        text = f"{found.version} is a wheel for {', '.join(sorted(tags))}, which this Python cannot import"
        return Check(name, BROKEN, text, f"pip install --force-reinstall '{name}{requirement.specifier}'")
    return Check(name, OK, found.version)


def _list_tags(found: Distribution) -> set[str]:
    """Return the Pythons and platforms of an installed wheel; none if it was not installed from one."""
    lines = (found.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")]
    return {str(one) for tag in tags for one in parse_tag(tag)}


def check_processor() -> Check:
    """Check the number of CPUs that this process can use, and their load."""
    cpus, usable = os.cpu_count() or 1, _count_usable()
    set_threads = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    text = ", ".join([get_cpu_name(), f"{usable:g} of {cpus} CPUs usable", *set_threads])
    if usable < cpus:
        cure = f"set OMP_NUM_THREADS={max(1, int(usable))}: MindSpore starts one thread per CPU of the machine"
        return Check("processor", OK if set_threads else WARNING, text, "" if set_threads else cure)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > cpus + 0.5:
        cure = "end other programs: training is slower than it could be"
        return Check("processor", WARNING, f"{text}; load {load:.1f}", cure)
    return Check("processor", OK, text)


def _count_usable() -> float:
    """Return the number of CPUs that affinity and the quota of a container leave to this process."""
    usable = float(os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        usable = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return min(usable, int(quota) / int(period))
    except (OSError, ValueError):
        return usable


def check_memory() -> Check:
    """Check the available memory; MindSpore alone needs 0.4 GB."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        free, total = sizes["MemAvailable"], sizes["MemTotal"]
    except (OSError, ValueError, KeyError, IndexError):
        return Check("memory", OK, "unknown on this system")
    text = f"{free / GB:.1f} of {total / GB:.1f} GB available"
    if free < LOW_MEMORY:
        return Check("memory", WARNING, text, "end other programs, or train with a smaller batch_size")
    return Check("memory", OK, text)


def check_variables() -> Iterator[Check]:
    """Check environment variables that change results or the meaning of imports."""
    try:
        changing = list_mindspore_variables()
    except UsageError as error:
        yield Check("variables", BROKEN, str(error).partition(":")[0], f"unset {str(error).partition(' ')[0]}")
        return
    if os.environ.get("MS_COMPILER_CACHE_ENABLE") == "1":
        changing["MS_COMPILER_CACHE_ENABLE"] = "1"
    harmless = [name for name in os.environ if name.startswith("MS_") and HARMLESS.fullmatch(name)]
    if changing:
        text = ", ".join(f"{name}={value}" for name, value in changing.items())
        cure = f"unset {' '.join(changing)}: results may differ from those without"
        yield Check("variables", WARNING, text, cure)
    else:
        others = ", ".join(sorted({*harmless} - {"MS_OM_PATH"}))
        text = "none of MindSpore's variables that change results is set"
        yield Check("variables", OK, f"{text}; others: {others}" if others else text)
    yield from _check_python_path()


def _check_python_path() -> Iterator[Check]:
    """Check that PYTHONPATH does not replace installed packages."""
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    hidden = [name for name in IMPORTED for folder in folders if Path(folder, name).exists()]
    if hidden:
        text = f"replaces the installed {', '.join(dict.fromkeys(hidden))}"
        yield Check("PYTHONPATH", WARNING, text, "unset PYTHONPATH, unless this is intended")


def check_disk() -> Iterator[Check]:
    """Check the space for runs and temporary files, and whether they can be written."""
    for name, folder in (("disk", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        try:
            free = shutil.disk_usage(folder).free
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            cure = "work in a folder that can be written to" if name == "disk" else "set TMPDIR to another folder"
            yield Check(name, BROKEN, f"cannot be written to: {error.strerror or error}", cure)
            continue
        state = BROKEN if free < NO_DISK else WARNING if free < LOW_DISK else OK
        cure = "" if state == OK else "free space, for example with: ms-gan runs --remove-checkpoints"
        yield Check(name, state, f"{free / GB:.1f} GB free", cure)
