"""How good a trained generator is: every metric, beside real images and beside fakes whose quality is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rich.table import Table

from ms_gan_callbacks.config.attach import with_metrics
from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.data.protocol import Source, take_images
from ms_gan_callbacks.errors import (
    DataError,
    UsageError,
    annotate,
    warn,
)
from ms_gan_callbacks.metrics.classes import classifier_score, kl_to_uniform, modes
from ms_gan_callbacks.metrics.diversity import diversity
from ms_gan_callbacks.metrics.features import FeatureExtractor
from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.kernel import kid
from ms_gan_callbacks.metrics.manifold import coverage, density, precision, recall
from ms_gan_callbacks.metrics.memorisation import memorisation
from ms_gan_callbacks.metrics.sample import Metric, Sample
from ms_gan_callbacks.metrics.sampling import sampling_noise
from ms_gan_callbacks.metrics.sanity import sanity_rows
from ms_gan_callbacks.metrics.stored import StoredFeatures
from ms_gan_callbacks.models.networks import Floats, make
from ms_gan_callbacks.results.inference import Trained

OF_FEATURES: dict[str, Metric] = {
    "fld": fld,
    "kid": kid,
    "precision": precision,
    "recall": recall,
    "density": density,
    "coverage": coverage,
    "diversity": diversity,
}
OF_CLASSES: dict[str, Metric] = {
    "modes": modes,
    "kl_to_uniform": kl_to_uniform,
    "classifier_score": classifier_score,
}
LEAST = 100
"""Images that it takes to judge."""
PROBE = 8
"""Images that features are tried on first."""
MOST_KNOWN = 60_000
"""Training images that are looked at, at most."""

Values = Mapping[str, float]


class Judge:
    """Holds images against those of a recipe's test data, or else of its training data.

    Args:
        recipe: whose data, features and metrics.
        count: images on each side; fewer are taken where there are fewer real ones.

    Attributes:
        count: how many there are.
        source: the training data.
        real: what to judge by.
        train: what the generator learnt from, disjoint from ``real``.
        name: what the real images are called.

    Raises:
        UsageError: there are fewer than 100, or the features cannot be made of them.
    """

    def __init__(self, recipe: Recipe, count: int = 10_000) -> None:
        self.source = make("data", recipe.data)
        self.name, held_out, train = _real_images(self.source, recipe.test_data, count)
        self.count = min(count, len(held_out), len(train))
        if self.count < LEAST:
            raise UsageError(f"{self.name}: {self.count} images are too few to judge by, it takes {LEAST}")
        extractor = StoredFeatures(recipe.features)
        self.real, self.train = Sample(held_out[: self.count], extractor), Sample(train, extractor)
        Sample(held_out[:PROBE], recipe.features).features  # noqa: B018 - whether they fit, before it takes time
        classes = OF_CLASSES if hasattr(extractor, "classify") else {}
        self.metrics: dict[str, Metric] = {**OF_FEATURES, **classes, **recipe.metrics}
        self._extractor = recipe.features

    def measure(self, fake: Sample) -> dict[str, float]:
        """Return the value of every metric.

        Raises:
            Exception: what a metric raised, annotated with which.
        """
        values = {}
        for name, metric in self.metrics.items():
            try:
                values[name] = float(metric(self.real, fake))
            except Exception as error:
                annotate(error, f"raised by the metric {name!r}")
                raise
        return values

    def measure_generator(self, trained: Trained) -> tuple[dict[str, float], dict[str, float]]:
        """Return every metric's value for a generator, and the standard errors of some.

        Raises:
            UsageError: its images are of another shape than the real ones.
        """
        shape = trained.generate(trained.noise(1, "evaluation")).shape[1:]
        if shape != self.real.images.shape[1:]:
            raise UsageError(
                f"the generator makes images of shape {shape}, {self.name} holds {self.real.images.shape[1:]}"
            )
        fake = Sample(trained.generate(trained.noise(self.count, "evaluation")), self._extractor)
        values = {**self.measure(fake), "memorisation": memorisation(self.train, self.real, fake)}
        noise = {"fld": sampling_noise(fld, self.real, fake), "kid": kid(self.real, fake).standard_error}
        return values, noise

    def measure_known(self) -> dict[str, dict[str, float]]:
        """Return every metric's value for real images, its floor, and for the other :func:`sanity_rows`."""
        rows = sanity_rows(self.train.images, count=self.count, extractor=self._extractor)
        values = {row: self.measure(sample) for row, sample in rows.items()}
        values["real"]["memorisation"] = 1.0  # its unit: how near training images are to real ones
        return values


@dataclass(frozen=True)
class Judgement:
    """What an evaluation found.

    Attributes:
        step: the generator's.
        samples: how many generated images were held against how many real ones.
        features: what the features are called; numbers of other features do not compare.
        real: what the real images are called.
        values: each metric's value, by what was judged ("generator", "real" and the sanity rows), then by metric.
        noise: the standard error of the generator's values, where it is known.
    """

    step: int
    samples: int
    features: str
    real: str
    values: Mapping[str, Values]
    noise: Values

    def title(self) -> str:
        """Return what all numbers were made from."""
        return (
            f"{self.samples:,} images of step {self.step:,} against {self.samples:,} of {self.real}; "
            f"features {self.features}"
        )

    def table(self) -> Table:
        """Return a metric a line: the generator's, its noise, its floor (real images), and the sanity rows."""
        others = [row for row in self.values if row != "generator"]
        table = Table(title=self.title(), title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("metric", no_wrap=True)
        for column in ("generator", "+-", *others):
            table.add_column(column.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
        for name in self.values["generator"]:
            shown = [_short(self.values[row].get(name)) for row in others]
            table.add_row(name, _short(self.values["generator"][name]), _short(self.noise.get(name)), *shown)
        return table


def judge(trained: Trained, count: int = 10_000, features: FeatureExtractor | None = None) -> Judgement:
    """Hold a trained generator's images against real ones it has not seen, where its recipe names such.

    Args:
        trained: the generator.
        count: images on each side, at least 100; fewer are taken where there are fewer real ones.
        features: what metrics compare, instead of the recipe's.

    Raises:
        UsageError: there are too few images, or the features do not fit.

    Warns:
        GanWarning: the data at hand is not what the run was trained on; a metric that was attached to the run
            cannot be used any more.
    """
    recipe = with_metrics(trained.recipe, trained.manifest)
    if features is not None:
        recipe = replace(recipe, features=features)
    judge, then = Judge(recipe, count), trained.manifest.data
    if then.sha256 != judge.source.sha256():
        now = judge.source.name
        as_now = ", as it is now" if then.name == now else ""
        warn(f"the run was trained on {then.name}, {then.count:,} images, not on {now}{as_now}")
    generator, noise = judge.measure_generator(trained)
    values = {"generator": generator, **judge.measure_known()}
    return Judgement(trained.step, judge.count, judge.real.feature_name, judge.name, values, noise)


def _real_images(train: Source, test_data: Callable[[], Source] | None, count: int) -> tuple[str, Floats, Floats]:
    """Return what to judge by is called, images of it, and disjoint ones that the generator learnt from."""
    known = take_images(train, min(MOST_KNOWN, _whole(train)))
    if test_data is not None:
        try:
            test = make("test_data", test_data)
            return test.name, take_images(test, min(count, _whole(test))), known
        except DataError as error:
            warn(f"{error}; judging by images that it was trained on")
    half = len(known) // 2
    return f"{train.name} (trained on)", known[:half], known[half:]


def _whole(source: Source) -> int:
    return source.steps_per_epoch * source.batch_size


def _short(value: float | None) -> str:
    """Write a number in seven characters at most."""
    if value is None:
        return ""
    if abs(value) >= 100_000:
        return f"{value:.1e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 4
    return f"{value:.{digits}f}" if value != round(value) else f"{value:.0f}"
