"""What a run is made of: written down when it begins, proved to come back, and read when it is opened again."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mindspore as ms

from ms_gan_callbacks.config.attach import attach, attached_to
from ms_gan_callbacks.config.components import Typed, find
from ms_gan_callbacks.config.conversion import as_was
from ms_gan_callbacks.config.recipe import MODULE_PREFIX, Origin, Recipe, RecipeFile
from ms_gan_callbacks.data.labels import require_labels
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.errors import (
    GanError,
    RecipeError,
    RunDirError,
    UsageError,
    choices,
)
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.models.settings import RECORDED_SETTINGS
from ms_gan_callbacks.storage import environment
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.run_dir import keep_recipe
from ms_gan_callbacks.training.loop import TrainingLoop

MADE_OF = (
    *RECORDED_SETTINGS,
    "generator",
    "discriminator",
    "optimizer",
    "discriminator_optimizer",
    "noise_dim",
    "seed",
)
"""What of a recipe makes the run that its checkpoints belong to."""


def made_of(players: Players, source: Source, epochs: int, origin: Origin | None) -> Manifest:
    """Return what ``run.json`` says of a run that begins or goes on now."""
    method = players.method
    data = {"name": str(source.name), "count": int(source.count), "sha256": source.sha256()}
    if method.classes is not None:
        data["labels_sha256"] = require_labels(source).labels_sha256()
    return Manifest.new(
        **(origin.facts() if origin else {}),
        seed=method.seed,
        noise_dim=method.noise_dim,
        **method.facts(),
        critic=method.traits.probability is None,
        epochs=epochs,
        data=data,
        batch_size=int(source.batch_size),
        accelerated=players.accelerated,
        device=ms.get_context("device_target"),
        **environment.collect_environment(),
    )


def recipe_of(
    out_dir: Path, overrides: Mapping[str, Any], more: Iterable[Typed] = (), without: Collection[str] = ()
) -> Recipe:
    """Return the recipe that a run goes on with: :func:`recipe_in` and what was attached to it.

    Args:
        out_dir: the run's folder.
        overrides: of the recipe's arguments.
        more: what is to be attached, too.
        without: names of what was attached and is to be left out.

    Raises:
        RunDirError, RecipeError: as :func:`recipe_in` does.
        UsageError: something cannot be attached; nothing was that is to be left out.
    """
    recipe, attached = recipe_in(out_dir, overrides), attached_to(Manifest.read(out_dir))
    names = [typed.name for typed in attached]
    for name in without:
        if name not in names:
            raise UsageError(f"nothing called {name!r} was attached to this run; {choices(name, names)}")
    kept = [typed for typed in attached if typed.name not in without]
    for typed in kept:
        try:
            find(typed.kind, typed.name)
        except UsageError as error:
            raise UsageError(
                f"{error}; this run had it attached: install it, or --without {typed.name}"
            ) from error
    return attach(recipe, [*kept, *more])


def recipe_in(out_dir: Path, overrides: Mapping[str, Any]) -> Recipe:
    """Return the recipe in a run's folder, its arguments as they were but for the overrides.

    Raises:
        RunDirError: the folder holds no run, or one that was not made by a recipe.
        RecipeError: as :func:`load_recipe` does.
    """
    arguments = Manifest.read(out_dir).arguments
    if arguments is None or not (out_dir / "recipe.py").is_file():
        raise RunDirError(
            f"{out_dir} was not made by a recipe: resume it with the code that made it, Runner(..., resume=True)"
        )
    file = RecipeFile.open(out_dir / "recipe.py")
    then = {name: as_was(file.tunables[name], value) for name, value in arguments.items() if name in file.tunables}
    return file.build({**then, **overrides})


def begin(loop: TrainingLoop, recipe: Recipe | None) -> None:
    """Write down what a fresh run is made of, and prove that it can be opened again.

    Raises:
        RunDirError: the folder cannot be written to.
        RecipeError: what was written makes another recipe, or none.
    """
    run = loop.run
    run.manifest.write(run.out_dir)
    if recipe is None or recipe.origin is None:
        return
    keep_recipe(run.out_dir, recipe.origin.content)
    try:
        again = recipe_in(run.out_dir, {})
    except GanError as error:
        raise RecipeError(
            f"a run of this recipe could not be opened again, from its own folder: {error}"
        ) from error
    for name, made, remade in _unlike(recipe, again):
        raise RecipeError(
            f"a run of this recipe could not be opened again: {name} is {made}, and its file makes {remade}; "
            "change the file, or give the recipe no origin: dataclasses.replace(recipe, origin=None)"
        )


def _unlike(recipe: Recipe, again: Recipe) -> Iterator[tuple[str, str, str]]:
    """Yield what two recipes do not have in common of what makes a run: its name, and both values as text."""
    for name in MADE_OF:
        made, remade = (_text_of(getattr(one, name)) for one in (recipe, again))
        if made != remade:
            yield name, made, remade


def _text_of(value: object) -> str:
    """Return a value as text that is the same for every import of a recipe's file."""
    return re.sub(rf" at 0x[0-9a-f]+|{MODULE_PREFIX}\w+_[0-9a-f]{{12}}\.", "", repr(value))
