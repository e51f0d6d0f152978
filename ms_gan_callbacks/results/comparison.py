"""Compares trained runs: settings that differ, curves, and metrics with their noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from ms_gan_callbacks.config.attach import attach_metrics
from ms_gan_callbacks.errors import GanError, UsageError, warn
from ms_gan_callbacks.metrics.direction import Mode, read_mode
from ms_gan_callbacks.results.charts import Chart, Series
from ms_gan_callbacks.results.facts import get_recipe_name, list_environment, list_settings
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.results.log import PAIRS, Lines, collect_points, list_logged, list_means, read_log
from ms_gan_callbacks.results.report import Scorer
from ms_gan_callbacks.storage.manifest import Manifest

MOST_RUNS = 8
CONFIDENCE = 0.95
"""Confidence at which a difference counts: that of twice the standard error, for two runs without repetitions."""


@dataclass
class RunFacts:
    """A run to compare.

    Attributes:
        path: the run directory.
        name: a name that differs from those of the other runs.
        manifest: the content of ``run.json``.
        lines: the log.
        trained: the generator; None if it cannot be loaded.
        real: number and name of the real images, and the features; values for different ones are not comparable.
        values: value of each metric.
        noise: standard error of each metric, over draws of generated images.
        modes: direction of each metric.
    """

    path: Path
    name: str
    manifest: Manifest
    lines: Lines
    trained: Trained | None = None
    real: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    modes: Mapping[str, Mode | None] = field(default_factory=dict)

    def measure(self, count: int) -> None:
        """Compute all metrics for ``count`` images, with their noise; nothing is done without a generator."""
        if self.trained is None:
            return
        scorer = Scorer(attach_metrics(self.trained.recipe, self.manifest), count)
        fake = scorer.draw(self.trained)
        self.values, self.noise = scorer.measure(fake), scorer.measure_noise(fake)
        self.modes = {name: read_mode(metric) for name, metric in scorer.metrics.items()}
        self.real = f"{scorer.count:,} images of {scorer.name}, features {scorer.real.feature_name}"

    def list_settings(self) -> dict[str, str]:
        """Return the settings of the run by name, with the length of its training."""
        done = max((line["epoch"] for line in self.lines if "epoch_means" in line), default=0)
        facts = {"recipe": get_recipe_name(self.manifest), "recipe sha256": self.manifest.recipe_sha256 or ""}
        facts |= dict(list_settings(self.manifest))
        facts |= {"epochs trained": str(done), "steps trained": str(self.lines[-1]["step"] if self.lines else 0)}
        return {name: value[:12] if name.endswith("sha256") else value for name, value in facts.items()}


@dataclass(frozen=True)
class Spread:
    """Standard deviation of a metric over runs that differ in their seed only, with its degrees of freedom."""

    deviation: float
    freedom: int


def read_runs(paths: Sequence[Path]) -> list[RunFacts]:
    """Return what the directories of several runs contain, without their networks.

    Raises:
        UsageError: there are fewer than two or more than MOST_RUNS directories, or one is given twice.
        RunDirError: a directory does not contain a run, or a file in it is damaged.
    """
    if not 2 <= len(paths) <= MOST_RUNS:
        raise UsageError(f"pass from 2 to {MOST_RUNS} run directories to compare, not {len(paths)}")
    real = [path.resolve() for path in paths]
    for place, path in enumerate(paths):
        if real[place] in real[:place]:
            raise UsageError(f"{path} is given twice")
    names = [path.name for path in real]
    names = [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
    return [
        RunFacts(path, name, Manifest.read(path), read_log(path)) for path, name in zip(paths, names, strict=True)
    ]


def load_runs(
    runs: Sequence[RunFacts], checkpoint: str, overrides: Mapping[str, Any], device: str | None, count: int | None
) -> None:
    """Load the generators of runs and compute their metrics; warn about runs that do not allow it.

    Args:
        runs: the runs.
        checkpoint: "last", "best" or a step, as for :class:`Trained`.
        overrides: changed arguments of all recipes, such as a new path of the data.
        device: as for :class:`Runner`.
        count: number of images of the metrics; None to leave the metrics out.
    """
    for run in runs:
        try:
            run.trained = Trained(run.path, checkpoint, device, overrides)
        except GanError as error:
            warn(f"{error}; {run.name} is compared without images and metrics")
            continue
        try:
            if count is not None:
                run.measure(count)
        except GanError as error:
            warn(f"{error}; {run.name} is compared without metrics")


def list_differences(facts: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Return the names whose values differ between runs, and the value of each run, empty if it has none."""
    names = dict.fromkeys(name for one in facts for name in one)
    rows = [(name, [one.get(name, "") for one in facts]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def list_environment_differences(runs: Sequence[RunFacts]) -> list[tuple[str, list[str]]]:
    """Return the differences of the machines, versions and histories of runs."""
    return list_differences([dict(list_environment(run.manifest)) for run in runs])


def measure_spreads(runs: Sequence[RunFacts]) -> dict[str, Spread]:
    """Return the spread of each metric over runs that differ in their seed only; empty if there are no such runs.

    The variances of several groups of such runs are pooled.
    """
    groups: dict[tuple[tuple[str, str], ...], list[RunFacts]] = {}
    for run in runs:
        settings = {name: value for name, value in run.list_settings().items() if name != "seed"}
        groups.setdefault((*sorted(settings.items()), ("real", run.real)), []).append(run)
    spreads = {}
    for metric in {name for run in runs for name in run.values}:
        values = [[run.values[metric] for run in group if metric in run.values] for group in groups.values()]
        freedom = sum(max(len(one) - 1, 0) for one in values)
        if freedom:
            squares = sum(float(np.var(one)) * len(one) for one in values if one)
            spreads[metric] = Spread(math.sqrt(squares / freedom), freedom)
    return spreads


def decide(metric: str, run: RunFacts, reference: RunFacts, spread: Spread | None) -> str:
    """Return "better", "worse", "differs" or "within noise" for a run's metric; empty if it cannot be compared.

    A difference counts if chance exceeds it with a probability of at most 5 %. Without a spread over seeds, the
    noise is that of the generated images only. The result is "differs" if a metric does not declare a direction.
    """
    if run is reference or run.real != reference.real:
        return ""
    difference = run.values.get(metric, math.nan) - reference.values.get(metric, math.nan)
    if spread is not None:
        limit = float(student.ppf(0.5 + CONFIDENCE / 2, spread.freedom)) * math.sqrt(2) * spread.deviation
    else:
        limit = 2 * math.hypot(run.noise.get(metric, 0.0), reference.noise.get(metric, 0.0))
    mode = run.modes.get(metric)
    if not math.isfinite(difference) or abs(difference) <= limit:
        return "within noise" if math.isfinite(difference) else ""
    if mode is None:
        return "differs"
    return "better" if (difference < 0) == (mode == "min") else "worse"


def explain_noise(runs: Sequence[RunFacts], spreads: Mapping[str, Spread]) -> str:
    """Return a sentence about the noise that differences are compared with."""
    start = "± is the standard error over draws of generated images, from random halves of them. "
    if spreads:
        freedom = max(one.freedom for one in spreads.values())
        return start + (
            f"Differences from {runs[0].name} count if they exceed the spread between runs that differ in their "
            f"seed only, at a confidence of 95 %; degrees of freedom of the spread: {freedom}."
        )
    return start + (
        f"Differences from {runs[0].name} count from two standard errors on. They are of these generators: "
        "another seed of the training changes the values, too. To compare settings, add runs with other seeds."
    )


def make_comparison_charts(runs: Sequence[RunFacts]) -> list[Chart]:
    """Return a chart for each scalar and metric with a curve per run, by epoch."""
    scaled = [_scale(run.lines) for run in runs]
    charts = []
    for names in PAIRS.values():
        for name, label in names.items():
            charts.append(_make_chart(label, name, runs, [list_means(lines) for lines in scaled]))
    floors = {name: value for run in runs for name, value in run.manifest.evaluation.floors.items()}
    logged = dict.fromkeys(name for lines in scaled for name in list_logged(lines, floors))
    charts += [_make_chart(name, name, runs, scaled) for name in logged]
    return [chart for chart in charts if chart.series]


def _make_chart(title: str, name: str, runs: Sequence[RunFacts], lines: Sequence[Lines]) -> Chart:
    curves = [
        Series(run.name, *collect_points(lines[place], name), colour=place) for place, run in enumerate(runs)
    ]
    return Chart(title, "epoch", [one for one in curves if one.x])


def _scale(lines: Lines) -> list[dict[str, Any]]:
    """Return lines with the epoch, in fractions, in place of the step; none before the end of the first epoch."""
    length = next(
        (line["step"] / line["epoch"] for line in lines if "epoch_means" in line and line["epoch"]), None
    )
    return [{**line, "step": line["step"] / length} for line in lines] if length else []
