"""Attaches callbacks and metrics to a recipe, and records them in its origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ms_gan_callbacks.config.components import Typed, parse_components
from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.errors import UsageError, warn
from ms_gan_callbacks.interop.stock import adapt_callbacks
from ms_gan_callbacks.storage.manifest import Manifest


def attach(recipe: Recipe, wanted: Sequence[Typed]) -> Recipe:
    """Return a recipe with additional callbacks and metrics.

    Raises:
        UsageError: a component cannot be created, or a metric of that name exists.
    """
    if not wanted:
        return recipe
    chosen = {kind: [one for one in wanted if one.kind == kind] for kind in ("callbacks", "metrics")}
    measured: dict[str, Any] = {}
    for one in chosen["metrics"]:
        if one.short_name in {*recipe.metrics, *measured}:
            raise UsageError(f"metric {one.short_name} is already in use; remove --metric {one.text}")
        measured[one.short_name] = one.make()
    return replace(
        recipe,
        callbacks=[*adapt_callbacks(recipe.callbacks), *(one.make() for one in chosen["callbacks"])],
        metrics={**recipe.metrics, **measured},
        origin=recipe.origin
        and replace(
            recipe.origin,
            attached={kind: [one.text for one in ones] for kind, ones in chosen.items() if ones},
            packages=dict(filter(None, (one.find_package() for one in wanted))),
        ),
    )


def read_attached(manifest: Manifest) -> list[Typed]:
    """Return the components that are attached to a run, from its ``run.json``."""
    return parse_components(manifest.callbacks or (), manifest.metrics or ())


def attach_metrics(recipe: Recipe, manifest: Manifest) -> Recipe:
    """Return a recipe with the metrics attached to a run; skip those that are not installed, with a warning."""
    for one in read_attached(manifest):
        if one.kind != "metrics":
            continue
        try:
            recipe = attach(recipe, [one])
        except UsageError as error:
            warn(f"{error}; the metric is skipped")
    return recipe
