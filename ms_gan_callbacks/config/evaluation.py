"""What to measure of the generator while it trains, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ms_gan_callbacks.errors import RecipeError, is_whole
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.scalars import find_name_fault
from ms_gan_callbacks.metrics.features import FeatureExtractor
from ms_gan_callbacks.metrics.sample import Metric

PROBE = 8
"""Images that are tried before the first step."""


@dataclass(frozen=True)
class Evaluation:
    """What to measure of the generator, and when.

    Attributes:
        metrics: functions of a real and a fake :class:`Sample` to a number, by the names to publish them under.
        every: when.
        samples: how many generated images are held against how many real ones, at least 8. Numbers of different
            ``samples`` cannot be compared: most metrics have a bias that shrinks with it.
        extractor: what makes features of images; by default the LeNet for 28 x 28 grey images.

    Raises:
        RecipeError: a metric cannot be called, or ``samples`` is not a number of images.
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    every: Every = Every.epochs(1)
    samples: int = 2000
    extractor: FeatureExtractor | None = None

    def __post_init__(self) -> None:
        if not is_whole(self.samples, PROBE):
            raise RecipeError(f"an evaluation takes at least {PROBE} samples, got {self.samples!r}")
        if not isinstance(self.every, Every):
            raise RecipeError(f"an evaluation is due Every.epochs(...) or Every.steps(...), not {self.every!r}")
        for name, metric in self.metrics.items():
            if isinstance(name, str) and (fault := find_name_fault(name)):
                raise RecipeError(f"a metric cannot be called {name!r}: {fault}")
            if not isinstance(name, str) or not callable(metric):
                raise RecipeError(f"metrics maps names to functions of (real, fake), not {name!r} to {metric!r}")
