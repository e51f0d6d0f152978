"""Train recipes from several seeds, and print the metrics of their generators with confidence intervals.

    python scripts/quality_study.py recipes/mnist_mlp.py --epochs 1,5,10
    python scripts/quality_study.py recipes/mnist_r3gan.py recipes/mnist_dcgan.py --seeds 5

Every run has a CollapseGuard and a DivergenceGuard, and nothing that would end it early; their warnings are
printed below the table. A run that has been trained already is evaluated, not trained again. Intervals are those
of the mean over seeds, at 95 %, by Student's t distribution.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")

import click
import numpy as np
import scipy

from ms_gan_callbacks import (
    Checkpoint,
    CollapseGuard,
    Every,
    GanWarning,
    ImageGrid,
    Recipe,
    Runner,
    Sample,
    load_recipe,
    parzen,
)
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.results.report import Scorer
from ms_gan_callbacks.storage.environment import get_cpu_name
from ms_gan_callbacks.storage.files import replace_file, to_json

SHOWN = ("fld", "kid", "precision", "recall", "density", "coverage", "modes", "kl_to_uniform", "classifier_score")


def train(recipe: Recipe, out: Path) -> None:
    """Train a run, unless that has been done; its duration and the guards' warnings are written beside it."""
    if (out / "study.json").exists():
        return
    grids = [one for one in recipe.callbacks if isinstance(one, ImageGrid)]
    callbacks = [*grids, CollapseGuard(Every.steps(250), features=recipe.features), Checkpoint(keep=None)]
    runner = Runner.from_recipe(replace(recipe, callbacks=callbacks, metrics={}), out)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GanWarning)
        result = runner.train()
    said = [str(one.message) for one in caught if issubclass(one.category, GanWarning)]
    replace_file(out / "study.json", to_json({"seconds": result.seconds, "said": said}))


def format_mean(numbers: list[float]) -> str:
    """Return the mean of numbers, with its confidence interval if there are several."""
    if len(numbers) < 2:
        return f"{np.mean(numbers):.3g}"
    error = np.std(numbers, ddof=1) / np.sqrt(len(numbers))
    return f"{np.mean(numbers):.3g} ± {scipy.stats.t.ppf(0.975, len(numbers) - 1) * error:.2g}"


def rows(values: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """Yield a table in Markdown."""
    shown = [name for name in SHOWN if any(name in one for found in values.values() for one in found)]
    yield "| | " + " | ".join(f"`{name}`" for name in shown) + " |"
    yield "|---|" + "---|" * len(shown)
    for label, found in values.items():
        cells = [format_mean([one[name] for one in found if name in one]) for name in shown]
        yield f"| {label} | " + " | ".join(cells) + " |"


@click.command()
@click.argument("paths", metavar="RECIPE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--seeds", default=5, show_default=True, help="Number of seeds, from 0.")
@click.option("--epochs", help="Epochs to evaluate, such as 1,5,10; the last by default, that of the recipe.")
@click.option("--samples", default=10_000, show_default=True, help="Generated images, and real ones.")
@click.option("--out", default=Path("runs/quality"), type=click.Path(path_type=Path), help="The runs' folder.")
def main(paths: tuple[Path, ...], seeds: int, epochs: str | None, samples: int, out: Path) -> None:
    """Train each RECIPE from several seeds and evaluate it."""
    evaluated = [int(epoch) for epoch in epochs.split(",")] if epochs else []
    for path in paths:
        study(path, seeds, evaluated, samples, out)


def study(path: Path, seeds: int, evaluated: list[int], samples: int, out: Path) -> None:
    """Train a recipe from several seeds, unless that has been done, and print its metrics."""
    changes = {"epochs": evaluated[-1]} if evaluated else {}
    recipes = [load_recipe(path, seed=seed, **changes) for seed in range(seeds)]
    folders = [out / f"{path.stem}-{seed}" for seed in range(seeds)]
    for recipe, folder in zip(recipes, folders, strict=True):
        train(recipe, folder)
    scorer = Scorer(recipes[0], samples)
    steps = scorer.source.steps_per_epoch
    values: dict[str, list[dict[str, float]]] = {}
    for epoch in evaluated or [recipes[0].epochs]:
        trained = [Trained(folder, str(epoch * steps)) for folder in folders]
        values[f"{path.stem}, epoch {epoch}"] = [scorer.measure_generator(one)[0] for one in trained]
    last = [Sample(one.generate(one.noise(scorer.count, "evaluation")), recipes[0].features) for one in trained]
    likelihoods = [parzen(scorer.train.take(np.arange(1000)), scorer.real, sample) for sample in last]
    values |= {row: [found] for row, found in scorer.measure_references().items()}
    studies = [json.loads((folder / "study.json").read_bytes()) for folder in folders]
    replace_file(out / f"{path.stem}.json", to_json({"values": values, "parzen": likelihoods, "runs": studies}))

    print(f"{scorer.count:,} images each, {scorer.name}; {scorer.real.feature_name}; {get_cpu_name()}")
    print("\n".join(rows(values)))
    print("Parzen window, nats:", ", ".join(f"{one.value:.0f} +- {one.standard_error:.1f}" for one in likelihoods))
    print("seconds:", ", ".join(f"{one['seconds']:.0f}" for one in studies))
    print("warnings:", [said for one in studies for said in one["said"]] or "none")


if __name__ == "__main__":
    main()
