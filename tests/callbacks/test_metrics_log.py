"""The metrics log: valid JSON, the run's own numbers, the same bytes for the same seed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import tiny_runner

from ms_gan_callbacks import Callback, Every, GanWarning, Run
from ms_gan_callbacks.callbacks.metrics_log import MetricsLog
from ms_gan_callbacks.testing import make_run

SCALARS = ["d_loss", "g_loss", "d_real", "d_fake", "value"]


class Collects(Callback):
    """Keeps every step's scalars, and logs numbers that JSON does not have."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_step_end(self, run: Run) -> None:
        self.steps.append(dict(run.scalars))
        if run.step == 4:
            run.log(nan=math.nan, inf=-math.inf, one=np.float32(1))


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def lines(path: str) -> list[dict]:
    return [json.loads(line, parse_constant=refuse) for line in Path(path).read_text().splitlines()]


def train(folder: str, images: np.ndarray, seed: int = 0) -> Collects:
    collects = Collects()
    callbacks = [collects, MetricsLog(Every.steps(3))]
    tiny_runner(folder, seed=seed).train(2, images, callbacks, batch_size=4, quiet=True)
    return collects


def test_lines_hold_the_runs_numbers_and_true_means(images: np.ndarray) -> None:
    collected = train("run", images).steps
    written = lines("run/metrics.jsonl")
    steps = {line["step"]: line for line in written if "d_loss" in line}
    assert list(steps) == [3, 6, 9]
    for step, line in steps.items():
        assert line == {"step": step, "epoch": (step + 4) // 5, **collected[step - 1]}
    means = {line["epoch"]: line for line in written if "epoch_means" in line}
    assert {epoch: line["step"] for epoch, line in means.items()} == {1: 5, 2: 10}
    for epoch, line in means.items():
        of_epoch = collected[5 * (epoch - 1) : 5 * epoch]
        expected = {name: math.fsum(step[name] for step in of_epoch) / 5 for name in SCALARS}
        assert line["epoch_means"] == pytest.approx(expected, rel=1e-12)


def test_what_callbacks_log_is_written_and_null_stands_for_what_json_has_not(images: np.ndarray) -> None:
    train("run", images)
    assert [line for line in lines("run/metrics.jsonl") if "one" in line] == [
        {"step": 4, "epoch": 1, "nan": None, "inf": None, "one": 1.0}
    ]


def test_one_seed_writes_the_same_bytes_and_another_seed_others(images: np.ndarray) -> None:
    for folder, seed in (("first", 1), ("again", 1), ("other", 2)):
        train(folder, images, seed)
    first, again, other = (Path(name, "metrics.jsonl").read_bytes() for name in ("first", "again", "other"))
    assert first == again
    assert first != other


def test_every_run_has_one_without_asking(images: np.ndarray) -> None:
    tiny_runner().train(1, images, [], batch_size=4, quiet=True)
    assert [line["step"] for line in lines("run/metrics.jsonl")] == [5]  # its means; no step was due


def test_training_on_goes_on_below(images: np.ndarray) -> None:
    runner = tiny_runner()
    for _ in range(2):
        runner.train(1, images, [MetricsLog(Every.steps(2))], batch_size=4, quiet=True)
    steps = [line["step"] for line in lines("run/metrics.jsonl") if "d_loss" in line]
    assert steps == [2, 4, 6, 8, 10]


class InTheWay(Callback):
    order = -1

    def on_train_begin(self, run: Run) -> None:
        (run.out_dir / "metrics.jsonl").mkdir()


def test_a_log_that_cannot_be_written_does_not_end_the_run(images: np.ndarray) -> None:
    with pytest.warns(GanWarning, match=r"MetricsLog.on_train_begin at step 0 raised IsADirectoryError"):
        result = tiny_runner().train(1, images, [InTheWay()], batch_size=4, quiet=True)
    assert result.step == 5


def resume_with(text: str, step: int, epoch: int) -> str:
    """Return what is left of a log when a run goes on after a step."""
    Path("run").mkdir()
    Path("run/metrics.jsonl").write_text(text)
    run = make_run("run", step=step, epochs=9, steps_per_epoch=5)
    run.progress.epoch = epoch
    log = MetricsLog()
    with log:
        log.on_train_begin(run)
    return Path("run/metrics.jsonl").read_text()


def line(step: int, epoch: int) -> str:
    return f'{{"step": {step}, "epoch": {epoch}, "x": 1.0}}\n'


def test_lines_of_what_is_done_again_go_and_others_stay() -> None:
    done, ahead = line(4, 1) + line(5, 1), line(5, 2) + line(6, 2) + line(11, 3)
    assert resume_with(done + ahead, step=5, epoch=1) == done


def test_a_run_that_begins_again_has_no_lines() -> None:
    assert resume_with(line(0, 0) + line(1, 1), step=0, epoch=0) == ""


def test_a_torn_line_goes_and_what_a_person_wrote_stays() -> None:
    mine = '# a better seed\n{"note": "step 4 looks odd"}\n\n[1, 2]\n'
    assert resume_with(mine + line(4, 1) + '{"step": 6, "ep', step=5, epoch=1) == mine + line(4, 1)


def test_a_last_line_whose_end_an_editor_took_away_is_whole() -> None:
    assert resume_with(line(3, 1) + line(4, 1).rstrip("\n"), step=5, epoch=1) == line(3, 1) + line(4, 1)


def test_a_log_that_needs_no_change_is_not_written() -> None:
    Path("run").mkdir()
    path = Path("run/metrics.jsonl")
    path.write_text(line(4, 1))
    before = path.stat().st_ino
    log = MetricsLog()
    with log:
        log.on_train_begin(make_run("run", step=5))
    assert path.stat().st_ino == before


def test_a_checkpoint_is_never_ahead_of_its_log_and_the_file_is_closed_at_the_end(tmp_path: Path) -> None:
    log, run = MetricsLog(Every.steps(1)), make_run(tmp_path, step=1)
    path = tmp_path / "metrics.jsonl"
    with log:
        log.on_train_begin(run)
        log.on_train_step_end(run)
        assert path.read_text() == "", "a line waits in the buffer"
        log.state()
        assert json.loads(path.read_text())["step"] == 1
        assert path in {Path(file.path) for file in psutil.Process().open_files()}
    assert path not in {Path(file.path) for file in psutil.Process().open_files()}
    with log:  # one that is released without having begun has nothing to close
        pass
