"""A run that goes on must be the run that it was: what may differ, what must be allowed, what is written down."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.errors import RunDirError, UsageError, pluralize, warn
from ms_gan_callbacks.models.settings import RECORDED_SETTINGS
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.run_dir import keep_recipe
from ms_gan_callbacks.training.loop import TrainingLoop

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
    **{name: name for name in RECORDED_SETTINGS},
}


def go_on(loop: TrainingLoop, wanted: bool | int, allowed: Collection[str], recipe: Recipe | None = None) -> None:
    """Put a loop where its run stood, and tell the run's folder; what was damaged or lies ahead is set aside.

    Args:
        loop: ready to train, its folder that of the run.
        wanted: True for the newest checkpoint that is whole, or a step.
        allowed: names of what may differ from the run as it was.
        recipe: what it goes on with, if it was made by one.

    Raises:
        CheckpointError: no checkpoint can be used.
        RunDirError: something differs that was not allowed to.
        UsageError: the run has come to its end already.
    """
    run, store, like = loop.run, loop.store, loop.players.weights()
    then = Manifest.read(run.out_dir)
    # First, since it says more than a checkpoint that does not fit:
    changes = allowed_changes(then, run.manifest, allowed)
    checkpoint = store.newest(like) if wanted is True else store.load(wanted, like)
    if checkpoint:
        loop.restore(checkpoint)
        _drop_metrics(loop)
    step = run.step
    if step >= run.steps:
        epochs = pluralize(run.epochs, "epochs")
        raise UsageError(f"this run has finished its {epochs}; more let it go on: --set epochs={run.epochs + 10}")
    loop.players.check_rates(run.progress)
    if checkpoint is None:
        warn(f"{run.out_dir} has no checkpoint: it starts from its first step")
    elif not {"callbacks", "recipe"} & changes.keys():
        _look_for_callbacks(checkpoint.state["callbacks"], loop.bus.stateful())
    _compare_versions({**then.versions, **then.plugins}, {**run.manifest.versions, **run.manifest.plugins})
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    entry = {"resumed": now, "from_step": step, **({"changes": changes} if changes else {})}
    run.manifest = run.manifest.after(then).add_history(entry)
    if recipe is not None and recipe.origin is not None:
        keep_recipe(run.out_dir, recipe.origin.content, then.recipe_sha256)
    run.manifest.write(run.out_dir)
    store.go_back_to(step)  # last: whatever failed before it has set nothing aside


def _drop_metrics(loop: TrainingLoop) -> None:
    """Forget the results of metrics that are not measured any more."""
    for name in set(loop.run.metrics) - set(loop.evaluator.evaluation.metrics):
        del loop.run.metrics[name]


def _look_for_callbacks(states: Iterable[str], present: Collection[str]) -> None:
    for name in sorted(set(states) - set(present)):
        warn(f"the checkpoint holds the state of a callback {name}, which this run does not have: it is dropped")


def _compare_versions(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    for package, version in then.items():
        if (other := now.get(package, version)) != version:
            warn(f"this run was made with {package} {version}, not {other}: bytes may differ")


def allowed_changes(then: Manifest, now: Manifest, allowed: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Return what differs between a run as it was and as it is to go on, by name: the old and the new value.

    Args:
        then: what the run was started or last resumed with.
        now: what it is to go on with.
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


def _changes(then: Manifest, now: Manifest) -> dict[str, tuple[Any, Any]]:
    pairs: dict[str, tuple[Any, Any]] = {
        name: (getattr(then, key), getattr(now, key)) for name, key in DECISIVE.items()
    }
    if then.objective is None:
        del pairs["objective"]  # it is not known
    pairs["data"] = (then.data.sha256, now.data.sha256)
    pairs["labels"] = (then.data.labels_sha256, now.data.labels_sha256)
    for old, others in ((then.arguments, now.arguments), (then.environment, now.environment)):
        if old is not None:
            new = json.loads(json.dumps(others or {}))
            pairs |= {name: (old.get(name), new.get(name)) for name in {**old, **new}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 20 else text[:17] + "..."
