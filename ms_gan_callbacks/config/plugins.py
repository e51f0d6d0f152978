"""Callbacks, metrics and recipes that other installed packages provide as entry points.

::

    [project.entry-points."ms_gan_callbacks.callbacks"]
    InkLog = "ms_gan_ink:InkLog"

Plugins are listed by their metadata and not imported. Invalid metadata becomes ``fault``, not an exception.
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
    """An entry point of an installed package.

    Attributes:
        kind: one of ``KINDS``.
        name: name to select it by.
        target: ``module:attribute``, or the module of a recipe.
        distribution: name of the installed package; empty if missing from its metadata.
        version: version of the installed package.
        fault: error in its metadata, if any.
    """

    kind: str
    name: str
    target: str
    distribution: str
    version: str
    fault: str | None = None

    @property
    def provider(self) -> str:
        """Name and version of the package, for messages."""
        return f"{self.distribution} {self.version}".strip() or "an unnamed package"


def list_plugins(kind: str | None = None) -> list[Plugin]:
    """Return the installed plugins of one kind or of all, sorted by kind and name."""
    seen: set[str] = set()
    found: list[Plugin] = []
    for distribution in distributions():
        text = _read_entry_points(distribution)
        if _PREFIX not in text:
            continue
        name, version = _read_identity(distribution)
        if name and name in seen:
            continue  # shadowed by a distribution earlier in sys.path
        seen.add(name)
        found += _read_plugins(distribution, name, version)
    wanted = [plugin for plugin in found if kind in (None, plugin.kind)]
    return sorted(wanted, key=lambda plugin: (plugin.kind, plugin.name, plugin.distribution))


def pick(kind: str, name: str) -> Plugin | None:
    """Return the plugin with a name, or None; raise UsageError if several packages provide one."""
    candidates = [plugin for plugin in list_plugins(kind) if plugin.name == name and plugin.fault is None]
    if len(candidates) > 1:
        ways = "the path of its file" if kind == "recipes" else " or ".join(plugin.target for plugin in candidates)
        providers = " and ".join(plugin.provider for plugin in candidates)
        raise UsageError(f"{name} is provided by {providers}; write {ways}")
    return candidates[0] if candidates else None


def load(target: str) -> Any:
    """Import ``module:attribute``; any exception is raised as UsageError."""
    if not EntryPoint.pattern.fullmatch(target):
        raise UsageError(f"{target!r} is not module:attribute")
    try:
        return EntryPoint("", target, "").load()
    except (Exception, SystemExit) as error:
        raise UsageError(describe(error)) from error


def find_recipe_file(plugin: Plugin) -> Path:
    """Return the file of a recipe, without importing it or its package; any exception is raised as UsageError."""
    module, _, function = plugin.target.partition(":")
    if function.strip() not in ("", "recipe"):
        raise UsageError(f"{plugin.target} must be a module with a function recipe(...)")
    try:
        return _find_file(module.strip())
    except (Exception, SystemExit) as error:
        raise UsageError(describe(error)) from error


def find_provider(module: str) -> tuple[str, str] | None:
    """Return the name and version of the installed package that contains a module, or None."""
    for name in packages_distributions().get(module.partition(".")[0], ()):
        return name, Distribution.from_name(name).version
    return None


def _read_entry_points(distribution: Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):
        return ""


def _read_identity(distribution: Distribution) -> tuple[str, str]:
    try:
        metadata = distribution.metadata
        return str(metadata["Name"] or ""), str(metadata["Version"] or "")
    except Exception:  # missing or incomplete METADATA: the exception depends on the version of Python
        return "", ""


def _read_plugins(distribution: Distribution, name: str, version: str) -> Iterator[Plugin]:
    try:
        points = list(distribution.entry_points)
    except Exception as error:
        yield Plugin("?", "?", "entry_points.txt", name, version, f"cannot be read: {describe(error)}")
        return
    for point in points:
        kind = point.group.removeprefix(_PREFIX)
        if kind == point.group:
            continue
        fault = None if kind in KINDS else f"unknown group {point.group}; available: {', '.join(KINDS)}"
        yield Plugin(kind, point.name, point.value, name, version, fault)


def _find_file(module: str) -> Path:
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
    raise ModuleNotFoundError(f"module {module} does not have a Python file")
