"""Train every recipe as it stands, judge what came of it, and write docs/gallery.md with its pictures.

    python scripts/gallery.py               every recipe, about an hour and a half
    python scripts/gallery.py mnist_cgan    one; the others stay as they are
    python scripts/gallery.py --render              the page alone, from docs/gallery.json

Fashion-MNIST is looked for where Debian's package dataset-fashion-mnist puts it, and the images of the recipes of
folders where its package moka-icon-theme does. A run that is there already is evaluated, not trained again.
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
from ms_gan_callbacks.errors import format_seconds, suggest
from ms_gan_callbacks.results.log import collect_points, read_log
from ms_gan_callbacks.storage.environment import get_cpu_name, list_versions
from ms_gan_callbacks.storage.files import replace_file, to_json

ROOT = Path(__file__).parent.parent
PAGE, NUMBERS, PICTURES = ROOT / "docs/gallery.md", ROOT / "docs/gallery.json", ROOT / "docs/images/gallery"
ICONS = Path("/usr/share/icons/Moka/64x64/apps")
HALVES = Path("runs/gallery/icons")
SETTINGS: dict[str, dict[str, str]] = {
    "mnist_mlp": {},
    "mnist_dcgan": {},
    "mnist_r3gan": {},
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
    "folder_dcgan": {"path": str(ICONS)},
    "folder_r3gan": {"path": str(ICONS), "mirror": "true", "epochs": "50"},
    "folder_pix2pix": {"path": str(ICONS), "task": "colorize"},
    "folder_cyclegan": {"path": str(HALVES)},
}
"""The recipes in the order of the page, and what has to be set for them."""
ALONE = {"mnist_sgan": {"unlabelled": "0"}}
"""Settings of a second run whose accuracy a recipe's is compared with."""
ACCURACIES = {"mnist_infogan": "code_accuracy", "mnist_sgan": "accuracy"}
"""What a recipe logs besides the metrics of its images."""
FLAWS = {
    "mnist_mlp": "Bright pixels surround the strokes, and about one image in three is not a digit.",
    "mnist_dcgan": "Most strokes are clean, but about one image in seven is not a digit.",
    "mnist_r3gan": "One or two digits in ten are malformed: open loops, and strokes that end in smudges.",
    "mnist_lsgan": "Some strokes are cloudy, and about one image in six is not a digit.",
    "mnist_wgan_gp": "About one image in six is not a digit, and some strokes are cloudy.",
    "mnist_hinge_sn": "Some strokes have grey clouds or gaps, and about one image in seven is not a digit.",
    "mnist_cgan": "About one digit in twenty is malformed, most often a 7 or a 2.",
    "mnist_acgan": "About one digit in twenty is malformed; some strokes of 5 and 8 are smudged.",
    "mnist_infogan": "Two values of the code are the digit 1, and three are more than one digit, such as 4 and 7.",
    "mnist_began": "Most digits are 1, 7 and 9; others are rare.",
    "mnist_sgan": "Some strokes are cloudy, and about one image in five is not a digit.",
    "mnist_pix2pix": "Where the coarse image is ambiguous, the digit is another one: a 3 became a 9, an 8 a 1.",
    "mnist_cyclegan": "The color changes within some digits, and pale digits lose parts of their strokes.",
    "fashion_dcgan": "Patterns of cloth are noise, and some bags and sandals have no clear shape.",
    "folder_dcgan": "Most symbols have no clear shape, and pixels of other colors are scattered over the icons.",
    "folder_r3gan": "Few symbols can be recognized, and about one icon in ten has almost none.",
    "folder_pix2pix": "Colors are right, for icons used in training, but speckled within an area.",
    "folder_cyclegan": "Areas have patches of several colors, and a checkerboard is visible.",
}
"""What is wrong with the images of a grid, as seen at full size."""
SHOWN = ("l1", "psnr", "fld", "kid", "precision", "recall", "density", "coverage", "modes")
HEAD = """# Gallery

The included recipes, trained with their default settings from seed 0, and the image grids saved after their last
epoch. `python scripts/gallery.py` trains them again and writes this page.

All numbers compare up to 10,000 generated images with as many real images that were not used for training;
[Quality](quality.md) explains the metrics. The row of real images shows what a perfect generator would reach. Time
is that of the whole command; where other processes were running, it says "at most".

## Digits
"""
TRANSLATIONS = """
## Translations of images

`l1` and `psnr` compare each generated image with its target, and the row "unchanged" the input with the target.
Image grids show training images. The colors of an icon that was not used for training cannot be determined from
the gray icon, so the results of `folder_pix2pix` for them are further from their targets than the gray icons.
"""
OTHERS = """
## Other images

Other images than gray digits are compared by the features of `PictureNet`, which was trained with these icons,
too. The numbers of different images are not comparable.
"""


def make_halves() -> None:
    """Write half of the icons in grey to trainA, and the other half in colour to trainB."""
    from PIL import Image

    icons = [path for path in sorted(ICONS.glob("*.png")) if not path.is_symlink()]  # links name others again
    for number, path in enumerate(icons):
        side, mode = ("trainA", "LA") if number % 2 else ("trainB", "RGBA")
        target = HALVES / side / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as icon:
            icon.convert(mode).save(target)


def type_command(recipe: str, out: Path, **settings: str) -> float:
    """Run the command that a user would type; return the seconds that it took."""
    if recipe == "folder_cyclegan" and not HALVES.exists():
        make_halves()
    sets = [word for name, value in (SETTINGS[recipe] | settings).items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "ms_gan_callbacks", "run", str(ROOT / f"recipes/{recipe}.py")]
    began = perf_counter()
    subprocess.run([*command, "--out", str(out), *sets], check=True)
    return perf_counter() - began


def train(recipe: str, out: Path, **settings: str) -> float:
    """Train a recipe, unless that has been done; return the seconds that it took."""
    told = out.with_name(f"{out.name}.seconds")
    if not out.exists():
        told.write_text(f"{type_command(recipe, out, **settings):.1f}\n")
    return float(told.read_text())


def judge(out: Path) -> dict[str, Any]:
    """Return how good a run's last generator is, and what real images and unchanged inputs get."""
    from ms_gan_callbacks.results.inference import Trained
    from ms_gan_callbacks.results.report import evaluate

    trained = Trained(out)
    report = evaluate(trained)
    rows = {
        name.split()[0]: values
        for name, values in report.values.items()
        if name in ("generator", "real") or name.startswith("unchanged")
    }
    return {
        "step": trained.step,
        "epochs": trained.recipe.epochs,
        "features": report.features,
        "against": report.real,
        **{row: {name: values[name] for name in SHOWN if name in values} for row, values in rows.items()},
    }


def read_last(out: Path, name: str) -> float:
    """Return the last value of a scalar in a run's log."""
    return collect_points(read_log(out), name)[1][-1]


def machine() -> str:
    """Describe the machine, in a line."""
    found = list_versions()
    return f"{os.cpu_count()} cores, {get_cpu_name()}, Python {found['python']}, MindSpore {found['mindspore']}"


def table(recipes: list[str], numbers: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines of a table of recipes; behind those of the same real images, what these get."""
    columns = [name for name in SHOWN if any(name in numbers[recipe]["generator"] for recipe in recipes)]
    lines = ["| recipe | epochs | time | " + " | ".join(f"`{name}`" for name in columns) + " |"]
    lines += ["|---|" + "---:|" * (len(columns) + 2)]

    def cells(values: dict[str, float]) -> str:
        return " | ".join(f"{values[name]:.3g}" if name in values else "" for name in columns)

    for against, group in groupby(recipes, key=lambda recipe: numbers[recipe]["against"]):
        for recipe in group:
            one = numbers[recipe]
            lines += [f"| [{recipe}](#{recipe}) | {one['epochs']} | {time(one)} | {cells(one['generator'])} |"]
        if "unchanged" in one:
            lines += [f"| unchanged inputs of {recipe} | | | {cells(one['unchanged'])} |"]
        if "real" in one:
            lines += [f"| real: {against} | | | {cells(one['real'])} |"]
    return lines


def page(numbers: dict[str, dict[str, Any]]) -> str:
    """Return the text of docs/gallery.md."""
    shown = [recipe for recipe in SETTINGS if recipe in numbers]
    paired = [recipe for recipe in shown if "l1" in numbers[recipe]["generator"]]
    digits = [recipe for recipe in shown if "modes" in numbers[recipe]["generator"] and recipe not in paired]
    others = [recipe for recipe in shown if recipe not in (*digits, *paired)]
    lines = [HEAD, *table(digits, numbers)]
    lines += [TRANSLATIONS, *table(paired, numbers)] if paired else []
    lines += [OTHERS, *table(others, numbers)] if others else []
    for recipe in shown:
        one = numbers[recipe]
        lines += [f"\n## {recipe}", read_summary(ROOT / f"recipes/{recipe}.py").rstrip(".") + ".", ""]
        lines += [f"```bash\nms-gan run recipes/{recipe}.py{write_sets(SETTINGS[recipe])}\n```\n"]
        lines += [f"![Images drawn by {recipe} after its last epoch](images/gallery/{recipe}.png)\n"]
        lines += [f"{FLAWS[recipe]}\n"] if recipe in FLAWS else []
        if recipe in ACCURACIES:
            alone = f"; {one['alone']:.3f} with `{write_sets(ALONE[recipe]).strip()}`" if recipe in ALONE else ""
            lines += [f"`{ACCURACIES[recipe]}` of the test digits is {one['accuracy']:.3f}{alone}.\n"]
        lines += [f"*{one['step']:,} steps in {time(one)}: {one['machine']}.*"]
    return "\n".join(lines) + "\n"


def write_sets(settings: dict[str, str]) -> str:
    """Write settings as options of the command."""
    return "".join(f" --set {name}={value}" for name, value in settings.items())


def time(one: dict[str, Any]) -> str:
    """Write how long a recipe takes."""
    return ("at most " if one.get("busy") else "") + format_seconds(one["seconds"])


def read_numbers() -> dict[str, Any]:
    """Return what has been measured, by recipe."""
    return json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}


@click.command()
@click.argument("recipes", nargs=-1)
@click.option("--render", is_flag=True, help="Write the page only.")
@click.option("--busy", is_flag=True, help="Other processes are running: times are upper limits.")
@click.option("--out", default=Path("runs/gallery"), type=click.Path(path_type=Path), help="The runs' folder.")
def main(recipes: tuple[str, ...], render: bool, busy: bool, out: Path) -> None:
    """Train RECIPES, all by default, and write the gallery."""
    for recipe in recipes:
        if recipe not in SETTINGS:
            raise click.UsageError(f"the gallery has no {recipe!r}; {suggest(recipe, SETTINGS)}")
    out.mkdir(parents=True, exist_ok=True)
    for recipe in () if render else recipes or SETTINGS:
        run = out / recipe
        seconds = train(recipe, run)
        one = {"machine": machine(), **judge(run), "seconds": seconds, "busy": busy}
        if recipe in ACCURACIES:
            one["accuracy"] = read_last(run, ACCURACIES[recipe])
        if recipe in ALONE:
            train(recipe, alone := out / f"{recipe}-alone", **ALONE[recipe])
            one["alone"] = read_last(alone, ACCURACIES[recipe])
        numbers = read_numbers() | {recipe: one}  # read now: another process may have added a recipe
        newest = max((run / "samples").glob("epoch-*.png"))
        replace_file(PICTURES / f"{recipe}.png", newest.read_bytes())
        replace_file(NUMBERS, to_json({name: numbers[name] for name in SETTINGS if name in numbers}))
    numbers = read_numbers()
    replace_file(PAGE, page(numbers).encode())
    click.echo(f"{PAGE.relative_to(ROOT)}: {', '.join(numbers)}")


if __name__ == "__main__":
    main()
