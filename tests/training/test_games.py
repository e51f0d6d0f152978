"""Runs of games: resumed to the bit, killed, averaged, evaluated, and what their callbacks see."""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from subprocess import run as run_process

import numpy as np
import pytest
from conftest import ROOT, StopsAt
from mindspore import Tensor, nn, ops
from mindspore.train import LearningRateScheduler, LossMonitor
from models.games.zoo import COLUMNS, GAMES, SHAPE, CycleGAN, Patches, Translator, adam
from PIL import Image

from ms_gan_callbacks import (
    Callback,
    CallbackError,
    Checkpoint,
    Evaluation,
    Every,
    GanWarning,
    ImageGrid,
    MindSporeCallback,
    Player,
    Run,
    Runner,
    Source,
    TensorBoard,
    l1,
    pairs,
    unpaired,
)


def draw(seed: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def source(name: str) -> Source:
    columns = COLUMNS[name]
    if len(columns) == 1:
        return pairs(real=draw(1), other=draw(2), batch_size=4)
    make = unpaired if name == "cyclegan" else pairs
    return make(**{one: draw(number) for number, one in enumerate(columns)}, batch_size=4)


def runner(name: str, out_dir: str = "run", **changes: object) -> Runner:
    game, networks, players = GAMES[name]
    return Runner(game=game, networks=networks, players=players, out_dir=out_dir, seed=3, **changes)


def weights(trained: Runner) -> dict[str, np.ndarray]:
    return trained._players.weights()


def read_log(folder: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["began", "pix2pix"])  # tests/test_recipes.py has the recipes of all games
def test_a_run_that_is_resumed_in_mid_epoch_ends_in_the_same_bytes(name: str) -> None:
    whole = runner(name, "whole")
    whole.train(2, source(name), [Checkpoint()], quiet=True)
    first = runner(name)
    first.train(2, source(name), [Checkpoint(), StopsAt(7)], quiet=True)
    second = runner(name, resume=True)
    second.train(2, source(name), [Checkpoint()], quiet=True)
    expected = weights(whole)
    for parameter, value in weights(second).items():
        np.testing.assert_array_equal(value, expected[parameter], err_msg=parameter)
    assert read_log("run") == read_log("whole")


@pytest.mark.slow
def test_names_of_parameters_scalars_and_learning_rates_are_those_of_the_game() -> None:
    rates: list[dict[str, float]] = []

    class Keeps(Callback):
        def on_train_step_end(self, run: Run) -> None:
            rates.append(run.learning_rates())

    trained = runner("cyclegan")
    trained.train(1, source("cyclegan"), [Keeps()], quiet=True)
    owners = {name.partition(".")[0] for name in weights(trained)}
    networks = {"g_ab", "g_ba", "d_a", "d_b"}
    optimizers = {"d_a_optimizer", "d_b_optimizer", "generators_optimizer"}
    assert owners == networks | optimizers | {"game"}
    state = {name for name in weights(trained) if name.startswith("game.")}
    assert state == {f"game.pool_{one}.{part}" for one in "ab" for part in ("images", "count")}
    assert list(rates[0]) == ["d_a", "d_b", "generators"]
    [last] = [line for line in read_log("run") if "epoch_means" in line]
    assert list(last["epoch_means"]) == ["d_a_loss", "d_b_loss", "generators_loss", "cycle"]


@pytest.mark.slow
def test_a_pool_fills_exchanges_and_is_not_changed_by_evaluation() -> None:
    trained = runner("cyclegan")
    trained.train(1, source("cyclegan"), [StopsAt(1)], quiet=True)
    pool = weights(trained)
    assert pool["game.pool_a.count"].tolist() == [4]
    assert all(pool["game.pool_a.images"][:4].any((1, 2, 3))) and not pool["game.pool_a.images"][4:].any()
    trained.train(1, source("cyclegan"), quiet=True)
    before = weights(trained)
    assert before["game.pool_a.count"].tolist() == [6]
    told = trained.eval({"a": draw(4), "b": draw(5)})
    assert list(told) == ["d_a_loss", "d_b_loss", "generators_loss", "cycle"]
    assert all(np.isfinite(list(told.values())))
    for name, value in weights(trained).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert trained.eval({"a": draw(4), "b": draw(5)}) == told
    more = trained.sample(20, columns={"a": draw(4), "b": draw(5)})  # more images than the pool has places
    assert more.shape == (20, *SHAPE)


@pytest.mark.slow
def test_a_player_that_is_idle_keeps_its_networks_and_publishes_its_loss() -> None:
    losses: list[float] = []
    seen: list[np.ndarray] = []

    class Keeps(Callback):
        def on_train_step_end(self, run: Run) -> None:
            losses.append(run.scalars["generators_loss"])
            seen.append(run.networks["g_ab"].trainable_params()[0].asnumpy().copy())

    trained = Runner(
        game=CycleGAN,
        networks={"g_ab": Translator, "g_ba": Translator, "d_a": Patches, "d_b": Patches},
        players={
            "d_a": Player("d_a", adam),
            "d_b": Player("d_b", adam),
            "generators": Player(("g_ab", "g_ba"), adam, every=3),
        },
        out_dir="run",
    )
    trained.train(1, source("cyclegan"), [Keeps()], quiet=True)
    assert len(losses) == 5 and all(np.isfinite(losses)) and len(set(losses)) == 5
    moved = [not np.array_equal(one, two) for one, two in pairwise(seen)]
    assert moved == [False, True, False, False]


@pytest.mark.slow
def test_averages_replace_the_networks_in_images_only() -> None:
    trained = runner("pix2pix")
    trained.train(1, source("pix2pix"), quiet=True)
    given = {"source": draw(7, 3)}
    images = trained.sample(3, columns=given)
    averaged = {
        name.removeprefix("ema."): one for name, one in weights(trained).items() if name.startswith("ema.")
    }
    assert set(averaged) == {one.name for one in trained.networks["generator"].get_parameters()} | {
        "generator.updates"
    }
    values = {**weights(trained), **{name: one for name, one in averaged.items() if name != "generator.updates"}}
    game, networks, players = GAMES["pix2pix"]
    plain = Runner(
        game=game, networks=networks, players={name: Player(one.trains, adam) for name, one in players.items()}
    )
    plain._players.load_weights(values)
    np.testing.assert_allclose(plain.sample(3, columns=given), images, atol=1e-6)
    plain._players.load_weights(weights(trained))
    assert not np.allclose(plain.sample(3, columns=given), images, atol=1e-6)


@pytest.mark.slow
def test_a_grid_has_a_row_of_each_group_and_metrics_compare_pairs() -> None:
    trained = runner("pix2pix")
    evaluation = Evaluation({"l1": l1}, samples=20)
    data = source("pix2pix")
    result = trained.train(1, data, [ImageGrid(rows=2, columns=3, scale=1)], evaluation=evaluation, quiet=True)
    grid = np.asarray(Image.open("run/samples/epoch-0001.png"))
    assert grid.shape == (2 + 6 * 10, 2 + 3 * 10)
    first = next(data.batches(0, 1))
    shown = grid[2:10, 2:10].astype(float)
    np.testing.assert_allclose(shown, (first["source"][0, 0] + 1) * 127.5, atol=1)
    target = grid[22:30, 2:10].astype(float)
    np.testing.assert_allclose(target, (first["target"][0, 0] + 1) * 127.5, atol=1)
    rows = list(data.batches(0, 1))
    sources, targets = (np.concatenate([one[name] for one in rows]) for name in ("source", "target"))
    expected = np.abs(trained.sample(20, "evaluation", columns={"source": sources}) - targets).mean()
    assert result.metrics["l1"] == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_tensorboard_shows_all_losses_in_one_chart() -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    trained = runner("infogan")
    trained.train(1, source("infogan"), [TensorBoard(Every.steps(1))], quiet=True)
    events = EventAccumulator("run/tensorboard").Reload()
    names = ["discriminator_loss", "generator_loss", "info_loss"]
    assert {f"gan/{name}" for name in (*names, "code")} <= set(events.Tags()["scalars"])
    [event] = events.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    assert [list(chart.multiline.tag) for one in layout.category for chart in one.chart] == [
        [f"gan/{name}" for name in names]
    ]


RECIPE = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from models.games.zoo import GAMES, SHAPE
from ms_gan_callbacks import Checkpoint, Every, ImageGrid, Recipe, {make}

def data():
    draw = np.random.default_rng(0)
    one, two = (draw.integers(0, 256, (20, *SHAPE), dtype=np.uint8) for _ in range(2))
    return {make}({first}=one, {second}=two, batch_size=4)

def recipe(epochs: int = 2, seed: int = 0) -> Recipe:
    game, networks, players = GAMES[{name!r}]
    return Recipe(game=game, networks=networks, players=players, data=data, epochs=epochs, seed=seed,
                  callbacks=[Checkpoint(Every.steps(1), keep=3), ImageGrid(rows=2)])
"""


def write_recipe(name: str) -> None:
    make, first, second = {
        "cyclegan": ("unpaired", "a", "b"),
        "pix2pix": ("pairs", "source", "target"),
        "began": ("pairs", "real", "other"),
    }[name]
    text = RECIPE.format(tests=str(ROOT / "tests"), name=name, make=make, first=first, second=second)
    Path("mine.py").write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cyclegan", "began"])
def test_pools_and_k_survive_a_kill(name: str) -> None:
    write_recipe(name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ms_gan_callbacks", "verify-resume", "mine.py", "--at", "4"]
    done = run_process(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_commands_know_games() -> None:
    write_recipe("pix2pix")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def ms_gan(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "ms_gan_callbacks", *words]
        done = run_process(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, text = ms_gan("show", "mine.py")
    assert code == 0, text
    for part in ("Game Pix2Pix", "discriminator_loss", "source, target", "trainable parameters"):
        assert part in text
    code, text = ms_gan("run", "mine.py", "--out", "run")
    assert code == 0, text
    assert "discriminator_loss" in text and "distance" in text
    Path("in/below").mkdir(parents=True)
    for name in ("one.png", "below/two.jpg"):
        Image.fromarray(draw(1, 1)[0, 0]).resize((20, 30)).save(Path("in", name))
    code, text = ms_gan("sample", "run", "--input", "in", "-o", "out")
    assert (code, "2 images of step 10: out" in text) == (0, True), text
    made = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.png"))
    assert made == ["below/two.png", "one.png"]
    assert Image.open("out/one.png").size == (8, 8)
    code, text = ms_gan("sample", "run", "--input", "in", "-o", "out")
    assert code == 2 and "exists; pass --overwrite" in text and len(text.strip().splitlines()) == 1
    code, text = ms_gan("sample", "run")
    assert code == 2 and "this game makes images from source: pass --input FOLDER" in text
    code, text = ms_gan("animate", "run", "--interpolate", "-o", "walk.gif")
    assert code == 2 and "--interpolate needs a generator of noise" in text and len(text.splitlines()) == 1
    shutil.copytree("run", "again")
    code, text = ms_gan("compare", "run", "again", "--no-evaluation", "-o", "compare.html")
    assert (code, text.count("does not generate images from noise; its images are left out")) == (0, 2), text
    assert ms_gan("report", "run", "--no-evaluation", "-o", "report.html")[0] == 0
    code, text = ms_gan("sample", "run", "--input", "im", "-o", "new")
    assert code == 1 and "im" in text and not Path("new").exists()


@pytest.mark.slow
def test_callbacks_of_mindspore_serve_a_player_of_the_game() -> None:
    rates: list[dict[str, float]] = []

    class Keeps(Callback):
        order = 1000

        def on_train_epoch_end(self, run: Run) -> None:
            rates.append(run.learning_rates())

    halve = MindSporeCallback(LearningRateScheduler(lambda rate, step: rate / 2), player="d_b")
    runner("cyclegan").train(1, source("cyclegan"), [halve, Keeps()], quiet=True)
    same = pytest.approx(0.01)
    assert rates == [{"d_a": same, "d_b": pytest.approx(0.01 / 2**5), "generators": same}]
    wrong = MindSporeCallback(LossMonitor(), player="d_c")
    with pytest.raises(CallbackError, match="LossMonitor: unknown player 'd_c'; did you mean 'd_b'"):
        runner("cyclegan", "other").train(1, source("cyclegan"), [wrong], quiet=True)
    assert not Path("other").exists()


class Cut(Patches):
    """A discriminator whose scores have no gradient."""

    def construct(self, images: Tensor) -> Tensor:
        return ops.stop_gradient(self.layers(images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "rate"),
    [
        (1, 1e-3),
        (2, 1e-3),
        (1, [0.0, 1e-3, 1e-3, 1e-3, 1e-3]),
    ],
)
def test_a_network_that_no_gradient_reaches_is_warned_of_once(every: int, rate: float | list[float]) -> None:
    game, networks, players = GAMES["pix2pix"]
    critic = Player("discriminator", partial(nn.Adam, learning_rate=rate), every=every)
    still = Runner(
        game=game,
        networks={**networks, "discriminator": partial(Cut, 2)},
        players={**players, "discriminator": critic},
        seed=3,
    )
    with pytest.warns(GanWarning, match="'discriminator' did not change the network 'discriminator'") as told:
        still.train(1, source("pix2pix"), quiet=True)
    assert len([one for one in told if "did not change" in str(one.message)]) == 1
