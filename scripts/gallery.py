"""Train every recipe as it stands, judge what came of it, and write docs/gallery.md with its pictures.

    python scripts/gallery.py               every recipe, about an hour and a half
    python scripts/gallery.py mnist_cgan    one; the others stay as they are
    python scripts/gallery.py --render              the page alone, from docs/gallery.json

Fashion-MNIST is looked for where Debian's package dataset-fashion-mnist puts it, pictures for ``folder_dcgan``
where its package moka-icon-theme does. A run that has been trained already is judged, not trained again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("GLOG_v", "3")

import click

from ms_gan_callbacks.config.catalog import read_summary
from ms_gan_callbacks.errors import suggest
from ms_gan_callbacks.storage.environment import get_cpu_name, list_versions
from ms_gan_callbacks.storage.files import replace_file, to_json

ROOT = Path(__file__).parent.parent
PAGE, NUMBERS, PICTURES = ROOT / "docs/gallery.md", ROOT / "docs/gallery.json", ROOT / "docs/images/gallery"
SETTINGS: dict[str, dict[str, str]] = {
    "mnist_mlp": {},
    "mnist_dcgan": {},
    "mnist_lsgan": {},
    "mnist_wgan_gp": {},
    "mnist_hinge_sn": {},
    "mnist_cgan": {},
    "mnist_acgan": {},
    "mnist_infogan": {},
    "mnist_began": {},
    "mnist_sgan": {},
    "mnist_pix2pix": {},
    "mnist_cyclegan": {},
    "fashion_dcgan": {},
    "folder_dcgan": {"path": "/usr/share/icons/Moka/64x64/apps"},
    "folder_pix2pix": {"path": "/usr/share/icons/Moka/64x64/apps", "task": "colorize"},
}
"""The recipes in the order of the page, and what has to be set for them."""
SHOWN = ("fld", "kid", "precision", "recall", "density", "coverage", "modes")
HEAD = """# Gallery

Recipes that come with the project, trained as they stand from seed 0, and the grids that they saved after their
last epoch. One that is missing has not been trained in full yet: `python scripts/gallery.py` makes this page anew.

Numbers are of 10,000 generated images against as many real ones that were not trained on, or as there are
([Quality](quality.md) explains them); a row of real images is what a perfect generator would get. Time is that of
the whole command.
"""
OTHERS = """
What is not a digit is judged by its pixels, averaged to few, as its recipe does. Such numbers compare with those
of the same pictures only.
"""


def train(recipe: str, out: Path) -> float:
    """Type the command that a user would, unless the run is there; return the seconds that it took."""
    told = out.with_name(f"{out.name}.seconds")
    if told.exists():
        return float(told.read_text())
    if out.exists():
        raise click.ClickException(f"{out} was cut short; remove it, so that its time can be measured")
    sets = [word for name, value in SETTINGS[recipe].items() for word in ("--set", f"{name}={value}")]
    command = [
        sys.executable,
        "-m",
        "ms_gan_callbacks",
        "run",
        str(ROOT / f"recipes/{recipe}.py"),
        "--out",
        str(out),
    ]
    began = perf_counter()
    subprocess.run([*command, *sets], check=True)
    told.write_text(f"{perf_counter() - began:.1f}\n")
    return float(told.read_text())


def judge(out: Path) -> dict[str, Any]:
    """Return how good a run's last generator is, and what real images get."""
    from ms_gan_callbacks.results.inference import Trained
    from ms_gan_callbacks.results.report import evaluate

    trained = Trained(out)
    report = evaluate(trained)
    rows = {name: report.values[name] for name in ("generator", "real")}
    return {
        "step": trained.step,
        "epochs": trained.recipe.epochs,
        "features": report.features,
        "against": report.real,
        **{row: {name: values[name] for name in SHOWN if name in values} for row, values in rows.items()},
    }


def machine() -> str:
    """Describe the machine, in a line."""
    found = list_versions()
    return f"{os.cpu_count()} cores, {get_cpu_name()}, Python {found['python']}, MindSpore {found['mindspore']}"


def table(recipes: list[str], numbers: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines of a table of recipes; behind those of the same real images, what these get."""
    columns = [name for name in SHOWN if all(name in numbers[recipe]["real"] for recipe in recipes)]
    lines = ["| recipe | epochs | time | " + " | ".join(f"`{name}`" for name in columns) + " |"]
    lines += ["|---|" + "---:|" * (len(columns) + 2)]
    for against, group in groupby(recipes, key=lambda recipe: numbers[recipe]["against"]):
        for recipe in group:
            one = numbers[recipe]
            values = " | ".join(f"{one['generator'][name]:.3g}" for name in columns)
            lines += [f"| [{recipe}](#{recipe}) | {one['epochs']} | {minutes(one['seconds'])} | {values} |"]
        lines += [f"| real: {against} | | | " + " | ".join(f"{one['real'][name]:.3g}" for name in columns) + " |"]
    return lines


def page(numbers: dict[str, dict[str, Any]]) -> str:
    """Return the text of docs/gallery.md."""
    shown = [recipe for recipe in SETTINGS if recipe in numbers]
    digits = [recipe for recipe in shown if "modes" in numbers[recipe]["real"]]
    others = [recipe for recipe in shown if recipe not in digits]
    lines = [HEAD, *table(digits, numbers)]
    if others:
        lines += [OTHERS, *table(others, numbers)]
    for recipe in shown:
        sets = "".join(f" --set {name}={value}" for name, value in SETTINGS[recipe].items())
        lines += [f"\n## {recipe}", read_summary(ROOT / f"recipes/{recipe}.py").rstrip(".") + ".", ""]
        lines += [f"```bash\nms-gan run recipes/{recipe}.py{sets}\n```\n"]
        lines += [f"![Images drawn by {recipe} after its last epoch](images/gallery/{recipe}.png)\n"]
        one = numbers[recipe]
        lines += [f"*{one['step']:,} steps in {minutes(one['seconds'])}: {one['machine']}.*"]
    return "\n".join(lines) + "\n"


def minutes(seconds: float) -> str:
    """Write a time."""
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


@click.command()
@click.argument("recipes", nargs=-1)
@click.option("--render", is_flag=True, help="Write the page only.")
@click.option("--out", default=Path("runs/gallery"), type=click.Path(path_type=Path), help="The runs' folder.")
def main(recipes: tuple[str, ...], render: bool, out: Path) -> None:
    """Train RECIPES, all by default, and write the gallery."""
    for recipe in recipes:
        if recipe not in SETTINGS:
            raise click.UsageError(f"the gallery has no {recipe!r}; {suggest(recipe, SETTINGS)}")
    out.mkdir(parents=True, exist_ok=True)
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    for recipe in () if render else recipes or SETTINGS:
        seconds = train(recipe, out / recipe)
        numbers[recipe] = {"seconds": seconds, "machine": machine(), **judge(out / recipe)}
        newest = max((out / recipe / "samples").glob("epoch-*.png"))
        replace_file(PICTURES / f"{recipe}.png", newest.read_bytes())
        replace_file(NUMBERS, to_json({name: numbers[name] for name in SETTINGS if name in numbers}))
    replace_file(PAGE, page(numbers).encode())
    click.echo(f"{PAGE.relative_to(ROOT)}: {', '.join(numbers)}")


if __name__ == "__main__":
    main()
