"""Attaches callbacks and metrics to a recipe, and records them in its origin."""

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
    """Origin of a recipe with attached callbacks and metrics.

    Attributes:
        callbacks: attached callbacks, as written on the command line.
        metrics: attached metrics, as written on the command line.
        packages: versions of the packages that provide them.
    """

    callbacks: Sequence[str] = ()
    metrics: Sequence[str] = ()
    packages: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the entries for ``run.json``."""
        attached = {"callbacks": list(self.callbacks), "metrics": list(self.metrics)}
        return {
            **super().facts(),
            **{kind: texts for kind, texts in attached.items() if texts},
            "plugins": dict(self.packages),
        }


def attach(recipe: Recipe, wanted: Sequence[Typed]) -> Recipe:
    """Return a recipe with additional callbacks and metrics.

    Raises:
        UsageError: a component cannot be created, or a metric of that name exists.
    """
    if not wanted:
        return recipe
    measured: dict[str, Any] = {}
    for one in _select("metrics", wanted):
        if one.short_name in {*recipe.metrics, *measured}:
            raise UsageError(f"metric {one.short_name} is already in use; remove --metric {one.text}")
        measured[one.short_name] = one.make()
    callbacks = [one.make() for one in _select("callbacks", wanted)]
    return replace(
        recipe,
        callbacks=[*adapt_callbacks(recipe.callbacks), *callbacks],
        metrics={**recipe.metrics, **measured},
        origin=recipe.origin
        and AttachedOrigin(
            **{one.name: getattr(recipe.origin, one.name) for one in fields(Origin)},
            callbacks=[one.text for one in _select("callbacks", wanted)],
            metrics=[one.text for one in _select("metrics", wanted)],
            packages=dict(filter(None, (one.package() for one in wanted))),
        ),
    )


def _select(kind: str, wanted: Sequence[Typed]) -> list[Typed]:
    return [one for one in wanted if one.kind == kind]


def read_attached(manifest: Manifest) -> list[Typed]:
    """Return the components that are attached to a run, from its ``run.json``."""
    return typed(manifest.callbacks or (), manifest.metrics or ())


def attach_metrics(recipe: Recipe, manifest: Manifest) -> Recipe:
    """Return a recipe with the metrics attached to a run; skip those that are not installed, with a warning."""
    for one in _select("metrics", read_attached(manifest)):
        try:
            recipe = attach(recipe, [one])
        except UsageError as error:
            warn(f"{error}; the metric is skipped")
    return recipe
