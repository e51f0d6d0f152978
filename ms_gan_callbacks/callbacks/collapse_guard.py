"""CollapseGuard: detects mode collapse and a discriminator that separates real from fake perfectly."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ms_gan_callbacks.callbacks.guard import Action, Guard
from ms_gan_callbacks.errors import CallbackError, is_whole
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.metrics.classes import compute_class_shares
from ms_gan_callbacks.metrics.diversity import diversity
from ms_gan_callbacks.metrics.features import FeatureExtractor, Features, Pixels
from ms_gan_callbacks.metrics.lenet import load_lenet
from ms_gan_callbacks.metrics.sample import Sample

LEAST_DIVERSITY = 0.25
LEAST_OF_BEST = 0.6
LEAST_CLASSES = 0.4
PINNED = 0.01
PATIENCE, WARM_UP = 2, 2000
"""The defaults. With them, a run too short for the guard to act is not warned about."""


class CollapseGuard(Guard):
    """Warns, stops or rolls back when images generated from fixed noise lose diversity.

    A check fails if one of these holds, where D(x) and D(G(z)) are the step's means:

    - the diversity of the images is below 0.25 of that of real images (:func:`diversity`; variations of a single
      digit have 0.5), or below 0.6 of the highest value so far;
    - a classifier finds at most 0.4 times as many classes as it finds in the same number of real images;
    - D(x) is above 0.99 and D(G(z)) below 0.01, so the generator receives almost no gradient. This is not checked
      for a critic, whose scores are not probabilities.

    Logs ``diversity`` and, with a classifier, ``classes``. A check takes tens of milliseconds. It does not affect
    training: the weights are bitwise identical with and without it.

    Args:
        every: when to check; the end of every epoch is always checked.
        action: "warn", "stop" or "roll back".
        patience: number of consecutive failed checks before acting, at least 1.
        warm_up: number of initial steps in which failed checks are ignored, 0 or more.
        samples: number of generated and of real images, at least 2.
        features: feature extractor; by default LeNet for greyscale images of 28 x 28, otherwise the pixels,
            without classes.
        tries: maximum number of rollbacks in the run; then it is stopped.
        learning_rate: factor for both learning rates at every rollback, greater than 0 and at most 1.
        name: name of the callback; required to be unique in a run.

    Raises:
        CallbackError: an argument is out of range.
    """

    order = 40  # before loggers
    persistent = (*Guard.persistent, "best")
    publishes = ("diversity", "classes")
    needs = ("a generator",)

    def __init__(
        self,
        every: Every = Every.steps(500),
        *,
        action: Action = "warn",
        patience: int = PATIENCE,
        warm_up: int = WARM_UP,
        samples: int = 50,
        features: FeatureExtractor | None = None,
        tries: int = 3,
        learning_rate: float = 1.0,
        name: str = "CollapseGuard",
    ) -> None:
        super().__init__(
            every=every,
            action=action,
            actions=("warn", "stop", "roll back"),
            patience=patience,
            tries=tries,
            learning_rate=learning_rate,
            name=name,
        )
        if not is_whole(warm_up, 0):
            raise CallbackError(f"{name}: warm_up must be an integer of at least 0 steps, got {warm_up!r}")
        if not is_whole(samples, 2):
            raise CallbackError(f"{name}: samples must be an integer of at least 2, got {samples!r}")
        self.warm_up, self.samples, self.features = warm_up, samples, features
        self.best = 0.0  # the highest diversity since the warm-up
        self._real: Sample | None = None

    def check(self, run: Run) -> Iterable[str]:
        self._get_real(run).features  # noqa: B018  raises if there are too few images, or they do not fit
        found = list(super().check(run))
        return [] if (self.patience, self.warm_up) == (PATIENCE, WARM_UP) else found

    def looks(self, run: Run, after: int = 0) -> int:
        return super().looks(run, max(after, self.warm_up))

    def examine(self, run: Run) -> str | None:
        images = run.sample(self.samples, "collapse")
        if not np.isfinite(images).all():
            return "generated images contain NaN or infinity"
        real = self._get_real(run)
        fake = Sample(images, real.extractor)
        values = {"diversity": diversity(real, fake)}
        if hasattr(real.extractor, "classify"):
            values["classes"] = _count_classes(fake)
        run.log(values)
        if run.step <= self.warm_up:
            return None
        self.best = max(self.best, values["diversity"])
        return self._examine_images(values, real) or _examine_scores(run)

    def _get_real(self, run: Run) -> Sample:
        if self._real is None:
            real = run.real(self.samples)
            grey_28 = real.shape[1:] == (1, 28, 28)
            self._real = Sample(real, self.features or (load_lenet() if grey_28 else pixels))
        return self._real

    def _examine_images(self, values: dict[str, float], real: Sample) -> str | None:
        value = values["diversity"]
        if value < LEAST_DIVERSITY:
            return f"mode collapse: diversity is {value:.2f} of that of real images"
        if value < LEAST_OF_BEST * self.best:
            return f"diversity fell from {self.best:.2f} to {value:.2f} of that of real images"
        if "classes" in values and values["classes"] <= LEAST_CLASSES * _count_classes(real):
            return f"generated images cover {values['classes']:.0f} of {_count_classes(real):.0f} classes"
        return None


def _count_classes(sample: Sample) -> float:
    return float(np.count_nonzero(compute_class_shares(sample.probabilities)))


def _examine_scores(run: Run) -> str | None:
    if run.critic:
        return None  # scores of a critic are unbounded
    d_real, d_fake = run.scalars.get("d_real", 0.5), run.scalars.get("d_fake", 0.5)
    if d_real > 1 - PINNED and d_fake < PINNED:
        return f"the discriminator is saturated: D(x) = {d_real:.3f}, D(G(z)) = {d_fake:.3f}"
    return None


def pixels(images: Pixels) -> Features:
    """Return the pixels of each image as features, (N, C * H * W) in [0, 1]."""
    return images.reshape(len(images), -1) / np.float32(255)
