"""The report of a run as one HTML page: images, metrics, curves, settings, environment and reproduction."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import RunDirError, format_seconds, pluralize, warn
from ms_gan_callbacks.results.charts import draw_chart, make_charts
from ms_gan_callbacks.results.facts import (
    format_argument,
    get_recipe_name,
    list_environment,
    list_settings,
)
from ms_gan_callbacks.results.frames import Grid, list_grids, open_image
from ms_gan_callbacks.results.log import Lines, choose_metric, list_logged, list_means, read_log
from ms_gan_callbacks.results.pages import Picture, choose_evenly, embed_images, format_number, render_page
from ms_gan_callbacks.results.report import Report, find_arrows
from ms_gan_callbacks.storage.files import decode_source
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.names import RECIPE

MOST_SOURCE = 200_000
"""Maximum length of a recipe that is shown, in characters."""


def make_run_page(run_dir: Path, evaluation: Report | None, reason: str = "", folder: str = "samples") -> bytes:
    """Return the report of a run as a self-contained HTML page.

    Args:
        run_dir: the run directory; the run may still be training.
        evaluation: the metrics of the generator, of real images and of reference fakes; None to leave them out.
        reason: text shown in place of the evaluation.
        folder: folder of the image grids in the run directory.

    Raises:
        RunDirError: the directory does not contain a run, or a file in it is damaged.
    """
    manifest, lines = Manifest.read(run_dir), read_log(run_dir)
    floors = manifest.evaluation.floors
    grids = list_grids(run_dir, folder)
    columns = [*list_means(lines)[0].keys() - {"step", "epoch", "value"}] if list_means(lines) else []
    columns = [name for name in ("d_loss", "g_loss", "d_real", "d_fake", *sorted(columns)) if name in columns]
    columns = [*dict.fromkeys(columns), *(name for name in list_logged(lines, floors) if name in floors)]
    return render_page(
        "report.html",
        command="ms-gan report",
        name=run_dir.resolve().name,
        subtitle=_describe(manifest),
        tiles=list(_list_tiles(manifest, lines)),
        pictures=_embed_grids(grids, choose_metric(floors)),
        pictures_note=_describe_grids(len(grids)),
        evaluation=asdict(evaluation) if evaluation else None,
        evaluation_note=_describe_evaluation(evaluation) if evaluation else reason,
        rows=[row for row in evaluation.values if row != "generator"] if evaluation else [],
        arrows=find_arrows(),
        charts=[draw_chart(chart) for chart in make_charts(lines, floors, manifest.critic)],
        epoch_columns=["epoch", "step", *columns],
        epochs=list(_list_epochs(lines, columns)),
        settings=list(list_settings(manifest)),
        environment=list(list_environment(manifest)),
        costs=_list_costs(manifest),
        costs_note=_describe_costs(manifest),
        steps=list(_list_steps(manifest)),
        recipe_source=_read_recipe(run_dir),
    )


def _describe(manifest: Manifest) -> str:
    name = get_recipe_name(manifest)
    parts = [f"recipe {name}" if name else "started from Python", manifest.data.name]
    parts.append(f"seed {manifest.seed}" if manifest.seed is not None else "")
    return ", ".join(filter(None, parts))


def _list_tiles(manifest: Manifest, lines: Lines) -> Iterator[tuple[str, str]]:
    done = max((line["epoch"] for line in lines if "epoch_means" in line), default=0)
    planned = f" of {manifest.epochs}" if manifest.epochs and manifest.epochs != done else ""
    yield "epochs", f"{done}{planned}"
    yield "steps", f"{lines[-1]['step'] if lines else 0:,}"
    for name, floor in manifest.evaluation.floors.items():
        values = [line[name] for line in lines if line.get(name) is not None]
        if values:
            yield f"latest {name}", f"{format_number(values[-1])} (floor {format_number(floor)})"
    if manifest.timings:
        yield "time", format_seconds(sum(one.seconds for one in manifest.timings))
    if manifest.started:
        yield "started", manifest.started.replace("T", " ").removesuffix("+00:00") + " UTC"


def _embed_grids(grids: list[Grid], metric: str) -> list[Picture]:
    images = []
    for grid in choose_evenly(grids):
        try:
            images.append((open_image(grid.path), grid.make_caption(metric)))
        except RunDirError as error:
            warn(f"{error}; the image is left out")
    return embed_images(images) if images else []


def _describe_grids(count: int) -> str:
    shown = len(choose_evenly(range(count)))
    chosen = f" {shown} of {count} grids are shown." if shown < count else ""
    return f"Images generated in evaluation mode during training, from the same random inputs each time.{chosen}"


def _describe_evaluation(evaluation: Report) -> str:
    return (
        f"{evaluation.samples:,} images of step {evaluation.step:,}, compared with {evaluation.samples:,} images "
        f"of {evaluation.real}; features {evaluation.features}."
    )


def _list_epochs(lines: Lines, columns: list[str]) -> Iterator[list[Any]]:
    values: dict[int, dict[str, Any]] = {}
    for line in lines:
        values.setdefault(line["step"], {}).update(line)
    for mean in list_means(lines):
        row = {**values[mean["step"]], **mean}
        yield [mean["epoch"], mean["step"], *(row.get(name) for name in columns)]


def _list_costs(manifest: Manifest) -> list[tuple[str, float, float]]:
    total, costs = sum(one.seconds for one in manifest.timings), dict[str, float]()
    for timing in manifest.timings:
        for label, seconds in timing.callbacks.items():
            costs[label] = costs.get(label, 0.0) + seconds
    ordered = sorted(costs.items(), key=lambda one: -one[1])
    return [(label, seconds, seconds / total if total else 0.0) for label, seconds in ordered]


def _describe_costs(manifest: Manifest) -> str:
    seconds = sum(one.seconds for one in manifest.timings)
    steps = sum(one.to_step - one.from_step for one in manifest.timings)
    return f"Of {format_seconds(seconds)} in all for {pluralize(steps, 'steps')}, with compilation and metrics."


def _list_steps(manifest: Manifest) -> Iterator[tuple[str, str]]:
    known = {**manifest.versions, **manifest.plugins}
    python, own = (known.pop(name, "") for name in ("python", "ms-gan-callbacks"))
    if known:
        needs = " ".join(f"{name}=={version}" for name, version in known.items())
        where = f" on Python {python}" if python else ""
        yield f"Install ms-gan-callbacks {own}{where}, with:", f"pip install {needs}"
    if manifest.arguments is None:
        yield (
            "The run was not started from a recipe, but from Python: run the program that started it.",
            "Runner(...)",
        )
        return
    name = f"{get_recipe_name(manifest) or 'recipe'}.py"
    yield f"Save the recipe below as {name} and train with the same arguments:", _format_command(name, manifest)


def _format_command(name: str, manifest: Manifest) -> str:
    arguments = manifest.arguments or {}
    parts = [f"ms-gan run {shlex.quote(name)}"]
    parts += [f"--set {shlex.quote(f'{one}={format_argument(value)}')}" for one, value in arguments.items()]
    parts += [f"--callback {shlex.quote(text)}" for text in manifest.callbacks or ()]
    parts += [f"--metric {shlex.quote(text)}" for text in manifest.metrics or ()]
    return " \\\n  ".join(parts)


def _read_recipe(run_dir: Path) -> str:
    """Return the source of a run's recipe, or an empty string if it cannot be read."""
    try:
        return decode_source((run_dir / RECIPE).read_bytes())[:MOST_SOURCE]
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
