"""A run's folder: what belongs to a user stays, whatever a run does and however it ends."""

from __future__ import annotations

import errno
import os
import threading
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_runner
from mindspore import dataset, nn, train
from processes import TINY_GAN

from ms_gan_callbacks import (
    Callback,
    Checkpoint,
    DivergenceGuard,
    Every,
    GanWarning,
    ImageGrid,
    Run,
    RunDirError,
    Runner,
    TensorBoard,
    for_model,
    load_recipe,
)
from ms_gan_callbacks.storage import run_dir
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.files import is_leftover, list_folder, make_draft_path, sweep_drafts
from ms_gan_callbacks.storage.names import MANIFEST
from ms_gan_callbacks.storage.run_dir import RunFolder, find_newest_run

DEAD = 2**22 + 1
"""The number of no process: more than Linux gives."""


class Breaks(Callback):
    """Makes weights of use to nobody at a step, once; and fails whenever training begins again."""

    order = -10

    def __init__(self, at: int) -> None:
        self.at, self.done = at, False

    def on_train_begin(self, run: Run) -> None:
        if self.done:
            raise OSError(errno.ENOSPC, "No space left on device")

    def on_train_step_end(self, run: Run) -> None:
        if run.step == self.at and not self.done:
            self.done = True
            run.roll_back("a test asks for it", healthy=0)


def contents(folder: str | Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_run_that_was_rolled_back_to_its_beginning_is_kept_when_it_fails_then(images: np.ndarray) -> None:
    callbacks = [
        Breaks(3),
        DivergenceGuard(action="roll back"),
        ImageGrid(Every.steps(1)),
        TensorBoard(Every.steps(1)),
    ]
    runner = tiny_runner("run", fresh=True)
    with pytest.warns(GanWarning, match="rollback 1 to step 0"), pytest.raises(OSError, match="No space left"):
        runner.train(1, images, callbacks, batch_size=4, quiet=True)
    kept = contents("run")
    assert {"run.json", "metrics.jsonl", "samples/step-00000002.png"} <= kept.keys()
    assert CheckpointStore(Path("run/checkpoints")).list_steps() == [0]


class FailsAtFirst(Callback):
    """Writes a file of its own, and fails."""

    def __init__(self, hook: str = "") -> None:
        self.hook = hook

    def on_train_begin(self, run: Run) -> None:
        if self.hook == "with a file":
            (run.out_dir / "notes.txt").write_text("mine")
        raise RuntimeError("not today")


def test_a_run_that_fails_before_its_first_step_takes_back_what_it_wrote_and_nothing_else(
    images: np.ndarray,
) -> None:
    attached = [TensorBoard(Every.steps(1)), ImageGrid(), DivergenceGuard(action="roll back")]
    Path("mine").mkdir()
    for folder, hook in (("new/er", ""), ("mine", ""), ("noted", "with a file")):
        with pytest.raises(RuntimeError, match="not today"):
            tiny_runner(folder).train(1, images, [*attached, FailsAtFirst(hook)], batch_size=4, quiet=True)
    assert not Path("new/er").exists()
    assert list_folder(Path("mine")) == []  # which was there before
    assert contents("noted") == {"notes.txt": b"mine"}


RECIPE = (
    TINY_GAN
    + """
class Fails(Callback):
    def on_train_begin(self, run):
        raise RuntimeError("not today")


def recipe(epochs: int = 1):
    return tiny_gan(epochs, [Fails()])
"""
)


@pytest.mark.parametrize("out", [".", "elsewhere"])
def test_a_recipe_that_lies_in_the_folder_is_the_users_own(out: str) -> None:
    Path("elsewhere").mkdir()
    for folder in (".", "elsewhere"):
        Path(folder, "recipe.py").write_text(RECIPE)
    with pytest.raises(RunDirError, match=r"contains other files \(.*recipe.py.*\)") as caught:
        Runner.from_recipe(load_recipe("recipe.py"), out)
    assert "\n" not in str(caught.value)
    assert Path(out, "recipe.py").read_text() == RECIPE
    assert not Path(out, ".lock").exists()


@pytest.mark.parametrize(
    "name",
    [
        ".x.tmp",
        ".run.json.12.tmp",
        "recipe.py",
        "checkpoints/a",
        "samples/a.png",
        ".hidden",
        ".lock",
        "run.json/x",
    ],
)
def test_a_folder_is_free_by_what_this_package_marked_never_by_what_it_looks_like(name: str) -> None:
    path = Path("taken", name)
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(RunDirError, match=r"taken (already )?contains"):
        tiny_runner("taken")
    assert contents("taken") == {name: b"mine"}


@pytest.mark.slow
def test_what_a_kill_left_before_a_run_had_begun_is_in_nobodys_way(images: np.ndarray) -> None:
    recipe = load_recipe(Path(write_recipe()))
    for written in (0, 2):  # files, in the order in which they are written
        folder = Path(f"begun-{written}")
        folder.mkdir()
        (folder / ".lock").touch()
        if written:
            (folder / f".run.json.{DEAD}.ms-gan.tmp").write_text("{")
        if written == 2:
            (folder / "run.json").write_text('{"recipe_sha256": "0", "versions": {}}')
        assert Runner.from_recipe(recipe, folder).train(quiet=True).step == 5
        assert (folder / "recipe.py").read_text() == Path("tiny.py").read_text()
    # What has a recipe beside it, or anything else, is a run.
    (Path("begun-2") / "recipe.py").unlink()
    with pytest.raises(RunDirError, match="already contains a run"):
        Runner.from_recipe(recipe, "begun-2")


def write_recipe(name: str = "tiny.py") -> str:
    Path(name).write_text(f"{TINY_GAN}\ndef recipe(epochs: int = 1):\n    return tiny_gan(epochs, [])\n")
    return name


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return datetime(2026, 1, 1, 12)


@pytest.mark.slow
def test_runs_that_start_in_one_second_have_folders_of_their_own(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_dir, "datetime", Noon)
    runners = [tiny_runner(None, seed=seed) for seed in range(2)]
    assert runners[0].out_dir == runners[1].out_dir
    for runner in runners:
        runner.train(1, images, batch_size=4, quiet=True)
    assert runners[0].out_dir != runners[1].out_dir
    assert len(list_folder(Path("runs"))) == 2
    names = [RunFolder(None, "crowd") for _ in range(8)]
    barrier, taken = threading.Barrier(8), []

    def take(folder: RunFolder) -> None:
        barrier.wait()
        with folder.reserve():
            taken.append(folder.path)

    threads = [threading.Thread(target=take, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 8


def test_a_default_folder_goes_when_the_run_cannot_be_prepared(images: np.ndarray) -> None:
    with pytest.raises(Exception, match="do not fill one batch"):
        tiny_runner(None).train(1, images, batch_size=64, quiet=True)
    assert not Path("runs").exists() or list_folder(Path("runs")) == []


def test_a_run_may_not_begin_where_another_has_just_ended(images: np.ndarray) -> None:
    """Both found the folder free; the second takes the lock when the first has gone."""
    late = tiny_runner("run")
    tiny_runner("run").train(1, images, batch_size=4, quiet=True)
    before = contents("run")
    with pytest.raises(RunDirError, match="already contains a run"):
        late.train(1, images, batch_size=4, quiet=True)
    assert contents("run") == before


def test_drafts_are_known_by_their_mark_and_by_the_end_of_their_process() -> None:
    Path("deep/er").mkdir(parents=True)
    ours, living = Path(f"deep/er/.a.png.{DEAD}.ms-gan.tmp"), Path(f"deep/.b.{os.getppid()}.ms-gan.tmp")
    theirs = [Path("deep/.c.12.tmp"), Path("deep/.d.ms-gan.tmp"), Path(f"deep/e.{DEAD}.ms-gan.tmp")]
    for path in (ours, living, *theirs):
        path.touch()
    sweep_drafts(Path("deep"))
    assert not ours.exists()
    assert all(path.exists() for path in (living, *theirs))
    assert is_leftover(make_draft_path(Path("mine.json")))


def test_a_model_leaves_the_users_files_alone_too() -> None:
    Path("mine").mkdir()
    Path("mine/recipe.py").write_text("mine")
    with pytest.raises(RunDirError, match=r"mine contains other files \(recipe.py\)"):
        for_model([Checkpoint()], out_dir="mine")
    data = dataset.NumpySlicesDataset({"x": np.eye(4, dtype=np.float32), "y": np.eye(4, dtype=np.float32)}).batch(
        2
    )
    network = nn.Dense(4, 4)
    model = train.Model(network, nn.MSELoss(), nn.SGD(network.trainable_params()))
    Path("empty").mkdir()
    for folder in ("empty", "new"):
        with pytest.raises(RuntimeError, match="not today"):
            model.train(1, data, callbacks=for_model([Checkpoint(), FailsAtFirst()], out_dir=folder, quiet=True))
    assert list_folder(Path("empty")) == []
    assert not Path("new").exists()


@pytest.mark.parametrize("path", [None, "new/inside/run"])
def test_a_run_that_fails_leaves_no_folder_that_it_made_around_its_own(path: str | None) -> None:
    for kept in ((), ("runs", "new")):
        for parent in kept:
            Path(parent).mkdir()
        folder = RunFolder(path, "mine")
        with pytest.raises(KeyError), folder.reserve(), folder.lock(fresh=True):
            assert folder.path.is_dir()
            raise KeyError
        assert sorted(entry.name for entry in Path().iterdir()) == sorted(kept)
        assert all(list_folder(Path(parent)) == [] for parent in kept)


def test_a_listing_that_fails_is_an_error_and_not_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("runs/one").mkdir(parents=True)
    Path("runs/one", MANIFEST).write_text("{}")
    assert find_newest_run() == Path("runs/one")
    real = os.scandir

    def scandir(path: object = ".") -> object:
        if Path(str(path)).name in ("runs", "one", "checkpoints"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(RunDirError, match="cannot read runs: Permission denied"):
        find_newest_run()
    with pytest.raises(RunDirError, match="cannot write to runs/one: Permission denied"):
        RunFolder("runs/one", "x").check_free()
    with pytest.raises(Exception, match=r"cannot read .*checkpoints: Permission denied"):
        CheckpointStore(Path("runs/one/checkpoints")).list_steps()


def test_the_newest_run_is_the_one_that_was_touched_last_and_there_may_be_none() -> None:
    for made in (False, True):
        if made:
            Path("runs/no run").mkdir(parents=True)
            Path("runs/a file").touch()
        with pytest.raises(RunDirError, match="no runs found in runs; pass a run directory"):
            find_newest_run()
    for number, name in enumerate(("b", "c", "a")):
        Path("runs", name).mkdir()
        Path("runs", name, MANIFEST).touch()
        os.utime(Path("runs", name, MANIFEST), (number, number))
    assert find_newest_run() == Path("runs/a")


def test_a_folder_that_somebody_uses_meanwhile_is_left_without_even_a_lock(images: np.ndarray) -> None:
    runner = tiny_runner("mine")
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    with pytest.raises(RunDirError, match=r"mine contains other files \(notes.txt\)"):
        runner.train(1, images, batch_size=4, quiet=True)
    assert contents("mine") == {"notes.txt": b"mine"}
