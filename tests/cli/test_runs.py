"""``ms-gan runs``: states of runs, their order, and the removal of checkpoints."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import StopsAt, compiled_players, tiny_runner
from filelock import FileLock

from ms_gan_callbacks import Callback, Checkpoint, Every, Run
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.errors import Interrupted
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.manifest import Manifest


def ms_gan(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="ms-gan", input=answer)


def listed(*arguments: str) -> dict[str, dict[str, Any]]:
    """Return the entries of ``ms-gan runs --json`` by the name of the folder, in order."""
    result = ms_gan("runs", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return {Path(run["path"]).name: run for run in json.loads(result.stdout)}


def make_run(
    name: str, epochs: int = 2, steps: tuple[int, ...] = (5, 10), best: int | None = None, **facts: Any
) -> Path:
    """Write the files of a run of 5 steps per epoch, with checkpoints at these steps."""
    path = Path("runs", name)
    path.mkdir(parents=True)
    evaluation = {"samples": 100, "features": "x", "floors": {"fld": 0.1, "recall": 0.9}}
    Manifest.new(
        recipe="recipes/mine.py",
        epochs=epochs,
        evaluation=evaluation,
        started="2026-11-26T07:00:00+00:00",
        **facts,
    ).write(path)
    store = CheckpointStore(path / "checkpoints")
    for step in steps:
        progress = {"epochs": epochs, "steps_per_epoch": 5, "step": step, "epoch": step // 5}
        state = {"progress": progress, "callbacks": {"best fld": {"saved": best}, "EarlyStopping": {"best": 1.0}}}
        store.save(step, {"weight": np.zeros(1000, np.float32)}, state)
    lines = [{"step": step, "epoch": step // 5, "fld": 100 / step, "recall": step / 20} for step in steps]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Fails(Callback):
    def on_train_step_end(self, run: Run) -> None:
        if run.step == 7:
            raise RuntimeError("the seventh step")


class Signals:
    """Interrupts a run after its third step."""

    def __init__(self) -> None:
        self.checks = 0

    def defer(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()

    @property
    def received(self) -> int | None:
        self.checks += 1
        return 2 if self.checks > 3 else None


def train(folder: str, *callbacks: Callback, **options: Any) -> None:
    """Train for two epochs of five steps, with the networks that an earlier run has compiled."""
    compiled_players.free_all()
    data = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
    keep = Checkpoint(Every.epochs(1), keep=None)
    tiny_runner(folder, **options).train(2, data, [keep, *callbacks], batch_size=4, quiet=True)


@pytest.mark.slow
def test_the_end_of_a_training_is_recorded() -> None:
    train("runs/whole")
    train("runs/stopped", StopsAt(6))
    with pytest.raises(RuntimeError, match="the seventh step"):
        train("runs/failed", Fails())
    with pytest.raises(Interrupted):
        train("runs/signal", interruption=Signals())
    runs = listed()
    states = {name: (run["state"], run["step"], run["epoch"], run["epochs"]) for name, run in runs.items()}
    assert states["whole"] == ("finished", 10, 2, 2)
    assert states["stopped"] == ("finished", 6, 2, 2) and runs["stopped"]["note"] == "enough"
    assert states["failed"][0] == "failed" and "RuntimeError: the seventh step" in runs["failed"]["note"]
    assert states["signal"][0] == "interrupted" and states["signal"][1] < 5
    assert all(0 < run["seconds"] < 600 for run in runs.values())
    train("runs/failed", resume=True)
    assert listed()["failed"]["state"] == "finished" and listed()["failed"]["note"] == ""
    table = ms_gan("runs").stdout
    assert "finished" in table and "2/2" in table and "runs/stopped: enough" in table


def test_a_killed_run_is_interrupted_and_one_that_trains_is_running() -> None:
    make_run("killed", epochs=3)
    make_run("complete")
    path = make_run("trains", epochs=3)
    Path(path, ".lock").touch()
    assert [run["state"] for run in listed("--sort", "name").values()] == [
        "finished",
        "interrupted",
        "interrupted",
    ]
    with FileLock(path / ".lock"):
        runs = listed()
    assert runs["trains"]["state"] == "running" and runs["killed"]["note"] == "killed at step 10 or later"
    assert not Path("runs/killed/.lock").exists()


def test_a_resumed_run_that_was_killed_is_not_finished() -> None:
    path = make_run("again", epochs=4)
    timing = {"seconds": 3.0, "ended": "finished", "at": "2026-11-26T08:00:00+00:00"}
    Manifest.read(path).replace(timings=[timing]).write(path)
    assert listed()["again"]["state"] == "finished"
    Manifest.read(path).add_history({"resumed": "2026-11-26T09:00:00+00:00", "from_step": 10}).write(path)
    assert listed()["again"]["state"] == "interrupted"


def damage_manifest(path: Path) -> None:
    (path / "run.json").write_text("{")


def damage_log(path: Path) -> None:
    (path / "metrics.jsonl").write_text("no JSON\n")


def damage_weights(path: Path) -> None:
    weights = path / "checkpoints/step-00000010/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def remove_checkpoint_manifest(path: Path) -> None:
    (path / "checkpoints/step-00000010/manifest.json").unlink()


def write_newer_format(path: Path) -> None:
    (path / "run.json").write_text('{"format": 99}')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_manifest, "run.json is damaged"),
        (damage_log, "metrics.jsonl is damaged"),
        (damage_weights, "weights.safetensors has 4"),
        (remove_checkpoint_manifest, "it has no manifest.json"),
        (write_newer_format, "written by a newer version"),
    ],
)
def test_a_damaged_run_is_listed_and_left_alone(damage: Any, message: str) -> None:
    path = make_run("hurt", steps=(5, 7, 10))
    make_run("fine")
    damage(path)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    runs = listed()
    assert runs["hurt"]["state"] == "damaged" and message in runs["hurt"]["note"]
    assert runs["fine"]["state"] == "finished"
    assert message in ms_gan("runs").stdout
    result = ms_gan("runs", "--remove-checkpoints", "--yes")
    assert result.exit_code == 0 and "runs/hurt: unchanged, because it is damaged" in result.stdout
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_other_folders_are_not_runs() -> None:
    assert ms_gan("runs").stdout == "no runs found in runs; start one with: ms-gan run mnist_mlp\n"
    Path("runs/photos").mkdir(parents=True)
    Path("runs/note.txt").touch()
    assert listed() == {}
    result = ms_gan("runs", "nowhere")
    assert (result.exit_code, result.stderr) == (2, "Error: cannot read nowhere: No such file or directory\n")
    result = ms_gan("runs", "runs/note.txt")
    assert result.exit_code == 2 and "is a file" in result.stderr
    make_run("one")
    assert list(listed("runs/one")) == ["one"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_reported() -> None:
    make_run("one").chmod(0)
    try:
        assert ms_gan("runs").exit_code == 0
    finally:
        Path("runs/one").chmod(0o700)


def test_runs_are_sorted() -> None:
    make_run("a", steps=(5,))
    make_run("b", steps=(5, 10, 15), epochs=3)
    shutil.rmtree("runs/a/checkpoints")
    path = make_run("c", steps=(5, 10))
    (path / "metrics.jsonl").unlink()
    assert list(listed("--sort", "fld")) == ["b", "a", "c"]
    assert list(listed("--sort", "recall")) == ["b", "a", "c"]
    assert list(listed("--sort", "size")) == ["b", "c", "a"]
    assert listed("--sort", "fld")["b"]["best"] == {"fld": 100 / 15, "recall": 0.75}
    assert "fld 6.667" in ms_gan("runs").stdout and "recall 0.75" in ms_gan("runs", "--sort", "recall").stdout
    result = ms_gan("runs", "--sort", "fdl")
    assert result.exit_code == 2 and "did you mean 'fld'" in result.stderr


def test_checkpoints_are_removed_except_the_newest_and_the_best() -> None:
    path = make_run("many", steps=(2, 4, 6, 8, 10), best=4)
    shutil.copytree(path / "checkpoints/step-00000002", path / "checkpoints/set-aside/step-00000002")
    (path / "checkpoints/step-00000006/mine.txt").touch()
    result = ms_gan("runs", "--remove-checkpoints", answer="n\n")
    assert result.exit_code == 0 and result.stdout.endswith("nothing was removed\n")
    assert "3 checkpoints to remove; kept: step 4, 10" in result.stdout
    result = ms_gan("runs", "--remove-checkpoints", answer="")
    assert result.exit_code == 2 and "pass --yes" in result.stderr
    assert listed()["many"]["checkpoints"] == [2, 4, 6, 8, 10]
    size = listed()["many"]["bytes"]
    result = ms_gan("runs", "--remove-checkpoints", answer="y\n")
    assert result.exit_code == 0 and "freed 9 kB" in result.stdout
    run = listed()["many"]
    assert run["checkpoints"] == [4, 6, 10]  # the one with a file of the user is kept, too
    assert run["bytes"] < size and (path / "checkpoints/set-aside/step-00000002/state.json").exists()
    shutil.rmtree(path / "checkpoints/step-00000006")
    assert ms_gan("runs", "--remove-checkpoints", "-y").stdout == "there are no checkpoints to remove\n"


def test_a_running_run_keeps_its_checkpoints() -> None:
    path = make_run("trains", steps=(2, 4, 6))
    (path / ".lock").touch()
    with FileLock(path / ".lock"):
        result = ms_gan("runs", "--remove-checkpoints", "--yes")
    assert result.exit_code == 0 and "runs/trains: unchanged, because it is running" in result.stdout
    assert listed()["trains"]["checkpoints"] == [2, 4, 6]


def test_a_checkpoint_with_flipped_bits_protects_the_others() -> None:
    path = make_run("flipped", steps=(2, 4, 6))
    weights = path / "checkpoints/step-00000006/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    result = ms_gan("runs", "--remove-checkpoints", "--yes")
    assert result.exit_code == 0 and "unchanged: " in result.stdout and "sha256" in result.stdout
    assert listed()["flipped"]["checkpoints"] == [2, 4, 6]


def test_options_that_do_not_fit_together_are_refused() -> None:
    for arguments, message in (
        (["--yes"], "--yes is for"),
        (["--json", "--remove-checkpoints"], "--json does not"),
    ):
        result = ms_gan("runs", *arguments)
        assert result.exit_code == 2 and message in result.stderr
