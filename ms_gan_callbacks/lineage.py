"""A run that goes on must be the run that it was: what may differ, what must be allowed, what is written down."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import mindspore as ms

from ms_gan_callbacks import provenance
from ms_gan_callbacks.attach import attach, attached_to
from ms_gan_callbacks.data import Source, labelled
from ms_gan_callbacks.errors import GanWarning, RunDirError, UsageError, choices, counted
from ms_gan_callbacks.loop import TrainingLoop
from ms_gan_callbacks.method import TOLD
from ms_gan_callbacks.objectives import Reading
from ms_gan_callbacks.recipe import Origin, Recipe, RecipeFile
from ms_gan_callbacks.run_dir import describe_run, read_facts
from ms_gan_callbacks.training import Players
from ms_gan_callbacks.tunables import as_was
from ms_gan_callbacks.typed import Typed, find

# What decides the bytes of a run beside the recipe's arguments, by the name to allow a change of it with. The
# callbacks and metrics are those that were attached to the recipe.
DECISIVE = {
    "recipe": "recipe_sha256",
    "seed": "seed",
    "noise_dim": "noise_dim",
    "batch_size": "batch_size",
    "accelerate": "accelerated",
    "callbacks": "callbacks",
    "metrics": "metrics",
    **{name: name for name in TOLD},
}


PLAIN = {"generator_every": 1}


def made_of(players: Players, source: Source, epochs: int, origin: Origin | None) -> dict[str, Any]:
    """Return what ``run.json`` says of a run that begins or goes on now."""
    method = players.method
    data = {"name": source.name, "count": source.count, "sha256": source.sha256()}
    if method.classes is not None:
        data["labels_sha256"] = labelled(source).labels_sha256()
    return {
        **(origin.facts() if origin else {}),
        "seed": method.seed,
        "noise_dim": method.noise_dim,
        **method.facts(),
        "critic": Reading.of(method.objective).critic,
        "epochs": epochs,
        "data": data,
        "batch_size": source.batch_size,
        "accelerated": players.accelerated,
        "device": ms.get_context("device_target"),
        **provenance.surroundings(),
    }


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
    recipe, attached = recipe_in(out_dir, overrides), attached_to(read_facts(out_dir))
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
    arguments = read_facts(out_dir).get("arguments")
    if arguments is None or not (out_dir / "recipe.py").is_file():
        raise RunDirError(
            f"{out_dir} was not made by a recipe: resume it with the code that made it, Runner(..., resume=True)"
        )
    file = RecipeFile.open(out_dir / "recipe.py")
    then = {name: as_was(file.tunables[name], value) for name, value in arguments.items() if name in file.tunables}
    return file.build({**then, **overrides})


def go_on(loop: TrainingLoop, wanted: bool | int, allowed: Collection[str]) -> None:
    """Put a loop where its run stood, and tell the run's folder; what was damaged or lies ahead is set aside.

    Args:
        loop: ready to train, its folder that of the run.
        wanted: True for the newest checkpoint that is whole, or a step.
        allowed: names of what may differ from the run as it was.

    Raises:
        CheckpointError: no checkpoint can be used.
        RunDirError: something differs that was not allowed to.
        UsageError: the run has come to its end already.
    """
    run, store, like = loop.run, loop.store, loop.players.weights()
    then = read_facts(run.out_dir)
    changes = allowed_changes(then, run.facts, allowed)  # first: it says more than a checkpoint that does not fit
    checkpoint = store.newest(like) if wanted is True else store.load(wanted, like)
    step = checkpoint.step if checkpoint else 0
    if step >= run.steps:
        epochs = counted(run.epochs, "epochs")
        raise UsageError(f"this run has finished its {epochs}; more let it go on: --set epochs={run.epochs + 10}")
    if checkpoint:
        loop.restore(checkpoint)
        for name in set(run.metrics) - set(loop.evaluator.evaluation.metrics):
            del run.metrics[name]  # nobody measures it any more
    else:
        warnings.warn(f"{run.out_dir} has no checkpoint: it starts from its first step", GanWarning, stacklevel=4)
    now = _versions(run.facts)
    for package, version in _versions(then).items():
        if (other := now.get(package, version)) != version:
            warnings.warn(
                f"this run was made with {package} {version}, not {other}: bytes may differ", GanWarning, 4
            )
    entry: dict[str, Any] = {
        "resumed": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "from_step": step,
    }
    entry |= {"changes": changes} if changes else {}
    run.facts = {**run.facts, "started": then.get("started"), "history": [*then.get("history", []), entry]}
    describe_run(run.out_dir, run.facts, run.recipe_source)
    store.go_back_to(step)  # last: whatever failed before it has set nothing aside


def allowed_changes(
    then: Mapping[str, Any], now: Mapping[str, Any], allowed: Collection[str]
) -> dict[str, tuple[Any, Any]]:
    """Return what differs between a run as it was and as it is to go on, by name: the old and the new value.

    Args:
        then: the facts that the run was started or last resumed with.
        now: the facts that it is to go on with.
        allowed: what may differ; ``epochs`` always may.

    Raises:
        RunDirError: something differs that was not allowed to.
    """
    changes = _changes(then, now)
    for name, (old, new) in changes.items():
        if name not in {*allowed, "epochs"}:
            raise RunDirError(
                f"this run has {name} = {_short(old)}, not {_short(new)}; going on with something else makes "
                f"another run of it: --allow-change {name} if that is what you want"
            )
    return changes


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    # What an older version did not write down it did not have, either, but for the objective.
    keys = {name: key for name, key in DECISIVE.items() if key != "objective" or key in then}
    pairs = {name: (then.get(key, PLAIN.get(key)), now.get(key)) for name, key in keys.items()}
    for name, digest in (("data", "sha256"), ("labels", "labels_sha256")):
        pairs[name] = (then.get("data", {}).get(digest), now["data"].get(digest))
    old, new = then.get("arguments") or {}, json.loads(json.dumps(now.get("arguments") or {}, default=str))
    pairs |= {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _versions(facts: Mapping[str, Any]) -> dict[str, str]:
    return {**facts.get("versions", {}), **facts.get("plugins", {})}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 20 else text[:17] + "..."
