"""Notices that the generator draws always the same, or that the discriminator has won."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ms_gan_callbacks.callbacks.guard import Action, Guard
from ms_gan_callbacks.errors import CallbackError, is_whole
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Floats, Run
from ms_gan_callbacks.metrics.classes import compute_class_shares
from ms_gan_callbacks.metrics.diversity import diversity
from ms_gan_callbacks.metrics.features import FeatureExtractor, Features, Pixels
from ms_gan_callbacks.metrics.lenet import lenet
from ms_gan_callbacks.metrics.sample import Sample

LEAST_DIVERSITY = 0.25
LEAST_OF_BEST = 0.6
LEAST_CLASSES = 0.25
PINNED = 0.01
PATIENCE, WARM_UP = 2, 2000
"""What nobody chose for a run, so that nobody is told that it is too long for it."""


class CollapseGuard(Guard):
    """Warns, stops or rolls back when the generator's images of fixed noise lose their variety.

    Any of these is trouble, where D(x) and D(G(z)) are the step's means:

    - the images are less than 0.25 as diverse as real ones (:func:`diversity`: 0.5 is a single digit, drawn
      variously), or less than 0.6 as diverse as they have been;
    - a classifier finds at most a quarter of the classes in them that it finds in as many real images;
    - D(x) is above 0.99 and D(G(z)) below 0.01: the discriminator tells all apart and teaches nothing. (Of a
      critic's scores, which are no probabilities, nothing is made.)

    What it sees it logs, as ``diversity`` and (with a classifier) ``classes``. A look costs some tens of
    milliseconds. It makes no numbers that training uses: with and without it, weights are the same to the bit.

    Args:
        every: when to look; the end of an epoch is looked at in any case.
        action: "warn", "stop" or "roll back".
        patience: looks in a row that find trouble before anything is done.
        warm_up: steps at the beginning in which a generator is forgiven everything, 0 or more.
        samples: images of each kind, at least 2.
        features: what makes features of images; by default the LeNet where they are 28 x 28 and grey, else the
            pixels themselves, which have no classes.
        tries: how often the run may be rolled back in all; then it is stopped.
        learning_rate: what every rollback multiplies both learning rates by, more than 0, at most 1.
        name: tells two of a run apart.

    Raises:
        CallbackError: a number is out of its range.
    """

    order = 40  # before those that write what it logs
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
        samples: int = 100,
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
            raise CallbackError(f"{name} takes a warm_up of 0 or more steps, got {warm_up!r}")
        if not is_whole(samples, 2):
            raise CallbackError(f"{name} takes at least 2 samples, got {samples!r}")
        self.warm_up, self.samples, self.features = warm_up, samples, features
        self.best = 0.0  # the greatest diversity since the warm-up
        self._real: Sample | None = None

    def check(self, run: Run) -> Iterable[str]:
        self._real_sample(run).features  # noqa: B018  raises where there are too few, or the features do not fit
        found = list(super().check(run))
        return [] if (self.patience, self.warm_up) == (PATIENCE, WARM_UP) else found

    def looks(self, run: Run, after: int = 0) -> int:
        return super().looks(run, max(after, self.warm_up))

    def examine(self, run: Run) -> str | None:
        images = run.sample(self.samples, "collapse")
        if not np.isfinite(images).all():
            return "the generator's images hold NaN or infinity"
        real = self._real_sample(run)
        fake = Sample(images, real.extractor)
        seen = {"diversity": diversity(real, fake)}
        if hasattr(real.extractor, "classify"):
            seen["classes"] = _classes(fake)
        run.log(seen)
        if run.step <= self.warm_up:
            return None
        self.best = max(self.best, seen["diversity"])
        return self._of_images(seen, real) or _of_scores(run)

    def _real_sample(self, run: Run) -> Sample:
        if self._real is None:
            real = run.real(self.samples)
            self._real = Sample(real, self.features or _features_for(real))
        return self._real

    def _of_images(self, seen: dict[str, float], real: Sample) -> str | None:
        value = seen["diversity"]
        if value < LEAST_DIVERSITY:
            return f"the generator's images are all alike, {value:.2g} as diverse as real ones,"
        if value < LEAST_OF_BEST * self.best:
            return f"the generator's images were {self.best:.2f} as diverse as real ones and are {value:.2f}"
        if "classes" in seen and seen["classes"] <= LEAST_CLASSES * _classes(real):
            return f"the generator's images are of {seen['classes']:.0f} of {_classes(real):.0f} classes"
        return None


def _classes(sample: Sample) -> float:
    return float(np.count_nonzero(compute_class_shares(sample.probabilities)))


def _of_scores(run: Run) -> str | None:
    if run.critic:
        return None  # whose scores have no bounds to be pinned at
    d_real, d_fake = run.scalars.get("d_real", 0.5), run.scalars.get("d_fake", 0.5)
    if d_real > 1 - PINNED and d_fake < PINNED:
        return f"the discriminator has won, D(x) = {d_real:.3f} and D(G(z)) = {d_fake:.3f},"
    return None


def _features_for(images: Floats) -> FeatureExtractor:
    return lenet() if images.shape[1:] == (1, 28, 28) else pixels


def pixels(images: Pixels) -> Features:
    """Return an image's pixels as its features, (N, C * H * W) from 0 to 1."""
    return images.reshape(len(images), -1) / np.float32(255)
