"""Evaluates a trained generator by every metric, compared with real images and reference fakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rich.table import Table

from ms_gan_callbacks.config.attach import attach_metrics
from ms_gan_callbacks.config.recipe import Recipe
from ms_gan_callbacks.data.columns import take_columns
from ms_gan_callbacks.data.protocol import REAL, Columns, Source
from ms_gan_callbacks.errors import DataError, UsageError, warn
from ms_gan_callbacks.metrics.classes import classifier_score, kl_to_uniform, modes
from ms_gan_callbacks.metrics.direction import is_paired, read_mode
from ms_gan_callbacks.metrics.diversity import diversity
from ms_gan_callbacks.metrics.features import FeatureExtractor
from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.kernel import kid
from ms_gan_callbacks.metrics.manifold import coverage, density, precision, recall
from ms_gan_callbacks.metrics.memorisation import memorisation
from ms_gan_callbacks.metrics.paired import l1, psnr, ssim
from ms_gan_callbacks.metrics.sample import Estimate, Metric, Sample
from ms_gan_callbacks.metrics.sampling import sampling_noise, sampling_noises
from ms_gan_callbacks.metrics.sanity import sanity_rows
from ms_gan_callbacks.metrics.stored import StoredFeatures
from ms_gan_callbacks.models.games.rendering import list_image_columns
from ms_gan_callbacks.models.games.trial import find_compared
from ms_gan_callbacks.models.networks import Floats, make
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.results.pages import format_number
from ms_gan_callbacks.training.evaluator import measure

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
OF_PAIRS: dict[str, Metric] = {"l1": l1, "psnr": psnr, "ssim": ssim}
ARROWS = {"min": "\N{DOWNWARDS ARROW}", "max": "\N{UPWARDS ARROW}"}
MIN_IMAGES = 100
PROBE = 8
"""Number of images that features are extracted from first, as a check."""
MAX_TRAINING_IMAGES = 60_000

Values = Mapping[str, float]


class Scorer:
    """Compares images with a recipe's test data, or with half of its training data if it does not have any.

    Args:
        recipe: provides data, features and metrics.
        count: maximum number of generated and of real images.

    Attributes:
        count: number of generated and of real images.
        source: the training data.
        real: the real images to compare with.
        train: training images, disjoint from ``real``.
        columns: the columns of the real images, from which a game may make its images.
        compared: the column of the real images.
        name: name of the real images.

    Raises:
        UsageError: there are fewer than 100 images, or the feature extractor does not accept them.
    """

    def __init__(self, recipe: Recipe, count: int = 10_000) -> None:
        self.source = make("data", recipe.data)
        self.name, self.columns, known = _load_columns(self.source, recipe.test_data, count)
        game = make("game", recipe.game) if recipe.game else None
        self.compared = find_compared(game, known) if game else REAL
        if self.compared is None:
            raise UsageError(f"{self.name} has no column of real images to compare with: set compared in the game")
        held_out, train = self.columns[self.compared], known[self.compared]
        self.count = min(count, len(held_out), len(train))
        if self.count < MIN_IMAGES:
            raise UsageError(f"{self.name}: {self.count} images are too few, at least {MIN_IMAGES} are needed")
        shape = held_out.shape[1:]
        inputs = [name for name in list_image_columns(game) if name != self.compared] if game else []
        self._inputs = [name for name in inputs if self.columns[name].shape[1:] == shape]
        extractor = StoredFeatures(recipe.features)
        self.real, self.train = Sample(held_out[: self.count], extractor), Sample(train, extractor)
        self.metrics: dict[str, Metric] = dict(recipe.metrics)
        self.of_features = not (recipe.metrics and all(map(is_paired, recipe.metrics.values())))
        if self.of_features:
            Sample(held_out[:PROBE], recipe.features).features  # noqa: B018 - fails early if they do not fit
            classes = OF_CLASSES if hasattr(extractor, "classify") else {}
            self.metrics = {**OF_FEATURES, **classes, **recipe.metrics}
        self._extractor = recipe.features

    def measure(self, fake: Sample) -> dict[str, float]:
        """Return the value of every metric; see :func:`~ms_gan_callbacks.training.evaluator.measure`."""
        return self._measure(self.metrics, fake)

    def _measure(self, metrics: Mapping[str, Metric], fake: Sample) -> dict[str, float]:
        return {name: float(value) for name, value in measure(metrics, self.real, fake).items()}

    def measure_generator(self, trained: Trained) -> tuple[dict[str, float], dict[str, float]]:
        """Return the value of every metric for a generator, and the standard errors of fld and kid.

        Raises:
            UsageError: its images have another shape than the real images.
        """
        fake = self.draw(trained)
        values = self.measure(fake)
        results = {name: metric(self.real, fake) for name, metric in self.metrics.items() if is_paired(metric)}
        noise = {name: one.standard_error for name, one in results.items() if isinstance(one, Estimate)}
        if self.of_features:
            values["memorisation"] = memorisation(self.train, self.real, fake)
            noise |= {"fld": sampling_noise(fld, self.real, fake), "kid": kid(self.real, fake).standard_error}
        return values, noise

    def draw(self, trained: Trained) -> Sample:
        """Return as many generated images as real images.

        Raises:
            UsageError: its images have another shape than the real images.
        """
        shape = self._generate(trained, 1).shape[1:]
        if shape != self.real.images.shape[1:]:
            raise UsageError(
                f"generated images have shape {shape}, and images of {self.name} {self.real.images.shape[1:]}"
            )
        return Sample(self._generate(trained, self.count), self._extractor)

    def measure_noise(self, fake: Sample) -> dict[str, float]:
        """Return the standard error of every metric: its own if it has one, else by random halves of the fakes."""
        errors = sampling_noises(self.metrics, self.real, fake)
        results = {name: metric(self.real, fake) for name, metric in self.metrics.items()}
        known = {name: one.standard_error for name, one in results.items() if isinstance(one, Estimate)}
        return {**errors, **known}

    def _generate(self, trained: Trained, count: int) -> Floats:
        if trained.takes_noise:
            return trained.generate(trained.noise(count, "evaluation"))
        return trained.sample(count, "evaluation", columns=self.columns)

    def measure_references(self) -> dict[str, dict[str, float]]:
        """Return the value of every metric for real images (its floor) and the other :func:`sanity_rows`.

        In a game that makes images from others of the same shape, also those of its inputs, unchanged.
        """
        values = {}
        if self.of_features:
            rows = sanity_rows(self.train.images, count=self.count, extractor=self._extractor)
            unpaired = {name: metric for name, metric in self.metrics.items() if not is_paired(metric)}
            values = {row: self._measure(unpaired, sample) for row, sample in rows.items()}
            values["real"]["memorisation"] = 1.0  # by definition: distances are relative to those of real images
        for name in self._inputs:
            values[f"unchanged {name}"] = self.measure(Sample(self.columns[name][: self.count], self._extractor))
        return values


@dataclass(frozen=True)
class Report:
    """Result of an evaluation.

    Attributes:
        step: training step of the generator.
        samples: number of generated images and of real images.
        features: name of the features; values for different features are not comparable.
        real: name of the real images.
        values: metric values by row ("generator", and those of :meth:`Scorer.measure_references`), by metric.
        noise: standard errors of the generator's values, if known.
    """

    step: int
    samples: int
    features: str
    real: str
    values: Mapping[str, Values]
    noise: Values

    def make_table(self) -> Table:
        """Return a table with one metric per line: value, standard error, floor, and reference fakes."""
        others = [row for row in self.values if row != "generator"]
        title = (
            f"{self.samples:,} images of step {self.step:,} against {self.samples:,} of {self.real}; "
            f"features {self.features}"
        )
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("metric", no_wrap=True)
        for column in ("generator", "+-", *others):
            table.add_column(column.replace(" ", "\n"), justify="right", vertical="bottom", no_wrap=True)
        for name in self.values["generator"]:
            shown = [format_number(self.values[row].get(name)) for row in others]
            table.add_row(
                name, format_number(self.values["generator"][name]), format_number(self.noise.get(name)), *shown
            )
        return table


def find_arrows() -> dict[str, str]:
    """Return an arrow for each built-in metric that declares a direction: up if higher values are better."""
    modes = {name: read_mode(metric) for name, metric in {**OF_FEATURES, **OF_CLASSES, **OF_PAIRS}.items()}
    return {name: "\N{NO-BREAK SPACE}" + ARROWS[mode] for name, mode in modes.items() if mode is not None}


def evaluate(trained: Trained, count: int = 10_000, features: FeatureExtractor | None = None) -> Report:
    """Compare images of a trained generator with the recipe's test data, or with its training data.

    Args:
        trained: the generator.
        count: maximum number of generated and of real images, at least 100.
        features: feature extractor to use instead of the recipe's.

    Raises:
        UsageError: there are too few images, or the features do not fit.

    Warns:
        GanWarning: the data differs from the run's training data, or an attached metric is not installed.
    """
    recipe = attach_metrics(trained.recipe, trained.manifest)
    if features is not None:
        recipe = replace(recipe, features=features)
    scorer, then = Scorer(recipe, count), trained.manifest.data
    if then.sha256 != scorer.source.sha256():
        now = scorer.source.name
        changed = ", which has changed since" if then.name == now else ""
        warn(f"the run was trained on {then.name}, {then.count:,} images, not on {now}{changed}")
    generator, noise = scorer.measure_generator(trained)
    values = {"generator": generator, **scorer.measure_references()}
    return Report(trained.step, scorer.count, scorer.real.feature_name, scorer.name, values, noise)


def _load_columns(
    train: Source, test_data: Callable[[], Source] | None, count: int
) -> tuple[str, Columns, Columns]:
    """Return the name of the real images, their columns, and columns of training images disjoint from them."""
    known = take_columns(train, min(MAX_TRAINING_IMAGES, _count_images(train)))
    if test_data is not None:
        try:
            test = make("test_data", test_data)
            return test.name, take_columns(test, min(count, _count_images(test))), known
        except DataError as error:
            warn(f"{error}; comparing with training images instead")
    half = len(next(iter(known.values()))) // 2
    held_out = {name: rows[:half] for name, rows in known.items()}
    return f"{train.name} (trained on)", held_out, {name: rows[half:] for name, rows in known.items()}


def _count_images(source: Source) -> int:
    return source.steps_per_epoch * source.batch_size
