"""Settings of the evaluation during training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ms_gan_callbacks.errors import RecipeError, is_whole
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.scalars import find_name_fault
from ms_gan_callbacks.metrics.features import FeatureExtractor
from ms_gan_callbacks.metrics.sample import Metric

PROBE = 8
"""Number of images that features are extracted from in the check before the first step."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics to compute during training, and their schedule.

    Attributes:
        metrics: functions of a real and a fake :class:`Sample` that return a number, by published name.
        every: schedule.
        samples: number of generated images and of real images, at least 8. Values for different ``samples`` are
            not comparable, because most metrics have a bias that decreases with the number of samples.
        extractor: feature extractor; by default the LeNet for 28 x 28 grey images.

    Raises:
        RecipeError: a metric or its name is invalid, or ``samples`` or ``every`` is.
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    every: Every = Every.epochs(1)
    samples: int = 2000
    extractor: FeatureExtractor | None = None

    def __post_init__(self) -> None:
        if not is_whole(self.samples, PROBE):
            raise RecipeError(f"an evaluation needs at least {PROBE} samples, got {self.samples!r}")
        if not isinstance(self.every, Every):
            raise RecipeError(
                f"the schedule of an evaluation must be Every.epochs(...) or Every.steps(...), not {self.every!r}"
            )
        for name, metric in self.metrics.items():
            if isinstance(name, str) and (fault := find_name_fault(name)):
                raise RecipeError(f"a metric cannot be named {name!r}: {fault}")
            if not isinstance(name, str) or not callable(metric):
                raise RecipeError(
                    f"metrics must map names to functions of (real, fake), not {name!r} to {metric!r}"
                )
