"""The benchmarks compare like with like, count right, and say so when a mark is missed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from conftest import ROOT, tiny_runner
from matplotlib.figure import Figure

sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import arena, cli, plot, results, switched
from benchmarks.arena import Bout, ContestantError, Worker, contest
from benchmarks.contestants import CONTESTANTS, Entrant
from benchmarks.data import digits, feed, network_data, unpack
from benchmarks.marks import MARKS, judge
from benchmarks.numbers import Spread, ratio, spread_of_starts
from benchmarks.pacing import Gate
from benchmarks.report import tables
from benchmarks.speed import PAIRS, SETTINGS
from benchmarks.switched import Switched, SwitchedTerminal
from ms_gan_callbacks import Callback, Checkpoint, Every, Run


def block(steps: int, seconds: float, rss: int = 100) -> dict[str, float]:
    memory = {"rss": rss, "peak_rss": rss * 10**6, "import_rss": 40 * 10**6}
    return {"steps": steps, "seconds": seconds, "cpu_seconds": 2 * seconds, **memory}


def match(*bouts: dict[str, list[dict[str, float]]]) -> dict:
    names = list(dict.fromkeys(name for bout in bouts for name in bout))
    return {"left_out": {}, "first": {name: block(1, 3.0) for name in names}, "bouts": list(bouts)}


def all_results() -> dict:
    """Return results in which mark 1 fails, the first of mark 2 holds, and the second was not measured."""
    fast, slow = [block(10, 0.1)] * 3, [block(1, 0.14)] * 3
    speed = {"mlp-32": match({"tutorial": slow, "runner": fast, "runner-plain": fast, "torch-best": slow})}
    epochs = [block(200, 2.0, rss=100 if number < 9 else 106) for number in range(12)]
    scaling = {
        "epochs": match({"runner": epochs}, {"fresh": fast}, {"runner": fast, "fresh": fast}),
        "images": match({"5000": fast, "60000": fast}),
        "batch": match({"32": fast, "64": slow}),
    }
    return {"speed": {"facts": {}, **speed}, "scaling": {"facts": {}, **scaling}}


# Numbers


def test_callbacks_are_judged_by_the_median_of_the_rounds_ratios() -> None:
    # 1.01, 1.5 and 1.02: the slow second round is one of three.
    measured = {"with": [4.04, 6.0, 5.1], "without": [4.0, 4.0, 5.0]}
    [verdict] = [one for one in judge({"callbacks": {"all": measured}}) if one["number"] == 3]
    assert verdict["measured"] == pytest.approx({"median": 1.02, "low": 1.01, "high": 1.5})
    assert verdict["holds"] is False
    measured["with"][2] = 5.05
    [verdict] = [one for one in judge({"callbacks": {"all": measured}}) if one["number"] == 3]
    assert verdict["holds"] is True


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # Per step 0.1, 0.4, 0.3 against 0.1, 0.2, 0.1: 1, 2 and 3; the ratio of the medians would be 3.
    both = {"a": [block(10, 1), block(5, 2), block(10, 3)], "b": [block(1, 0.1), block(1, 0.2), block(1, 0.1)]}
    assert ratio(match(both), "a", "b") == pytest.approx((2, 1, 3))
    assert ratio(match(both), "a", "c") is None


def test_a_pair_that_met_again_is_judged_by_that() -> None:
    first = {"a": [block(1, 1)], "b": [block(1, 1)], "c": [block(1, 5)]}
    again = {"a": [block(1, 3)], "b": [block(1, 2)]}
    assert ratio(match(first, again), "a", "b") == pytest.approx((1.5, 1.5, 1.5))
    assert ratio(match(first, again), "c", "a") == pytest.approx((5, 5, 5))


def test_the_time_to_the_first_step_is_the_median_of_repeated_starts() -> None:
    once = match({"a": [block(1, 1)]})
    assert spread_of_starts(once, "a") == (3.0, 3.0, 3.0)
    starts = {"a": [block(1, 5.0), block(1, 2.0), block(1, 4.0)]}
    assert spread_of_starts({**once, "starts": starts}, "a") == (4.0, 2.0, 5.0)
    results = {
        "speed": {"mlp-32": {**match({"runner-plain": [block(1, 1)]}), "starts": {"runner-plain": starts["a"]}}}
    }
    [verdict] = [one for one in judge(results) if one["what"] == "MLP, seconds to the first step"]
    assert (verdict["holds"], verdict["measured"]["median"]) == (False, 4.0)


def test_marks_hold_fail_or_were_not_measured() -> None:
    verdicts = {(v["number"], v["what"]): v for v in judge(all_results())}
    found = {key: (v["holds"], v["measured"] and v["measured"]["median"]) for key, v in verdicts.items()}
    assert found[1, "tutorial / runner, batch 32"] == (False, pytest.approx(14))  # at least 30
    assert found[2, "MLP, batch 32: runner-plain / torch-best"] == (True, pytest.approx(1 / 14))
    assert found[2, "MLP, batch 128: runner-plain / torch-best"] == (None, None)
    assert found[4, "MLP, peak MB above the import"] == (True, pytest.approx(60))
    assert found[4, "MLP, seconds to the first step"] == (True, pytest.approx(3))
    assert found[5, "time of late epochs / early ones"] == (True, pytest.approx(1))
    assert found[5, "memory after epoch 10 / epoch 2"] == (False, pytest.approx(1.06))
    assert {mark.number for mark in MARKS} == {1, 2, 3, 4, 5}


def test_a_run_that_gets_slower_with_age_fails() -> None:
    measured = all_results()
    measured["scaling"]["epochs"]["bouts"][2] = {
        "runner": [block(10, 1.0), block(10, 1.2), block(10, 1.3)],
        "fresh": [block(10, 1.0), block(10, 1.0), block(10, 1.0)],
    }
    [late] = [verdict for verdict in judge(measured) if verdict["what"].startswith("time of late")]
    assert late["measured"]["median"] == pytest.approx(1.2)
    assert late["holds"] is False


def test_results_go_round_to_the_report(tmp_path: Path) -> None:
    for section, measured in all_results().items():
        results.save(tmp_path, section, measured)
    assert results.load(tmp_path / "results.json") == {"format": results.FORMAT, **all_results()}
    done = CliRunner().invoke(cli.main, ["report", str(tmp_path / "results.json")], catch_exceptions=False)
    lines = done.output.splitlines()
    assert "| 1. tutorial / runner, batch 32 | >= 30 | 14.000 (14.000-14.000) | not met |" in lines
    [runner] = [line for line in lines if line.startswith("| runner-plain | 10.00")]
    assert runner.split(" | ")[1:4] == ["10.00 (10.00-10.00)", "100", "20.00"]  # ms, steps/s, CPU ms
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


# What is wrong is said in one line


def test_an_unknown_name_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.main, ["speed", "--only", "torch-bets", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "did you mean 'torch-best'" in done.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--out", "a", "speed"], {"out": Path("a")}),
        (["speed", "--out", "a"], {"out": Path("a")}),
        (["--out", "a", "speed", "--out", "b"], {"out": Path("b")}),
        (["--quick", "--rounds", "2", "--only", "step", "speed", "--rounds", "5"], {"quick": True, "rounds": 5}),
        (["--only", "step", "speed", "--only", "floor"], {"only": "floor"}),
        (["--pair-rounds", "0", "callbacks", "--out", "a"], {"pair_rounds": 0, "out": Path("a")}),
        (["--rounds", "3", "scaling"], {"rounds": 3, "only": "", "pair_rounds": None}),
        (["--only", "step", "--out", "a"], {"only": "step", "out": Path("a")}),
        (["speed"], {"out": ROOT / "benchmarks" / "results", "quick": False, "rounds": None}),
    ],
)
def test_options_hold_on_either_side_of_the_command_and_the_nearer_one_wins(
    arguments: list[str], expected: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[cli.Settings] = []
    monkeypatch.setattr(cli, "measure", lambda names, settings: measured.append(settings))
    done = CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 0, done.output
    assert {name: getattr(measured[0], name) for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "step", "scaling"], "scaling takes no --only"),
        (["--only", "step", "callbacks"], "callbacks takes no --only"),
        (["--pair-rounds", "2", "scaling"], "scaling takes no --pair-rounds"),
        (["--out", "a", "report", "a.json"], "report takes no --out"),
        (["--quick", "epoch"], "epoch takes no --quick"),
        (["scaling", "--only", "step"], "No such option"),
    ],
)
def test_an_option_that_a_command_does_not_look_at_is_refused(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_where_results_cannot_go_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "results.json").write_text("[]")
    for folder, message in (("file", "is a file"), ("", "does not hold results")):
        done = CliRunner().invoke(cli.main, ["speed", "--out", str(tmp_path / folder)])
        assert (done.exit_code, done.output.count("\n")) == (2, 1)
        assert message in done.output


def test_a_foreign_file_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[]")
    done = CliRunner().invoke(cli.main, ["report", str(tmp_path / "other.json")])
    assert done.exit_code == 2
    assert "other.json" in done.output


# Pacing and workers


def test_the_gate_lets_as_many_batches_through_as_it_was_asked_for() -> None:
    answers = io.StringIO()
    gate = Gate(io.StringIO("2\n3\n1\n"), answers, time.time())
    settled = []
    gate.settle = lambda: settled.append(True)
    passed = [batch for epoch in ("abc", "defg") for batch in gate.pace(epoch)]  # a block goes on across epochs
    assert "".join(passed) == "abcdefg"
    assert [json.loads(line)["steps"] for line in answers.getvalue().splitlines()] == [1, 2, 3]
    assert len(settled) == 3


FAKE = """
import json, sys, itertools
from benchmarks.pacing import Gate
steps = 0
for number in Gate(sys.stdin, sys.stdout, json.loads(sys.argv[1])["began"]).pace(itertools.count()):
    print("step", number, file=sys.stderr, flush=True)
"""


def test_a_worker_takes_the_steps_it_is_asked_for_and_sleeps_in_between(tmp_path: Path) -> None:
    with Worker(Entrant("step"), tmp_path / "fake", (sys.executable, "-c", FAKE)) as worker:
        assert worker.first["steps"] == 1
        answer = worker.block(4)
        assert answer["steps"] == 4
        assert answer["seconds"] > 0
        assert answer["rss"] > 1e6
        assert (tmp_path / "fake" / "log").read_text().splitlines() == [f"step {n}" for n in range(5)]
        process = psutil.Process(worker._process.pid)
        if sys.platform == "linux":
            deadline = time.monotonic() + 10  # a signal takes effect when its process is scheduled
            while process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
                time.sleep(0.01)
            assert process.status() == psutil.STATUS_STOPPED
    assert not process.is_running()


def test_the_bar_of_the_reference_is_not_cut() -> None:
    fast, slow = [block(10, 1)] * 3, [block(1, 1)] * 3
    axes = Figure().add_subplot()
    plot._bars(
        axes,
        match({"runner": fast, "runner-plain": fast, "step": fast, "torch": slow, "tutorial": [block(1, 9)] * 3}),
    )
    assert 1 < axes.get_xlim()[1] < 9
    assert [text.get_text().strip() for text in axes.texts] == ["9"]


def test_starts_alternate_and_leave_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: list[Worker] = []

    def start(entrant: Entrant, folder: Path) -> Worker:
        workers.append(Worker(entrant, folder, (sys.executable, "-c", FAKE)))
        return workers[-1]

    monkeypatch.setattr(arena, "Worker", start)
    starts = arena.measure_starts({"step": Entrant("step"), "runner": Entrant("runner")}, 2)
    assert [worker.entrant.name for worker in workers] == ["step", "runner", "runner", "step"]
    assert [[block["steps"] for block in blocks] for blocks in starts.values()] == [[1, 1], [1, 1]]
    assert all(worker._process.poll() is not None for worker in workers)


class Notes(Callback):
    """Notes the steps and the ends of epochs that it is told of, and draws at every step."""

    def __init__(self, terminal: SwitchedTerminal) -> None:
        self.terminal = terminal
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.epochs: list[int] = []
        self.saved: list[int] = []

    def on_train_step_begin(self, run: Run) -> None:
        self.begun.append(run.step)

    def on_train_step_end(self, run: Run) -> None:
        self.ended.append(run.step)

    def on_train_epoch_end(self, run: Run) -> None:
        self.epochs.append(run.epoch)

    def on_checkpoint(self, run: Run) -> None:
        self.saved.append(run.step)


class Draws(Callback):
    """Draws in every step, also in those that the switched callbacks are not told of."""

    def __init__(self, terminal: SwitchedTerminal) -> None:
        self.terminal = terminal

    def on_train_step_end(self, run: Run) -> None:
        self.terminal.print(f"step {run.step}", highlight=False)


def test_two_epochs_have_every_step_once_with_callbacks_and_once_without() -> None:
    steps, terminal = 80, SwitchedTerminal()
    notes = Notes(terminal)
    one = Switched([notes, Checkpoint(Every.epochs(1), keep=None)], terminal, steps)
    images = np.zeros((4 * steps, 1, 4, 4), np.uint8)
    tiny_runner().train(5, images, [one, Draws(terminal)], batch_size=4, quiet=True)
    assert notes.begun == notes.ended
    for first in (0, 2):  # two rounds
        of_round = [step - 1 for step in notes.ended if first * steps < step <= (first + 2) * steps]
        assert sorted(step % steps for step in of_round) == list(range(steps))
        assert len({step // steps for step in of_round}) == 2
    assert notes.epochs == [1, 3, 5]
    assert notes.saved == [80, 240, 400]
    assert terminal.file.getvalue().splitlines() == [f"step {step}" for step in notes.ended]


def test_a_rounds_times_are_those_of_its_own_pieces() -> None:
    one = Switched([], SwitchedTerminal(), 10)
    one.pieces = [(0, True, 9.0), (1, False, 9.0), (2, True, 1.0), (2, False, 2.0), (3, True, 3.0), (4, True, 9.0)]
    assert one.sum_round(1, True) == pytest.approx(400)
    assert one.sum_round(1, False) == pytest.approx(200)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:EarlyStopping")  # which is never to end this run
def test_what_callbacks_cost_is_measured_and_shown() -> None:
    measured = switched.measure("all", 1, 32 * 40)
    assert min(found for [found] in measured.values()) > 0
    acts = {"dispatch_us": {}, "checkpoint_bytes": 1, "bus_share_images": 1, "bus_share_percent": {}}
    acts |= {name: [1.0] for name in ("checkpoint_ms", "grid_ms", "tensorboard_flush_ms", "evaluation_ms")}
    shown = {table.title: table for table in tables({"callbacks": {"acts": acts, "all": measured, "each": {}}})}
    [row] = shown["callbacks: switched on and off in one run, whole epochs, median (range)"].rows
    [on], [off] = measured["with"], measured["without"]
    assert row == ["all", Spread.of([off]).text(), Spread.of([on]).text(), Spread.of([on / off]).text(3)]


def test_why_a_worker_ended_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContestantError, match="step: no such thing"):
        Worker(Entrant("step"), tmp_path / "fake", (sys.executable, "-c", "raise SystemExit('no such thing')"))


def test_everybody_has_a_turn_in_every_round_and_every_other_round_goes_backwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    turns: list[str] = []
    pieces: list[dict] = []

    class Watched(Worker):
        def __init__(self, entrant: Entrant, folder: Path) -> None:
            super().__init__(entrant, folder, (sys.executable, str(script)))

        def block(self, steps: int) -> dict:
            turns.append(self.entrant.name)
            pieces.append(super().block(steps))
            return pieces[-1]

    monkeypatch.setattr(arena, "Worker", Watched)
    entrants = {"a": Entrant("step", count=96), "b": Entrant("runner", count=64)}
    found = contest(entrants, [Bout(3, seconds=0), Bout(1, seconds=0, names=("a", "nobody"))], lambda line: None)
    assert turns == ["step", "runner", "runner", "step", "step", "runner"]
    [bout] = found["bouts"]  # nobody to fight, no second bout
    assert {name: [one["steps"] for one in blocks] for name, blocks in bout.items()} == {
        "a": [3] * 3,
        "b": [2] * 3,
    }

    turns.clear()
    pieces.clear()
    found = contest(entrants, [Bout(2, seconds=0, parts=2), Bout(1, seconds=0, names=("b",))], lambda line: None)
    assert turns == ["step", "runner", "runner", "step", "runner", "step", "step", "runner", "runner"]
    together, alone = found["bouts"]
    assert [one["steps"] for one in together["a"]] == [3, 3]
    assert [one["steps"] for one in alone["b"]] == [2]
    of_a = [piece for name, piece in zip(turns, pieces, strict=True) if name == "step"]
    sums = [sum(piece["seconds"] for piece in half) for half in (of_a[:2], of_a[2:])]
    assert [one["seconds"] for one in together["a"]] == pytest.approx(sums)


def test_without_pytorch_its_contestants_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "have_torch", lambda: False)
    said: list[str] = []
    found = contest({"torch": Entrant("torch"), "floor": Entrant("floor")}, [Bout(1)], said.append)
    assert set(found["left_out"]) == {"torch", "floor"}
    assert all("needs PyTorch" in line for line in said)


def test_every_contestant_has_a_loop_and_takes_part() -> None:
    pytest.importorskip("torch", reason="needs PyTorch")
    assert all(callable(Entrant(name).loop()) for name in CONTESTANTS)
    taking_part = {name for _, _, names in SETTINGS.values() for name in names}
    assert taking_part == set(CONTESTANTS)
    assert {name for pair in PAIRS for name in pair} <= taking_part


AS_OTHERS = ("mlp-128", "dcgan-16", "dcgan-128", "conv-transpose-64")
"""Settings that differ from another one by the size of the batch or the direction."""


@pytest.mark.slow
@pytest.mark.parametrize("setting", [name for name in SETTINGS if name not in AS_OTHERS])
def test_every_contestant_of_this_package_takes_a_first_step(setting: str) -> None:
    model, batch, names = SETTINGS[setting]
    entrants = {name: Entrant(name, model, batch) for name in names}
    ours = {name: one for name, one in entrants.items() if not one.needs_torch and name != "tutorial"}
    found = contest(ours, [], lambda text: None)
    assert found["left_out"] == {}
    assert found["first"].keys() == ours.keys()


# Like with like


def test_the_feed_gives_every_digit_once_an_epoch_and_new_noise() -> None:
    images = np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1)
    batches = [batch for batch, _ in zip(feed(images, 4, 3), range(4), strict=False)]
    for epoch in (batches[:2], batches[2:]):
        pixels = np.concatenate([(real + 1) * 127.5 for real, _ in epoch])
        assert sorted(pixels.round().ravel()) == list(range(8))
    assert len({noise.tobytes() for _, noise in batches}) == 4
    assert all(noise.shape == (4, 3) for _, noise in batches)


def test_digits_are_repeated_where_there_are_too_few(tmp_path: Path) -> None:
    images = digits(60_003)
    assert images.shape == (60_003, 1, 28, 28)
    assert (images[60_000:] == images[:3]).all()
    assert (digits(5_000) == images[:5_000]).all()
    unpack(tmp_path)
    assert (tmp_path / "train-images-idx3-ubyte").stat().st_size == 16 + 60_000 * 784


@pytest.mark.parametrize("model", ["mlp", "dcgan"])
def test_both_have_the_same_networks(model: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from mindspore import Tensor

    from benchmarks import ours, peers

    described = ours.recipe(model)
    noise = np.random.default_rng(0).standard_normal((4, described.noise_dim), dtype=np.float32)
    images = np.random.default_rng(1).uniform(-1, 1, (4, 1, 28, 28)).astype(np.float32)
    assert described.noise_dim == peers.NOISE_DIM[model]
    cells = (described.generator(), described.discriminator())
    for cell, module, inputs in zip(cells, peers.players(model), (noise, images), strict=True):
        own, theirs = cell.trainable_params(), list(module.parameters())
        assert sum(parameter.size for parameter in own) == sum(weight.numel() for weight in theirs)
        for parameter, weight in zip(own, theirs, strict=True):
            values = parameter.asnumpy().reshape(weight.shape)
            assert values.std() == pytest.approx(weight.std(correction=0).item(), rel=0.3, abs=1e-3)
            weight.data = torch.from_numpy(values.copy())
        cell.set_train(True)
        outputs = cell(Tensor.from_numpy(inputs)).asnumpy()
        np.testing.assert_allclose(outputs, module(torch.from_numpy(inputs)).detach().numpy(), atol=1e-4)
    assert [type(described.optimizer(cells[0].trainable_params())).__name__] == ["Adam"]


@pytest.mark.parametrize("model", ["unet", "residual"])
def test_both_have_the_same_networks_at_64_x_64(model: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from mindspore import Tensor

    from benchmarks import networks, peer_networks

    name = {"unet": "UNet", "residual": "Residual"}[model]
    cell, module = getattr(networks, name)(), getattr(peer_networks, name)()
    inputs, _ = network_data(model, 2)
    for parameter, weight in zip(cell.trainable_params(), module.parameters(), strict=True):
        assert parameter.shape == tuple(weight.shape)
        weight.data = torch.from_numpy(parameter.asnumpy().copy())
    cell.set_train(True)
    expected = module(torch.from_numpy(inputs)).detach().numpy()
    np.testing.assert_allclose(cell(Tensor.from_numpy(inputs)).asnumpy(), expected, atol=1e-4)


def test_pytorchs_best_forms_compute_what_the_plain_one_does() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.peers import Form, GanStep

    ends = []
    for form in (Form(), Form(best=True), Form(best=True, joined=True)):
        torch.manual_seed(0)
        step, draw = GanStep("mlp", form), np.random.default_rng(0)
        for _ in range(3):
            real = draw.uniform(-1, 1, (8, 1, 28, 28)).astype(np.float32)
            step(real, draw.standard_normal((8, 128), dtype=np.float32))
        ends.append([value.float() for network in (step.g, step.d) for value in network.state_dict().values()])
    counters = {index for index, value in enumerate(ends[0]) if not value.ndim}  # batches seen: two a step, or one
    for other in ends[1:]:
        for index, (value, plain) in enumerate(zip(other, ends[0], strict=True)):
            if index not in counters:
                torch.testing.assert_close(value, plain, rtol=1e-3, atol=1e-4)


def test_the_floor_multiplies_as_much_as_a_step_does() -> None:
    pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.floor import products

    generator, discriminator = 128 * 256 + 256 * 512 + 512 * 1024 + 1024 * 784, 784 * 512 + 512 * 256 + 256
    # Forward, weights' and inputs' gradients; none of the noise, none of the images in the discriminator's turn.
    own_turn = 2 * (3 * discriminator - 784 * 512)
    expected = 32 * (3 * generator - 128 * 256 + own_turn + 2 * discriminator)
    assert sum(m * k * n for m, k, n in products(32)) == expected


def test_spreads_read_well() -> None:
    assert Spread.of([3, 1, 2]).text(1) == "2.0 (1.0-3.0)"


@pytest.mark.slow
def test_the_command_measures(tmp_path: Path) -> None:
    command = ["speed", "--quick", "--rounds=2", "--pair-rounds=1", "--only=mlp-32,step,runner-plain", "--out"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *command, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    measured = results.load(tmp_path / "results.json")
    everybody, pair = measured["speed"]["mlp-32"]["bouts"]
    assert {name: len(blocks) for name, blocks in everybody.items()} == {"runner-plain": 2, "step": 2}
    assert {name: len(blocks) for name, blocks in pair.items()} == {"runner-plain": 1, "step": 1}
    assert measured["speed"]["facts"]["mindspore"]
    [mark] = [verdict for verdict in judge(measured) if verdict["what"] == "MLP, peak MB above the import"]
    assert mark["measured"]["median"] > 0
    assert "runner-plain" in done.stdout
