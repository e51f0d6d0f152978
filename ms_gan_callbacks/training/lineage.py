"""Records the recipe and settings of a run in its directory, and loads them again."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import mindspore as ms

from ms_gan_callbacks.config.attach import attach, read_attached
from ms_gan_callbacks.config.components import Typed, find
from ms_gan_callbacks.config.conversion import restore
from ms_gan_callbacks.config.recipe import MODULE_PREFIX, Origin, Recipe, RecipeFile
from ms_gan_callbacks.data.columns import read_batches
from ms_gan_callbacks.data.labels import hash_labels
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.errors import GanError, RecipeError, RunDirError, UsageError, suggest
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.models.settings import RECORDED_SETTINGS, Method
from ms_gan_callbacks.storage import environment
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.names import RECIPE
from ms_gan_callbacks.storage.run_dir import keep_recipe
from ms_gan_callbacks.training.loop import TrainingLoop
from ms_gan_callbacks.training.ranks import describe_ranks

COMPARED = (
    *RECORDED_SETTINGS,
    "generator",
    "discriminator",
    "networks",
    "optimizer",
    "discriminator_optimizer",
    "noise_dim",
    "seed",
)
"""Fields of a recipe that must be equal when it is loaded from a run directory."""


def describe_run(players: Players, method: Method, source: Source, epochs: int, origin: Origin | None) -> Manifest:
    """Return the content of ``run.json`` for a run that starts or resumes now."""
    data: dict[str, Any] = {"name": str(source.name), "count": int(source.count), "sha256": source.sha256()}
    if columns := players.list_image_columns():
        first = next(read_batches(source, players.seed, 1))
        data["columns"] = {name: list(first[name].shape[1:]) for name in columns}
    if players.classes is not None:
        data["labels_sha256"] = hash_labels(source)
    return Manifest.new(
        **(origin.facts() if origin else {}),
        seed=players.seed,
        noise_dim=players.noise_dim,
        **method.facts(),
        critic=players.critic,
        epochs=epochs,
        data=data,
        batch_size=int(source.batch_size),
        accelerated=players.accelerated,
        device=ms.get_context("device_target"),
        **describe_ranks(players),
        **environment.collect_environment(),
    )


def load_stored_recipe(
    out_dir: Path, overrides: Mapping[str, Any], more: Iterable[Typed] = (), without: Collection[str] = ()
) -> Recipe:
    """Return the recipe to resume a run with, including attached callbacks and metrics.

    Args:
        out_dir: the run directory.
        overrides: changed arguments of the recipe.
        more: additional callbacks and metrics to attach.
        without: names of attached callbacks and metrics to leave out.

    Raises:
        RunDirError, RecipeError: the directory does not contain a run, or see :func:`read_recipe`.
        UsageError: a component cannot be attached, or a name in ``without`` is not attached.
    """
    manifest = Manifest.read(out_dir)
    recipe, attached = read_recipe(out_dir, manifest, overrides), read_attached(manifest)
    names = [typed.name for typed in attached]
    for name in without:
        if name not in names:
            raise UsageError(f"{name!r} is not attached to this run; {suggest(name, names)}")
    kept = [typed for typed in attached if typed.name not in without]
    for typed in kept:
        try:
            find(typed.kind, typed.name)
        except UsageError as error:
            raise UsageError(
                f"{error}; it is attached to this run: install it, or pass --without {typed.name}"
            ) from error
    return attach(recipe, [*kept, *more])


def read_recipe(out_dir: Path, manifest: Manifest, overrides: Mapping[str, Any]) -> Recipe:
    """Return the recipe stored in a run directory, with the arguments in its manifest and the given overrides.

    Raises:
        RunDirError: the run was started without a recipe, or its file is missing.
        RecipeError: see :func:`load_recipe`.
    """
    arguments = manifest.arguments
    if arguments is None:
        raise RunDirError(
            f"{out_dir} was not created from a recipe: resume it in Python with Runner(..., resume=True)"
        )
    path = out_dir / RECIPE
    if not path.is_file():
        raise RunDirError(f"{path} is missing: restore the recipe that the run was started with")
    file = RecipeFile.open(path)
    then = {
        name: restore(file.tunables[name], value) for name, value in arguments.items() if name in file.tunables
    }
    return file.build({**then, **overrides})


def open_run(loop: TrainingLoop, recipe: Recipe | None) -> None:
    """Write ``run.json`` and the recipe of a new run, and check that the recipe can be loaded from the copy.

    Raises:
        RunDirError: the directory is not writable.
        RecipeError: the copy cannot be loaded, or builds a different recipe.
    """
    run = loop.run
    run.manifest.write(run.out_dir)
    if recipe is None or recipe.origin is None:
        return
    keep_recipe(run.out_dir, recipe.origin.content)
    try:
        again = read_recipe(run.out_dir, Manifest.read(run.out_dir), {})
    except GanError as error:
        raise RecipeError(f"a run of this recipe cannot be resumed from its run directory: {error}") from error
    for name in COMPARED:
        value, loaded = (_render(getattr(one, name)) for one in (recipe, again))
        if value != loaded:
            raise RecipeError(
                f"a run of this recipe cannot be resumed: {name} is {value}, but its file gives {loaded}; "
                "change the file, or remove the recipe's origin: dataclasses.replace(recipe, origin=None)"
            )


def _render(value: object) -> str:
    """Return the repr of a value without addresses and module names, which differ between imports."""
    return re.sub(rf" at 0x[0-9a-f]+|{MODULE_PREFIX}\w+_[0-9a-f]{{12}}\.", "", repr(value))
