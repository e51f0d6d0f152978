"""Facts of a run as text: settings, environment and durations, from ``run.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import pluralize
from ms_gan_callbacks.storage.manifest import Manifest


def get_recipe_name(manifest: Manifest) -> str:
    """Return the name of a run's recipe, or an empty string."""
    return Path(manifest.recipe.replace("\\", "/")).stem if manifest.recipe else ""


def list_settings(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield the settings of a run that apply to it: arguments of the recipe first, then those of the training."""
    arguments = manifest.arguments or {}
    for name, value in arguments.items():
        yield name, format_argument(value)
    facts = manifest.facts
    for name in (
        "seed",
        "noise_dim",
        "batch_size",
        "epochs",
        "objective",
        "penalty",
        "augment",
        "generator_every",
        "clip_norm",
    ):
        if facts.get(name) is not None and not (name in arguments and arguments[name] == facts[name]):
            yield name, format_argument(facts[name])
    for name, player in manifest.players.items():
        yield f"player {name}", str(player)
    for name, texts in (("callback", manifest.callbacks), ("metric", manifest.metrics)):
        for text in texts or ():
            yield f"attached {name}", text
    data = manifest.data
    if data.name:
        yield "data", f"{data.name}, {pluralize(data.count, 'images')}"
    if data.sha256:
        yield "data sha256", data.sha256
    if manifest.evaluation.samples:
        used = manifest.evaluation
        yield "metrics during training", f"{used.samples:,} images each, features {used.features}"


def list_environment(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield what is known about the machine, the versions and the history of a run."""
    for name, value in (("device", manifest.device), ("CPU", manifest.cpu), ("logical CPUs", manifest.cpus)):
        if value is not None:
            yield name, str(value)
    if manifest.platform:
        yield "platform", manifest.platform
    for name, version in {**manifest.versions, **manifest.plugins}.items():
        yield name, version
    if manifest.git_revision:
        yield "git commit", manifest.git_revision.replace("+", " (with modified files)")
    for name, value in (manifest.environment or {}).items():
        yield name, value
    if manifest.accelerated:
        yield "fast layers", ", ".join(f"{count} {kind}" for kind, count in manifest.accelerated.items())
    for entry in manifest.history:
        if entry.resumed:
            yield "resumed", f"{entry.resumed}, from step {entry.from_step or 0:,}"
        elif entry.rolled_back:
            yield "rolled back", f"{entry.rolled_back}, to step {entry.to_step or 0:,}"


def format_argument(value: Any) -> str:
    """Return an argument from ``run.json`` as text that ``--set`` accepts."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return repr(tuple(value))
    if isinstance(value, Mapping):
        return repr(dict(value))
    return value if isinstance(value, str) else repr(value)
