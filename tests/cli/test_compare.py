"""``ms-gan compare``: what differs between runs, and which differences of metrics count."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from results.test_report import DIGITS

from cli.test_report_page import HOSTILE, Page
from cli.test_resume_command import TINY, ms_gan, trained
from ms_gan_callbacks.results.comparison import RunFacts, Spread, decide, measure_spreads
from ms_gan_callbacks.results.log import read_log
from ms_gan_callbacks.storage.manifest import Manifest

show_warnings = pytest.mark.filterwarnings("default::ms_gan_callbacks.errors.GanWarning")

pytestmark = pytest.mark.slow  # trains runs


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two runs of digits that differ in their seed."""
    folder = tmp_path_factory.mktemp("compare")
    trained(DIGITS.replace("TEST", "test_data=partial(half, 1 - split),"), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = ms_gan("run", "tiny.py", "--seed", "1", "--out", "runs/two", "--quiet")
        assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = trained(TINY, tmp_path_factory.mktemp("tiny"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        change = ("--set", "learning_rate=0.02", "--set", "epochs=3")
        assert ms_gan("run", "tiny.py", *change, "--out", "runs/two", "--quiet").exit_code == 0
    return folder


@pytest.fixture
def runs(once: Path) -> tuple[str, str]:
    """Return copies of two runs, of two and of three epochs."""
    shutil.copytree(once, ".", dirs_exist_ok=True)
    return "runs/one", "runs/two"


def rows(text: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for line in text.splitlines() if (words := line.split())}


def test_settings_that_differ_are_listed_and_no_others(runs: tuple[str, str]) -> None:
    result = ms_gan("compare", *runs, "--no-evaluation")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert lines == [
        ["Settings", "that", "differ"],
        ["setting", "one", "two"],
        ["epochs", "2", "3"],
        ["learning_rate", "0.01", "0.02"],
        ["epochs", "trained", "2", "3"],
        ["steps", "trained", "10", "15"],
    ]
    shutil.copytree("runs/one", "copies/one")
    same = ms_gan("compare", "runs/one", "copies/one", "--no-evaluation")
    assert same.stdout == "The settings do not differ.\n\n"


@show_warnings
def test_the_page_shows_the_images_of_both_from_the_noise_of_the_first(runs: tuple[str, str]) -> None:
    result = ms_gan("compare", *runs, "--no-evaluation", "-o", "compare.html")
    assert result.stdout.endswith("comparison: compare.html\n"), result.stderr
    page = Page("compare.html")
    for image, run in zip(page.list_images(), runs, strict=True):
        assert ms_gan("sample", run, "-n", "25", "--seed", "0", "-o", "a.png", "--overwrite").exit_code == 0
        np.testing.assert_array_equal(np.asarray(image.convert("L")), np.asarray(Image.open("a.png")))
    assert page.texts["h3"] == ["D's loss", "G's loss", "D(x)", "D(G(z))"]
    data = [json.loads(text) for text in page.texts["script"] if text.startswith("{")]
    assert [(one["label"], one["x"]) for one in data[0]["series"]] == [("one", [1, 2]), ("two", [1, 2, 3])]


@pytest.mark.slow
def test_metrics_are_compared_with_their_noise(digits: Path) -> None:
    shutil.copytree(digits, ".", dirs_exist_ok=True)
    result = ms_gan("compare", "runs/one", "runs/two", "-n", "200", "-o", "compare.html")
    assert result.exit_code == 0, result.stderr
    assert "Metrics of 200 images of half 1, features lenet-" in result.stdout
    assert "degrees of freedom of the spread: 1" in " ".join(result.stdout.split())
    found = rows(result.stdout)
    assert found["seed"] == ["0", "1"]
    assert {"fld", "kid", "precision", "recall", "diversity", "modes", "contrast"} <= found.keys()
    assert found["fld"][0] == "\N{DOWNWARDS ARROW}"
    value, error = float(found["fld"][1]), float(found["fld"][3])
    assert 0 < error < value
    # One pair of seeds: its own difference is the noise.
    assert found["fld"][-2:] == ["within", "noise"]


def facts(value: float, noise: float = 0.0, real: str = "digits", **settings: object) -> RunFacts:
    manifest = Manifest.new(arguments=settings, seed=settings.get("seed", 0))
    modes = {"low": "min", "high": "max", "other": None}
    values, noises = dict.fromkeys(modes, value), dict.fromkeys(modes, noise)
    return RunFacts(Path(), "name", manifest, [], None, real, values, noises, modes)


@pytest.mark.parametrize(
    ("left", "right", "verdicts"),
    [
        (facts(1.0, 0.3), facts(2.1, 0.4), ["worse", "better", "differs"]),  # 2 * 0.5 is the noise
        (facts(1.0, 0.3), facts(1.9, 0.4), ["within noise"] * 3),
        (facts(2.0), facts(1.0), ["better", "worse", "differs"]),
        (facts(2.0), facts(2.0), ["within noise"] * 3),
        (facts(2.0), facts(math.nan), [""] * 3),
        (facts(2.0), facts(1.0, real="other digits"), [""] * 3),
    ],
)
def test_a_difference_counts_from_twice_its_standard_error(
    left: RunFacts, right: RunFacts, verdicts: list[str]
) -> None:
    assert [decide(metric, right, left, None) for metric in ("low", "high", "other")] == verdicts
    assert decide("unknown", right, left, None) == ""
    assert decide("low", left, left, None) == ""


def test_the_spread_of_seeds_replaces_the_noise_of_images() -> None:
    one, other = facts(1.0), facts(2.0)
    # Student's t for 10 degrees of freedom at 95 % is 2.228 in any table, and for 1 degree 12.706.
    assert decide("low", other, one, Spread(0.99 / (2.228 * math.sqrt(2)), 10)) == "worse"
    assert decide("low", other, one, Spread(1.01 / (2.228 * math.sqrt(2)), 10)) == "within noise"
    assert decide("low", other, one, Spread(0.99 / (12.706 * math.sqrt(2)), 1)) == "worse"
    assert decide("low", other, one, Spread(1.01 / (12.706 * math.sqrt(2)), 1)) == "within noise"


def test_the_spread_is_pooled_over_runs_that_differ_in_their_seed_only() -> None:
    group = [facts(value, seed=seed, rate=1) for seed, value in enumerate((1.0, 2.0, 3.0))]
    pair = [facts(value, seed=seed, rate=2) for seed, value in enumerate((10.0, 14.0))]
    alone = [facts(50.0, seed=0, rate=3)]
    spread = measure_spreads([*group, *pair, *alone])["low"]
    assert spread.freedom == 3
    assert spread.deviation == pytest.approx(math.sqrt((1 + 1 + 4 + 4) / 3))
    assert measure_spreads([group[0], pair[0], alone[0]]) == {}


@show_warnings
def test_a_run_without_a_checkpoint_is_compared_without_images_and_metrics(runs: tuple[str, str]) -> None:
    shutil.rmtree("runs/two/checkpoints")
    result = ms_gan("compare", *runs, "-o", "compare.html")
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    assert all(line.startswith("Warning: ") for line in lines)
    assert "does not contain a checkpoint; two is compared without images and metrics" in lines[-1]
    assert len(Page("compare.html").list_images()) == 1


@show_warnings
def test_page_and_picture_show_names_and_settings_as_they_are(runs: tuple[str, str]) -> None:
    name = "runs/[red]x <b>$x$"
    Path("runs/two").rename(name)
    content = json.loads(Path(name, "run.json").read_text())
    content["objective"] = HOSTILE
    Path(name, "run.json").write_text(json.dumps(content))
    for out in ("compare.html", "compare.png"):
        result = ms_gan("compare", "runs/one", name, "--no-evaluation", "-o", out)
        assert result.exit_code == 0, result.stderr
        assert "[red]x <b>$x$" in " ".join(result.stdout.split())
    with Image.open("compare.png") as picture:
        assert picture.width == 1210
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    page = Page("compare.html")
    assert "[red]x <b>$x$" in page.texts["th"]
    assert not [attributes for _, attributes in page.found if "onclick" in attributes]


MISTAKES = {
    "one run": (["runs/one"], "pass from 2 to 8 run directories to compare, not 1"),
    "none": ([], "pass from 2 to 8 run directories to compare, not 0"),
    "twice": (["runs/one", "runs/two", "runs/../runs/one"], "runs/../runs/one is given twice"),
    "no such folder": (["runs/one", "runs/six"], "run directory not found: runs/six"),
    "no run": (["runs/one", "runs"], "runs is not a run directory: it has no run.json"),
    "another ending": (["runs/one", "runs/two", "-o", "a.pdf"], "a.pdf must end in .html or .png"),
    "a damaged log": (["runs/one", "runs/damaged"], "metrics.jsonl is damaged"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_no_file(kind: str, runs: tuple[str, str]) -> None:
    arguments, message = MISTAKES[kind]
    shutil.copytree("runs/one", "runs/damaged")
    Path("runs/damaged/metrics.jsonl").write_text("nonsense\n")
    before = sorted(Path().rglob("*"))
    result = ms_gan("compare", *arguments)
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert message in line
    assert sorted(Path().rglob("*")) == before


def test_a_run_that_has_just_begun_has_no_curves(runs: tuple[str, str]) -> None:
    Path("runs/two/metrics.jsonl").write_text('{"step": 1, "epoch": 1, "d_loss": 1.0}\n{"step": 2, "ep')
    assert len(read_log(Path("runs/two"))) == 1
    assert ms_gan("compare", *runs, "--no-evaluation", "-o", "compare.html").exit_code == 0
