"""Attaches callbacks and metrics to a recipe from outside, and remembers which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ms_gan_callbacks.config.components import Typed, typed
from ms_gan_callbacks.config.recipe import Origin, Recipe
from ms_gan_callbacks.errors import UsageError, warn
from ms_gan_callbacks.interop.stock import adapt_callbacks
from ms_gan_callbacks.storage.manifest import Manifest


@dataclass(frozen=True)
class AttachedOrigin(Origin):
    """Where a recipe came from, and what was attached to it.

    Attributes:
        callbacks: as they were typed.
        metrics: likewise.
        packages: versions of the packages that these come from.
    """

    callbacks: Sequence[str] = ()
    metrics: Sequence[str] = ()
    packages: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return what ``run.json`` says of it."""
        attached = {"callbacks": list(self.callbacks), "metrics": list(self.metrics)}
        return {
            **super().facts(),
            **{kind: texts for kind, texts in attached.items() if texts},
            "plugins": dict(self.packages),
        }


def attach(recipe: Recipe, wanted: Sequence[Typed]) -> Recipe:
    """Return a recipe with more callbacks and metrics, which its origin names.

    Raises:
        UsageError: one of them cannot be made, or is called as a metric that is measured already.
    """
    if not wanted:
        return recipe
    measured: dict[str, Any] = {}
    for one in _of("metrics", wanted):
        if one.short_name in {*recipe.metrics, *measured}:
            raise UsageError(f"{one.short_name} is measured already; leave out --metric {one.text}")
        measured[one.short_name] = one.make()
    watching = [one.make() for one in _of("callbacks", wanted)]
    return replace(
        recipe,
        callbacks=[*adapt_callbacks(recipe.callbacks), *watching],
        metrics={**recipe.metrics, **measured},
        origin=recipe.origin and _told(recipe.origin, wanted),
    )


def _of(kind: str, wanted: Sequence[Typed]) -> list[Typed]:
    return [one for one in wanted if one.kind == kind]


def _told(origin: Origin, wanted: Sequence[Typed]) -> AttachedOrigin:
    return AttachedOrigin(
        **{one.name: getattr(origin, one.name) for one in fields(Origin)},
        callbacks=[one.text for one in _of("callbacks", wanted)],
        metrics=[one.text for one in _of("metrics", wanted)],
        packages=dict(filter(None, (one.package() for one in wanted))),
    )


def attached_to(manifest: Manifest) -> list[Typed]:
    """Return what ``run.json`` says was attached to a run."""
    return typed(manifest.callbacks or (), manifest.metrics or ())


def with_metrics(recipe: Recipe, manifest: Manifest) -> Recipe:
    """Return a recipe with the metrics that were attached to a run; those that are not installed warn."""
    for one in _of("metrics", attached_to(manifest)):
        try:
            recipe = attach(recipe, [one])
        except UsageError as error:
            warn(f"{error}; it is left out")
    return recipe
