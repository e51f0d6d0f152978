"""Computes quality metrics during training, from fixed noise and fixed real images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import SupportsFloat

import numpy as np

from ms_gan_callbacks.config.evaluation import PROBE, Evaluation
from ms_gan_callbacks.data.protocol import REAL, Source
from ms_gan_callbacks.errors import UsageError, annotate, warn
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.metrics.direction import is_paired
from ms_gan_callbacks.metrics.sample import Estimate, Metric, Sample
from ms_gan_callbacks.metrics.sampling import sampling_noise
from ms_gan_callbacks.metrics.stored import StoredFeatures


def measure(metrics: Mapping[str, Metric], real: Sample, fake: Sample, when: str = "") -> dict[str, SupportsFloat]:
    """Return the values of metrics by name; an exception of a metric is annotated with its name and ``when``."""
    values = {}
    for name, metric in metrics.items():
        try:
            values[name] = metric(real, fake)
            float(values[name])
        except Exception as error:
            annotate(error, f"raised by the metric {name!r}{when}")
            raise
    return values


class Evaluator:
    """Computes the metrics of an evaluation.

    Args:
        evaluation: the metrics, their schedule and the number of samples.
        source: the real images; the first ``samples`` of its first epoch for seed 0 are used, for every run seed.
        seed: seed of all other random numbers.
    """

    def __init__(self, evaluation: Evaluation, source: Source, seed: int) -> None:
        self.evaluation, self._source, self._seed = evaluation, source, seed
        self._real: Sample | None = None
        self._fake: Sample | None = None
        self._estimates: dict[str, Estimate] = {}

    def check(self, run: Run) -> None:
        """Check names, schedule and data, and extract features of a few images, before the first step.

        Raises:
            GanError: a name is taken, the data has too few images, or the extractor does not accept them.
        """
        if not self.evaluation.metrics:
            return
        for name in self.evaluation.metrics:
            if name in run.monitors:
                use = "it is a scalar of every step" if name in run.epoch_means.names else "a callback logs it"
                raise UsageError(f"a metric cannot be named {name!r}: {use}")
        self._check_columns(run)
        if why := self.evaluation.every.why_never(run):
            warn(f"metrics are never measured: {why}")
        count = self._source.steps_per_epoch * self._source.batch_size
        if self.evaluation.samples > count:
            raise UsageError(
                f"{self._source.name} has {count:,} images per epoch, fewer than the {self.evaluation.samples:,} "
                "samples of the evaluation: set evaluate_samples"
            )
        if not all(map(is_paired, self.evaluation.metrics.values())):
            Sample(run.sample(PROBE, "evaluation"), self.evaluation.extractor).features  # noqa: B018

    def _check_columns(self, run: Run) -> None:
        if run.compared is None:
            raise UsageError(
                f"{self._source.name} has no column of real images to compare with: set compared = ... in the game"
            )
        for name, metric in self.evaluation.metrics.items():
            if is_paired(metric) and not run.paired:
                raise UsageError(
                    f"the metric {name!r} compares each generated image with its target, but in this run images "
                    "are not generated from the columns of a target"
                )

    def due(self, run: Run) -> bool:
        """Whether metrics are computed after the current step."""
        return bool(self.evaluation.metrics) and self.evaluation.every.due(run)

    def evaluate(self, run: Run) -> None:
        """Compute all metrics and store them in ``run.metrics``; see :func:`measure`."""
        images = run.sample(self.evaluation.samples, "evaluation")
        self._estimates = {}
        if not np.isfinite(images).all():
            run.metrics.update(dict.fromkeys(self.evaluation.metrics, math.nan))  # handled by guards
            return
        if self._real is None:
            self._real = self._load_real_images(run)
        self._fake = Sample(images, self.evaluation.extractor)
        results = measure(self.evaluation.metrics, self._real, self._fake, f" at step {run.step}")
        run.metrics.update({name: float(result) for name, result in results.items()})
        self._estimates = {name: result for name, result in results.items() if isinstance(result, Estimate)}
        run.metric_noise = self.noise

    def _load_real_images(self, run: Run) -> Sample:
        """Return the real images; record their number and features and the metrics' floors in ``run.json``."""
        count, features = self.evaluation.samples, StoredFeatures(self.evaluation.extractor)
        pair = 2 * count <= self._source.steps_per_epoch * self._source.batch_size
        column = run.compared or REAL
        images = Sample.from_source(self._source, (1 + pair) * count, features, column=column)
        real = images.take(np.arange(count))
        record: dict[str, object] = {"samples": count, "features": real.feature_name}
        if pair:
            other = images.take(np.arange(count, 2 * count))
            unpaired = {name: one for name, one in self.evaluation.metrics.items() if not is_paired(one)}
            floors = measure(unpaired, real, other, f" at step {run.step}")
            record["floors"] = {name: float(floor) for name, floor in floors.items()}
        run.manifest = run.manifest.replace(evaluation=record)
        run.manifest.write(run.out_dir)
        return real

    def noise(self, name: str) -> float:
        """Return the standard error of a metric's latest value, by subsampling unless the metric provides one."""
        if self._real is None or self._fake is None or name not in self.evaluation.metrics:
            return 0.0
        if name not in self._estimates:
            metric = self.evaluation.metrics[name]
            error = sampling_noise(metric, self._real, self._fake, seed=self._seed)
            self._estimates[name] = Estimate(0.0, error)
        return self._estimates[name].standard_error
