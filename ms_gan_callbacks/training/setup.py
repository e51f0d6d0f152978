"""Checks and preparations before a run's first step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ms_gan_callbacks.callbacks.console import Console
from ms_gan_callbacks.callbacks.divergence_guard import DivergenceGuard
from ms_gan_callbacks.callbacks.metrics_log import MetricsLog
from ms_gan_callbacks.config.evaluation import Evaluation
from ms_gan_callbacks.config.recipe import Origin
from ms_gan_callbacks.data.columns import take_columns, take_images
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.data.sources import check_source
from ms_gan_callbacks.errors import UsageError, warn
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.run import Run, raise_no_images
from ms_gan_callbacks.events.scalars import EpochMeans
from ms_gan_callbacks.interop.stock import adapt_callbacks
from ms_gan_callbacks.metrics.direction import read_mode
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.models.settings import Method
from ms_gan_callbacks.training.evaluator import Evaluator
from ms_gan_callbacks.training.lineage import describe_run


def add_default_callbacks(callbacks: Any, quiet: bool) -> list[Callback]:
    """Adapt MindSpore's callbacks; add MetricsLog, DivergenceGuard and, unless quiet, Console if missing."""
    attached: list[Callback] = adapt_callbacks(callbacks)
    for kind in (MetricsLog, DivergenceGuard) if quiet else (MetricsLog, DivergenceGuard, Console):
        if not any(isinstance(callback, kind) for callback in attached):
            attached.append(kind())
    return attached


def check_same_data(before: Mapping[str, object] | None, source: Source) -> Mapping[str, object]:
    """Return a record of a runner's data, after comparing it with the record of the previous call.

    Raises:
        UsageError: the data or the batch size differs, so epochs could not be counted.
    """
    names = ("batch_size", "count", "image_shape")
    content = {**{name: getattr(source, name) for name in names}, "sha256": source.sha256()}
    if before not in (None, content):
        raise UsageError(
            f"this run was started with different data or another batch size than {source.name} in batches of "
            f"{source.batch_size}; create a new Runner for other data, with the same cells if needed"
        )
    return content


def prepare_players(players: Players, source: Source) -> None:
    """Check a source and prepare the players for it; raise GanError if they do not fit together."""
    players.world.check_divides(source.batch_size)
    check_source(source, players.seed)
    players.prepare(source)


def create_run(
    players: Players,
    source: Source,
    bus: CallbackBus,
    progress: Progress,
    means: EpochMeans,
    out_dir: Path,
    method: Method,
    origin: Origin | None,
) -> Run:
    """Return the :class:`Run` that is passed to the callbacks."""
    read = lru_cache(maxsize=4)(partial(take_columns, source))
    compared = players.find_compared(source)
    return Run(
        progress=progress,
        out_dir=out_dir,
        seed=players.seed,
        noise_dim=players.noise_dim,
        networks=players.networks,
        optimizers=players.get_optimizers(),
        generator=players.networks.get("generator"),
        discriminator=players.networks.get("discriminator"),
        train_network=players.steps.get(),
        generate=players.generate,
        draw_images=partial(players.draw_images, read=read),
        draw_picture=partial(players.draw_picture, read=read),
        draw_real=partial(take_images, source, column=compared) if compared else raise_no_images,
        learning_rates=players.learning_rates,
        scale_learning_rates=players.scale_learning_rates,
        epoch_means=means,
        classes=players.classes,
        critic=players.critic,
        compared=compared,
        paired=bool(players.list_image_columns()) and getattr(source, "paired", True),
        manifest=describe_run(players, method, source, progress.epochs, origin),
        recipe_source=origin.source if origin else None,
        monitors=frozenset(players.steps.scalars) | bus.publishes(),
    )


def add_metrics(run: Run, bus: CallbackBus, evaluation: Evaluation, source: Source) -> Evaluator:
    """Add the metrics to the run; raise GanError if a metric or a callback cannot be used in it."""
    evaluator = Evaluator(evaluation, source, run.seed)
    evaluator.check(run)
    run.metric_names = frozenset(evaluation.metrics)
    run.monitors |= run.metric_names
    run.evaluate_every = evaluation.every
    run.better = {name: mode for name, metric in evaluation.metrics.items() if (mode := read_mode(metric))}
    for warning in bus.check(run):
        warn(warning)
    return evaluator
