"""What other installed packages bring: callbacks, recipes and metrics, announced as entry points.

::

    [project.entry-points."ms_gan_callbacks.callbacks"]
    InkLog = "ms_gan_ink:InkLog"

Listing them reads metadata and runs nobody's code. A plugin that is broken, in its metadata or when it is loaded,
is a value that says why, never an exception.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, packages_distributions
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import UsageError, describe

KINDS = ("callbacks", "metrics", "recipes")
_PREFIX = "ms_gan_callbacks."


@dataclass(frozen=True)
class Plugin:
    """One thing that an installed package announces.

    Attributes:
        kind: one of ``KINDS``.
        name: what the thing is asked for by.
        target: where it is, ``module:attribute``; a recipe's is a module.
        distribution: the installed package's name; empty where its metadata does not say.
        version: and its version.
        fault: why it cannot even be listed as it should, if so.
    """

    kind: str
    name: str
    target: str
    distribution: str
    version: str
    fault: str | None = None

    @property
    def provider(self) -> str:
        """The package and its version, as one says them."""
        return f"{self.distribution} {self.version}".strip() or "an unnamed package"


@dataclass(frozen=True)
class Loaded:
    """A thing that was imported; or, where that failed, why."""

    thing: Any = None
    fault: str | None = None


def plugins(kind: str | None = None) -> list[Plugin]:
    """Return what is installed, of one kind or of all, sorted by kind and name."""
    seen: set[str] = set()
    found: list[Plugin] = []
    for distribution in distributions():
        text = _text(distribution)
        if _PREFIX not in text:
            continue
        name, version = _identity(distribution)
        if name and name in seen:
            continue  # an older one, further down sys.path, which nobody can import
        seen.add(name)
        found += _announced(distribution, name, version)
    wanted = [plugin for plugin in found if kind in (None, plugin.kind)]
    return sorted(wanted, key=lambda plugin: (plugin.kind, plugin.name, plugin.distribution))


def pick(kind: str, name: str) -> Plugin | None:
    """Return the plugin of a name, or None.

    Raises:
        UsageError: several packages bring one of that name.
    """
    candidates = [plugin for plugin in plugins(kind) if plugin.name == name and plugin.fault is None]
    if len(candidates) > 1:
        ways = " or ".join(plugin.target for plugin in candidates)
        if kind == "recipes":
            ways = "the path of the file you mean"
        providers = " and ".join(plugin.provider for plugin in candidates)
        raise UsageError(f"{name} is brought by {providers}; write {ways}")
    return candidates[0] if candidates else None


def load(target: str) -> Loaded:
    """Import ``module:attribute``, whatever that module does."""
    if not EntryPoint.pattern.fullmatch(target):
        return Loaded(fault=f"{target!r} is not module:attribute")
    try:
        return Loaded(EntryPoint("", target, "").load())
    except (Exception, SystemExit) as error:
        return Loaded(fault=describe(error))


def recipe_file(plugin: Plugin) -> Loaded:
    """Find the file of a recipe; neither it nor the packages it lies in are imported."""
    module, _, function = plugin.target.partition(":")
    if function.strip() not in ("", "recipe"):
        return Loaded(fault=f"{plugin.target} must name a module, whose function recipe(...) is used")
    try:
        return Loaded(_file_of(module.strip()))
    except (Exception, SystemExit) as error:
        return Loaded(fault=describe(error))


def provider_of(module: str) -> tuple[str, str] | None:
    """Return the name and version of the installed package that a module belongs to, if one does."""
    for name in packages_distributions().get(module.partition(".")[0], ()):
        return name, Distribution.from_name(name).version
    return None


def _text(distribution: Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):
        return ""


def _identity(distribution: Distribution) -> tuple[str, str]:
    try:
        metadata = distribution.metadata
        return str(metadata["Name"] or ""), str(metadata["Version"] or "")
    except Exception:  # no METADATA, or half of one: what fails differs between the versions of Python
        return "", ""


def _announced(distribution: Distribution, name: str, version: str) -> Iterator[Plugin]:
    try:
        points = list(distribution.entry_points)
    except Exception as error:
        yield Plugin("?", "?", "entry_points.txt", name, version, f"cannot be read: {describe(error)}")
        return
    for point in points:
        kind = point.group.removeprefix(_PREFIX)
        if kind == point.group:
            continue
        fault = None if kind in KINDS else f"there is no group {point.group}; there are: " + ", ".join(KINDS)
        yield Plugin(kind, point.name, point.value, name, version, fault)


def _file_of(module: str) -> Path:
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {top!r}")
    files = [Path(spec.origin)] if spec.origin else []
    if inner:
        places = [Path(place, *inner) for place in spec.submodule_search_locations or ()]
        files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    for file in files:
        if file.suffix == ".py" and file.is_file():
            return file
    raise ModuleNotFoundError(f"there is no Python file of a module {module}")
