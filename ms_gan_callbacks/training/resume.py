"""Resumes a run from a checkpoint, after checking that its settings are unchanged."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.errors import RunDirError, UsageError, pluralize, warn
from ms_gan_callbacks.models.settings import RECORDED_SETTINGS
from ms_gan_callbacks.storage.environment import get_time
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.run_dir import keep_recipe
from ms_gan_callbacks.training.loop import TrainingLoop
from ms_gan_callbacks.training.ranks import PER_RANK

# Settings that must not change when a run is resumed, in addition to the recipe's arguments, by their name for
# --allow-change. Callbacks and metrics are those attached to the recipe.
DECISIVE = ("recipe_sha256", "seed", "noise_dim", "batch_size", "callbacks", "metrics", *RECORDED_SETTINGS)


def resume_run(loop: TrainingLoop, wanted: bool | int, allowed: Collection[str], recipe: Recipe | None) -> None:
    """Load a checkpoint into a loop and record this in ``run.json``; damaged and later checkpoints are set aside.

    Args:
        loop: a loop that has not started, with the run's directory.
        wanted: True for the newest intact checkpoint, or a step.
        allowed: names of settings that may differ.
        recipe: the recipe, if the run was created from one.

    Raises:
        CheckpointError: no checkpoint can be used.
        RunDirError: a setting differs that is not allowed to.
        UsageError: the run is complete.
    """
    run, store, like = loop.run, loop.store, loop.players.weights()
    then = Manifest.read(run.out_dir)
    # Before loading: a changed setting is a clearer error than weights of another shape.
    changes = check_changes(then, run.manifest, allowed)
    checkpoint = store.load_newest(like) if wanted is True else store.load(wanted, like)
    if checkpoint:
        loop.restore(checkpoint)
        for name in set(run.metrics) - set(loop.evaluator.evaluation.metrics):
            del run.metrics[name]  # it is no longer computed
    step = run.step
    if step >= run.steps:
        raise UsageError(
            f"this run is complete ({pluralize(run.epochs, 'epochs')}); "
            f"pass --set epochs={run.epochs + 10} to train longer"
        )
    loop.players.check_rates(run.progress)
    if checkpoint is None:
        warn(f"{run.out_dir} does not contain a checkpoint: training starts from the first step")
    elif not {"callbacks", "recipe"} & changes.keys():
        for name in sorted(checkpoint.state["callbacks"].keys() - loop.bus.stateful()):
            warn(
                f"the checkpoint contains the state of {name}, which is not attached to this run: it is discarded"
            )
    _compare(then, run.manifest)
    entry = {"resumed": get_time(), "from_step": step, **({"changes": changes} if changes else {})}
    run.manifest = run.manifest.continue_from(then).add_history(entry)
    if recipe is not None and recipe.origin is not None:
        keep_recipe(run.out_dir, recipe.origin.content, then.recipe_sha256)
    run.manifest.write(run.out_dir)
    store.go_back_to(step)  # last, so that a failure above leaves the checkpoints in place


def _compare(then: Manifest, now: Manifest) -> None:
    """Warn about circumstances in which results may differ."""
    versions = {**now.versions, **now.plugins}
    for package, version in {**then.versions, **then.plugins}.items():
        if (other := versions.get(package, version)) != version:
            warn(f"this run was trained with {package} {version}, not {other}: results may differ")
    if then.ranks != now.ranks and PER_RANK in (then.batch_norm, now.batch_norm):
        warn(
            f"this run was trained with {pluralize(then.ranks, 'ranks')}, not {now.ranks}: BatchNorm uses the "
            f"{PER_RANK}, so results differ; with sync_batch_norm=True in the recipe they would not"
        )


def check_changes(then: Manifest, now: Manifest, allowed: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Return the changed settings by name, each with its old and new value.

    Args:
        then: settings that the run was started or last resumed with.
        now: settings to resume with.
        allowed: names of settings that may differ; ``epochs`` always may.

    Raises:
        RunDirError: another setting differs.
    """
    changes = _find_changes(then, now)
    for name, (old, new) in changes.items():
        if name not in {*allowed, "epochs"}:
            raise RunDirError(
                f"this run has {name} = {_shorten(old)}, not {_shorten(new)}; pass --allow-change {name} to "
                "resume with the new value, as a different run"
            )
    return changes


def _find_changes(then: Manifest, now: Manifest) -> dict[str, tuple[Any, Any]]:
    pairs: dict[str, tuple[Any, Any]] = {name: (getattr(then, name), getattr(now, name)) for name in DECISIVE}
    pairs["recipe"] = pairs.pop("recipe_sha256")
    # Not the layers themselves, of which a later version may replace more.
    pairs["accelerate"] = (bool(then.accelerated), bool(now.accelerated))
    if then.objective is None:
        del pairs["objective"]  # older runs do not record it
    pairs["data"] = (then.data.sha256, now.data.sha256)
    pairs["labels"] = (then.data.labels_sha256, now.data.labels_sha256)
    for old, others in ((then.arguments, now.arguments), (then.environment, now.environment)):
        if old is not None:
            new = json.loads(json.dumps(others or {}))
            pairs |= {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 20 else text[:17] + "..."
