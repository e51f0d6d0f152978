"""Train public GANs on MNIST for as long as runs of recipes took, and compare the images.

    python scripts/comparison_study.py runs/quality/mnist_dcgan-0 runs/quality/mnist_lsgan-0

The runs are those of ``quality_study.py``, which has written their durations. Each of the others (see
``public_gans.py``) is trained once, for the longest of them, and its images are taken after each. All use the
threads that OMP_NUM_THREADS allows. Larger images are averaged to 28 x 28 pixels. All are compared with the same
10,000 test digits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")

import click
from public_gans import (
    SAMPLES,
    ConvDiscriminator,
    ConvGenerator,
    DenseDiscriminator,
    DenseGenerator,
    Images,
    Snapshots,
    to_pixels,
    train_mindspore_gan,
    train_pytorch_example,
)

from ms_gan_callbacks import Sample, coverage, fld, mnist, modes, precision
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.storage.environment import get_cpu_name
from ms_gan_callbacks.storage.files import replace_file, to_json

METRICS = {"fld": fld, "precision": precision, "coverage": coverage, "modes": modes}
PEERS: dict[str, Callable[[Sequence[float], Path], Snapshots]] = {
    "pytorch/examples, dcgan": train_pytorch_example,
    "MindSpore-GAN, gan": partial(train_mindspore_gan, DenseGenerator, DenseDiscriminator, 1.0, 28),
    "MindSpore-GAN, dcgan": partial(train_mindspore_gan, ConvGenerator, ConvDiscriminator, 0.5, 32),
}


def measure(real: Sample, fakes: Images, steps: int) -> dict[str, float]:
    """Return the metrics of images, and the number of steps."""
    sample = Sample(fakes)
    return {"steps": steps} | {name: float(metric(real, sample)) for name, metric in METRICS.items()}


def train_peer(name: str, seconds: Sequence[float], real: Sample, out: Path) -> list[dict[str, float]]:
    """Return the metrics of a public GAN after each duration; those of an earlier call are read from ``out``."""
    folder = out / name.replace("/", " ").replace(", ", "-").replace(" ", "-")
    record = folder.with_suffix(".json")
    if record.exists() and (known := json.loads(record.read_bytes()))["seconds"] == list(seconds):
        values: list[dict[str, float]] = known["values"]
        return values
    values = [measure(real, *taken) for taken in PEERS[name](seconds, folder)]
    replace_file(record, to_json({"seconds": list(seconds), "values": values}))
    return values


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--peer", "peers", multiple=True, type=click.Choice(list(PEERS)), help="Public GAN; all by default.")
@click.option("--out", default=Path("runs/comparison"), type=click.Path(path_type=Path), help="The runs' folder.")
def main(runs: tuple[Path, ...], peers: tuple[str, ...], out: Path) -> None:
    """Compare each RUN of quality_study.py with public GANs that are trained for the same time."""
    timed = sorted((json.loads((run / "study.json").read_bytes())["seconds"], run) for run in runs)
    seconds = [one for one, _ in timed]
    real = Sample(mnist(split="test").images)
    others = {name: train_peer(name, seconds, real, out) for name in peers or PEERS}
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    print(f"{SAMPLES:,} images each, trained with {threads} threads on {get_cpu_name()}")
    print("| | seconds | steps | " + " | ".join(f"`{name}`" for name in METRICS) + " |")
    print("|---|---:|---:|" + "---:|" * len(METRICS))
    for place, (duration, run) in enumerate(timed):
        trained = Trained(run)
        fakes = to_pixels(trained.generate(trained.noise(SAMPLES, "evaluation")))
        compared = {run.name: measure(real, fakes, trained.step)}
        for name, values in (compared | {name: found[place] for name, found in others.items()}).items():
            steps, *numbers = values.values()
            cells = [f"{duration:.0f}", f"{steps:,}", *(f"{number:.3g}" for number in numbers)]
            print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
