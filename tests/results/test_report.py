"""``ms-gan evaluate``: the numbers are those of the metrics, on the images they say, beside their floor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli.test_resume_command import ms_gan
from models.games.zoo import GAMES
from PIL import Image

from ms_gan_callbacks import GanWarning, Recipe, Sample, coverage, fld, kid, l1, mnist, pairs, thumbnails
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.results.report import Scorer, evaluate

# Half of some digits to learn from, the other half to judge by.
DIGITS = """
from functools import partial
import numpy as np
from mindspore import nn
from ms_gan_callbacks import *

class Generator(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(8, 784), nn.Tanh())

    def construct(self, noise):
        return self.layers(noise).reshape(-1, 1, 28, 28)

def half(which):
    source = mnist(count=5000)
    return ArraySource(source.images[which::2], 100, name=f"half {which}")

def contrast(real, fake):
    return abs(float(real.images.std()) - float(fake.images.std()))

def recipe(seed: int = 0, split: int = 0):
    return Recipe(
        generator=Generator,
        discriminator=lambda: nn.SequentialCell(nn.Flatten(), nn.Dense(784, 1)),
        objective=NonSaturating(),
        optimizer=partial(nn.Adam, learning_rate=1e-3),
        data=partial(half, split),
        TEST
        metrics={"contrast": contrast},
        evaluate_samples=200,
        noise_dim=8,
        epochs=1,
        seed=seed,
        callbacks=[Checkpoint()],
    )
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of one epoch; nothing here writes to it."""
    folder = tmp_path_factory.mktemp("judgement")
    recipe = folder / "digits.py"
    recipe.write_text(DIGITS.replace("TEST", "test_data=partial(half, 1),"))
    result = ms_gan("run", str(recipe), "--out", str(folder / "run"), "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder / "run"


@pytest.mark.slow
def test_the_numbers_are_those_of_its_images_against_test_images(run_dir: Path) -> None:
    trained = Trained(run_dir)
    found = evaluate(trained, 300)
    assert (found.samples, found.step, found.real) == (300, 25, "half 1")
    test = mnist(count=5000).images[1::2]
    real_half = Scorer(trained.recipe, 300).real
    # The real images are some of the test half, none of the other.
    known = {image.tobytes() for image in test}
    assert all(image.tobytes() in known for image in real_half.images)
    fake = Sample(trained.generate(trained.noise(300, "evaluation")))
    values = found.values["generator"]
    assert values["fld"] == pytest.approx(fld(real_half, fake), rel=1e-9)
    assert values["coverage"] == coverage(real_half, fake)
    assert values["contrast"] == pytest.approx(abs(float(real_half.images.std()) - float(fake.images.std())))
    assert found.noise["kid"] == pytest.approx(kid(real_half, fake).standard_error)


def test_it_stands_between_real_images_and_what_is_known_to_be_worse(run_dir: Path) -> None:
    values = evaluate(Trained(run_dir), 300).values
    assert list(values) == [
        "generator",
        "real",
        "uniform noise",
        "mean image",
        "one digit",
        "five digits",
        "gaussian",
    ]
    assert 0 < values["real"]["fld"] < values["five digits"]["fld"] < values["one digit"]["fld"]
    assert values["five digits"]["fld"] < values["generator"]["fld"]
    assert (values["one digit"]["modes"], values["five digits"]["modes"]) == (1, 5)
    assert values["real"]["modes"] == 10
    # Twenty-five steps have copied nothing, and a copy is what a training image would be.
    assert values["generator"]["memorisation"] > values["real"]["memorisation"] == 1


def test_the_table_carries_what_numbers_cannot_be_compared_without(run_dir: Path) -> None:
    result = ms_gan("evaluate", str(run_dir), "-n", "200", "-o", "all.json")
    assert result.exit_code == 0, result.stderr
    words = " ".join(result.stdout.split())
    assert "200 images of step 25 against 200 of half 1; features lenet-c03a804a" in words
    stored = json.loads(Path("all.json").read_text())
    assert stored["samples"] == 200
    [line] = [line for line in result.stdout.splitlines() if line.startswith("fld ")]
    shown = [float(number) for number in line.split()[1:]]
    noise = stored["noise"]["fld"]
    expected = [stored["values"][row]["fld"] for row in stored["values"]]
    assert shown == pytest.approx([expected[0], noise, *expected[1:]], rel=0.01, abs=0.5)
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


@pytest.mark.slow
def test_without_test_images_it_says_that_it_judges_by_what_was_learnt(tmp_path: Path) -> None:
    Path("digits.py").write_text(DIGITS.replace("TEST", ""))
    assert ms_gan("run", "digits.py", "--out", "run", "--quiet").exit_code == 0
    scorer = Scorer(Trained(Path("run")).recipe, 5000)
    assert (scorer.name, scorer.count) == ("half 0 (trained on)", 1250)
    real = {image.tobytes() for image in scorer.real.images}
    assert not any(image.tobytes() in real for image in scorer.train.images)


@pytest.mark.slow
@pytest.mark.filterwarnings("default::ms_gan_callbacks.GanWarning")
def test_test_images_that_are_not_at_hand_are_warned_about() -> None:
    Path("digits.py").write_text(DIGITS.replace("TEST", 'test_data=partial(mnist, "gone", split="test"),'))
    assert ms_gan("run", "digits.py", "--out", "run", "--quiet").exit_code == 0
    result = ms_gan("evaluate", "run", "-n", "100")
    assert result.exit_code == 0
    assert "data folder 'gone' does not exist" in result.stderr
    assert "comparing with training images instead" in result.stderr


def test_data_that_has_changed_since_is_warned_about(run_dir: Path) -> None:
    trained = Trained(run_dir)
    trained.manifest = trained.manifest.replace(data={"name": "more", "count": 9999, "sha256": "another"})
    with pytest.warns(GanWarning, match="the run was trained on more, 9,999 images, not on half 0"):
        evaluate(trained, 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "99"], "99 is not in the range x>=100"),
        (["-o", "no/such.json"], "no/such.json cannot be written: there is no folder no"),
        (["--checkpoint", "7"], "there is no checkpoint"),
        (["--checkpoint", "best"], "does not contain a best checkpoint"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], message: str, run_dir: Path) -> None:
    result = ms_gan("evaluate", str(run_dir), *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert result.stdout == ""


# ``ms-gan plot``.


def lines_in(path: Path) -> np.ndarray:
    """Return which columns of a picture hold something that is not white."""
    with Image.open(path) as picture:
        return (np.asarray(picture.convert("L")) < 250).any(0)


def test_a_run_is_drawn_with_its_floors(run_dir: Path) -> None:
    result = ms_gan("plot", str(run_dir), "-o", "curves.png")
    assert (result.exit_code, result.stdout) == (0, "curves: curves.png\n"), result.stderr
    assert lines_in(Path("curves.png")).mean() > 0.5
    assert ms_gan("plot", str(run_dir), "-o", "curves.svg").exit_code == 0
    drawn = Path("curves.svg").read_text()
    floor = json.loads((run_dir / "run.json").read_text())["evaluation"]["floors"]["contrast"]
    for text in ("D&#x27;s loss", "D(G(z))", "equilibrium", "contrast", f"floor (real images), {floor:.3g}"):
        assert f"<!-- {text} -->" in drawn or text.replace("&#x27;", "'") in drawn


def test_a_critics_scores_are_drawn_without_the_bounds_of_probabilities(run_dir: Path) -> None:
    facts = json.loads((run_dir / "run.json").read_text())
    assert facts["critic"] is False
    (run_dir / "run.json").write_text(json.dumps({**facts, "critic": True}))
    assert ms_gan("plot", str(run_dir), "-o", "curves.svg").exit_code == 0
    drawn = Path("curves.svg").read_text()
    assert "mean critic scores" in drawn
    assert "equilibrium" not in drawn


def test_a_line_that_is_being_written_and_a_nan_are_no_obstacle(run_dir: Path) -> None:
    from ms_gan_callbacks.results.log import collect_points, read_log

    path = Path("metrics.jsonl")
    path.write_text('{"step": 1, "a": 2.0}\n{"step": 2, "a": null}\n{"step": 3, "b": 1}\n{"step": 4, "a"')
    lines = read_log(Path())
    steps, values = collect_points(lines, "a")
    assert steps == [1, 2]
    np.testing.assert_array_equal(values, [2.0, np.nan])


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (lambda run: None, ["nowhere"], "run directory not found: nowhere"),
        (lambda run: Path("empty").mkdir(), ["empty"], "empty is not a run directory"),
        (lambda run: (run / "metrics.jsonl").unlink(), [], "does not contain values to plot"),
        (lambda run: (run / "metrics.jsonl").write_text("[1]\n{}\n"), [], "metrics.jsonl is damaged"),
        (lambda run: (run / "metrics.jsonl").write_text("{nonsense\n"), [], "metrics.jsonl is damaged"),
        (lambda run: None, ["-o", "curves.gif"], "must end in .png, .svg or .pdf"),
        (lambda run: None, ["-o", "no/curves.png"], "there is no folder no"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    prepare: Callable[[Path], object], arguments: list[str], message: str, run_dir: Path
) -> None:
    copy = Path("copy")
    copy.mkdir()
    for name in ("run.json", "metrics.jsonl"):
        (copy / name).write_bytes((run_dir / name).read_bytes())
    prepare(copy)
    target = [] if arguments and not arguments[0].startswith("-") else [str(copy)]
    result = ms_gan("plot", *target, *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_inputs_that_a_game_leaves_unchanged_are_a_reference() -> None:
    targets, others = np.random.default_rng(0).integers(0, 256, (2, 200, 1, 8, 8), dtype=np.uint8)
    sources = np.minimum(targets, 100)
    game, networks, players = GAMES["pix2pix"]
    recipe = Recipe(
        game=game,
        networks=networks,
        players=players,
        data=lambda: pairs(source=others, target=targets, batch_size=4),
        test_data=lambda: pairs(source=sources, target=targets, batch_size=4),
        epochs=1,
        metrics={"l1": l1},
    )
    values = Scorer(recipe, 200).measure_references()
    assert list(values) == ["unchanged source"]
    wanted = np.abs(sources.astype(float) - targets).mean() / 127.5
    assert values["unchanged source"]["l1"] == pytest.approx(wanted, rel=1e-6)
    named = Scorer(replace(recipe, metrics={"l1": l1, "fld": fld}, features=thumbnails), 200).measure_references()
    assert named["unchanged source"]["fld"] > named["real"]["fld"]
    assert named["unchanged source"]["l1"] == values["unchanged source"]["l1"]
    assert "l1" not in named["real"]
