"""Train a recipe from several seeds, and print what its generators are worth epoch by epoch.

    python scripts/quality_study.py recipes/mnist_mlp.py --seeds 5 --epochs 1,5,10

Every run has a CollapseGuard and a DivergenceGuard, and nothing that would end it early; whatever they say is
printed below the table. A run that has been trained already is judged, not trained again.
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
    """Train a run, unless it is there; what it took and what guards said stands beside it afterwards."""
    if (out / "study.json").exists():
        return
    callbacks = [CollapseGuard(Every.steps(250)), ImageGrid(), Checkpoint(Every.epochs(1), keep=None)]
    runner = Runner.from_recipe(replace(recipe, callbacks=callbacks, metrics={}), out)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GanWarning)
        result = runner.train()
    said = [str(one.message) for one in caught if issubclass(one.category, GanWarning)]
    replace_file(out / "study.json", to_json({"seconds": result.seconds, "said": said}))


def rows(values: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """Yield a table in Markdown: a mean and, over seeds, a standard deviation."""
    yield "| | " + " | ".join(f"`{name}`" for name in SHOWN) + " |"
    yield "|---|" + "---|" * len(SHOWN)
    for label, found in values.items():
        cells = []
        for name in SHOWN:
            numbers = [one[name] for one in found]
            spread = f" ± {np.std(numbers, ddof=1):.2g}" if len(numbers) > 1 else ""
            cells.append(f"{np.mean(numbers):.3g}{spread}")
        yield f"| {label} | " + " | ".join(cells) + " |"


@click.command()
@click.argument("path", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--seeds", default=5, show_default=True, help="How many, from 0.")
@click.option("--epochs", default="1,5,10", show_default=True, help="Epochs to evaluate; a run ends at the last.")
@click.option("--samples", default=10_000, show_default=True, help="Images on each side.")
@click.option("--out", default=Path("runs/quality"), type=click.Path(path_type=Path), help="The runs' folder.")
def main(path: Path, seeds: int, epochs: str, samples: int, out: Path) -> None:
    """Train RECIPE from several seeds and evaluate it."""
    evaluated = [int(epoch) for epoch in epochs.split(",")]
    recipes = [load_recipe(path, seed=seed, epochs=evaluated[-1]) for seed in range(seeds)]
    folders = [out / f"{path.stem}-{seed}" for seed in range(seeds)]
    for recipe, folder in zip(recipes, folders, strict=True):
        train(recipe, folder)
    scorer = Scorer(recipes[0], samples)
    steps = scorer.source.steps_per_epoch
    values: dict[str, list[dict[str, float]]] = {}
    for epoch in evaluated:
        trained = [Trained(folder, str(epoch * steps)) for folder in folders]
        values[f"epoch {epoch}"] = [scorer.measure_generator(one)[0] for one in trained]
    last = [Sample(one.generate(one.noise(scorer.count, "evaluation")), recipes[0].features) for one in trained]
    likelihoods = [parzen(scorer.train.take(np.arange(1000)), scorer.real, sample) for sample in last]
    values |= {row: [found] for row, found in scorer.measure_references().items()}
    studies = [json.loads((folder / "study.json").read_bytes()) for folder in folders]
    replace_file(out / f"{path.stem}.json", to_json({"values": values, "parzen": likelihoods, "runs": studies}))

    print(f"{scorer.count:,} images each, {scorer.name}; {scorer.real.feature_name}; {get_cpu_name()}")
    print("\n".join(rows(values)))
    print("Parzen window, nats:", ", ".join(f"{one.value:.0f} +- {one.standard_error:.1f}" for one in likelihoods))
    print("seconds:", ", ".join(f"{study['seconds']:.0f}" for study in studies))
    print("modes at the end:", ", ".join(f"{found['modes']:.0f}" for found in values[f"epoch {evaluated[-1]}"]))
    print("guards:", [said for study in studies for said in study["said"]] or "silent")


if __name__ == "__main__":
    main()
