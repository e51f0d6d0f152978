"""Full disks, failing disks, two processes on one run: what was there stays, and one line says what is wrong."""

from __future__ import annotations

import builtins
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import TINY_GAN
from safetensors import SafetensorError

from ms_gan_callbacks.errors import CheckpointError
from ms_gan_callbacks.storage import files, tensors
from ms_gan_callbacks.storage.checkpoints import Checkpoint, CheckpointStore

# Every call by which a checkpoint reaches the disk; a removal's own are among them.
PATH_CALLS = ("mkdir", "rename", "replace", "unlink", "exists", "is_dir", "glob", "touch", "stat", "chmod")
OS_CALLS = ("open", "fsync", "close", "unlink", "rmdir", "scandir")


@dataclass
class Disk:
    """Counts calls to the file system; makes one of them fail, or that and every later one.

    Attributes:
        fails_at: the index of the call that fails.
        code: the error that it fails with.
        lasts: whether all calls after it fail, too.
        half_done: whether the call does its work (a write: half of it) before it fails.
    """

    fails_at: int | None = None
    code: int = errno.ENOSPC
    lasts: bool = False
    half_done: bool = False
    calls: list[str] = field(default_factory=list)

    def call(self, name: str, work: Callable[[], Any], part: Callable[[], Any] | None = None) -> Any:
        index = len(self.calls)
        self.calls.append(name)
        if self.fails_at is None or index < self.fails_at or (index > self.fails_at and not self.lasts):
            return work()
        if self.half_done and index == self.fails_at:
            (part or work)()
        raise OSError(self.code, os.strerror(self.code), name)

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: self.call(name, lambda: real(*arguments, **named))

    def wrap_save_file(self, real: Callable[..., None]) -> Callable[..., None]:
        """Count what safetensors writes as one call, which fails as safetensors does."""

        def save_file(arrays: Any, path: Path, facts: Any) -> None:
            def half() -> None:
                real(arrays, path, facts)
                os.truncate(path, path.stat().st_size // 2)

            try:
                self.call("save_file", lambda: real(arrays, path, facts), half)
            except OSError as error:
                message = f"I/O error: {error.strerror} (os error {error.errno})"
                raise SafetensorError(f"Error while serializing: {message}") from None

        return save_file

    def install(self, patch: pytest.MonkeyPatch) -> None:
        real_open = builtins.open
        patch.setattr(
            files, "open", lambda *a: File(self.call("open file", lambda: real_open(*a)), self), raising=False
        )
        patch.setattr(tensors, "save_file", self.wrap_save_file(tensors.save_file))
        for name in PATH_CALLS:
            patch.setattr(Path, name, self.wrap(name, getattr(Path, name)))
        for name in OS_CALLS:
            patch.setattr(os, name, self.wrap(f"os.{name}", getattr(os, name)))


class File:
    """A file whose calls the disk counts."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.disk.call("close file", lambda: None)

    def write(self, content: bytes) -> int:
        def half() -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()

        return int(self.disk.call("write", lambda: self.file.write(content), half))

    def flush(self) -> None:
        self.disk.call("flush", self.file.flush)

    def fileno(self) -> int:
        return int(self.file.fileno())


def weights_of(step: int, version: int = 0) -> dict[str, np.ndarray]:
    return {"weight": np.full((5, 4), step + version / 8, np.float32), "step": np.array(step, np.int32)}


def assert_whole(found: Checkpoint | None, step: int, version: int = 0) -> None:
    assert found is not None
    assert (found.step, found.state) == (step, {"step": step, "version": version})
    saved = weights_of(step, version)
    assert {name: array.tobytes() for name, array in found.weights.items()} == {
        name: array.tobytes() for name, array in saved.items()
    }


def put(store: CheckpointStore, step: int, version: int = 0) -> None:
    store.save(step, weights_of(step, version), {"step": step, "version": version})


def fresh_store(*steps: int) -> CheckpointStore:
    """Return a store of these steps, copied from one that was saved once: hundreds of tries need one each."""
    saved = CheckpointStore(Path(f"saved-{steps}"))
    if not saved.folder.exists():
        saved.folder.mkdir()
        for step in steps:
            put(saved, step)
    shutil.rmtree("checkpoints", ignore_errors=True)
    shutil.copytree(saved.folder, "checkpoints")
    return CheckpointStore(Path("checkpoints"))


def attempt(disk: Disk, work: Callable[[], object]) -> str | None:
    """Do what may fail on that disk; return the one line it failed with."""
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        try:
            work()
        except CheckpointError as error:
            line = str(error)
        else:
            return None
    assert "\n" not in line
    assert line.startswith("cannot ")
    assert os.strerror(disk.code) in line
    return line


def number_of_calls(prepare: Callable[[], CheckpointStore], work: Callable[[CheckpointStore], object]) -> int:
    store, disk = prepare(), Disk()
    assert attempt(disk, lambda: work(store)) is None
    return len(disk.calls)


def faults(calls: int, code: int) -> Iterator[Disk]:
    for index in range(calls):
        for lasts in (False, True):
            for half_done in (False, True):
                yield Disk(index, code, lasts, half_done)


CODES = pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
LIKE = weights_of(0)


def test_the_faults_below_reach_every_kind_of_call_of_a_save() -> None:
    store, disk = fresh_store(1), Disk()
    assert attempt(disk, lambda: put(store, 2)) is None
    kinds = {"save_file", "open file", "write", "flush", "os.fsync", "close file"}
    assert [call for call in disk.calls if call in kinds] == [
        *["save_file", "open file", "os.fsync", "close file"],  # the weights
        *(["open file", "write", "flush", "os.fsync", "close file"] * 2),
        *(["os.fsync"] * 2),  # the folder of the draft, and that of all checkpoints
    ]
    assert {"mkdir", "rename", "os.open", "os.close"} <= {*disk.calls}


@CODES
@pytest.mark.parametrize(
    "older",
    [pytest.param((), marks=pytest.mark.slow), pytest.param((1,), marks=pytest.mark.slow), (1, 3)],
    ids=["first", "second", "third"],
)
def test_a_save_that_fails_at_any_call_leaves_the_older_ones_and_no_half(
    older: tuple[int, ...], code: int
) -> None:
    calls = number_of_calls(lambda: fresh_store(*older), lambda store: put(store, 5))
    assert calls > 20
    failures = 0
    for disk in faults(calls, code):
        store = fresh_store(*older)
        line = attempt(disk, lambda store=store: put(store, 5))
        failures += line is not None
        for step in older:
            assert_whole(store.load(step, LIKE), step)
        assert store.list_steps() in ([*older], [*older, 5]), disk
        newest = store.load_newest(LIKE)
        if line is None or 5 in store.list_steps():
            assert_whole(newest, 5)
        elif older:
            assert_whole(newest, older[-1])
        else:
            assert newest is None
        if line and line.startswith("cannot save"):
            last = f"the newest checkpoint is step-{older[-1]:08d}" if older else "there is no earlier checkpoint"
            assert line.endswith(last)
        put(store, 5)  # the disk has recovered: the same process goes on
        assert_whole(store.load_newest(LIKE), 5)
        store.go_back_to(5)
        names = {path.name for path in store.folder.iterdir()}
        assert names == {f"step-{step:08d}" for step in (*older, 5)}
    assert failures >= 2 * calls


@CODES
def test_replacing_a_step_that_fails_at_any_call_leaves_the_old_or_the_new(code: int) -> None:
    calls = number_of_calls(lambda: fresh_store(1, 5), lambda store: put(store, 5, 1))
    for disk in faults(calls, code):
        store = fresh_store(1, 5)
        line = attempt(disk, lambda store=store: put(store, 5, 1))
        newest = store.load_newest(LIKE)
        assert newest is not None
        assert newest.state["version"] in ({1} if line is None else {0, 1})
        assert_whole(newest, 5, newest.state["version"])
        assert_whole(store.load(1, LIKE), 1)
        store.go_back_to(5)
        assert {path.name for path in store.folder.iterdir()} == {"step-00000001", "step-00000005"}


@CODES
def test_pruning_that_fails_at_any_call_leaves_whole_checkpoints_only(code: int) -> None:
    calls = number_of_calls(lambda: fresh_store(1, 3, 5), lambda store: store.prune([1]))
    for disk in faults(calls, code):
        store = fresh_store(1, 3, 5)
        attempt(disk, lambda store=store: store.prune([1]))
        assert {1, 5} <= set(store.list_steps()) <= {1, 3, 5}
        for step in store.list_steps():
            assert_whole(store.load(step, LIKE), step)
        store.prune([1])
        store.go_back_to(5)
        assert {path.name for path in store.folder.iterdir()} == {"step-00000001", "step-00000005"}


@CODES
def test_going_back_that_fails_at_any_call_loses_nothing_and_can_be_repeated(code: int) -> None:
    def prepare() -> CheckpointStore:
        store = fresh_store(1, 3, 5)
        shutil.copytree(store.get_path(1), store.folder / ".step-00000009.99.tmp")
        return store

    calls = number_of_calls(prepare, lambda store: store.go_back_to(3))
    for disk in faults(calls, code):
        store = prepare()
        attempt(disk, lambda store=store: store.go_back_to(3))
        for step in store.list_steps():
            assert_whole(store.load(step, LIKE), step)
        store.go_back_to(3)
        assert {path.name for path in store.folder.iterdir()} == {"step-00000001", "step-00000003", "set-aside"}
        assert_whole(CheckpointStore(store.folder / "set-aside").load(5, LIKE), 5)


@CODES
def test_a_file_that_cannot_be_replaced_stays_as_it_was(code: int) -> None:
    path = Path("folder/run.json")

    def prepare() -> CheckpointStore:
        shutil.rmtree("folder", ignore_errors=True)
        files.replace_file(path, b"old")
        return CheckpointStore(Path("none"))

    def replace(_: CheckpointStore) -> None:
        try:
            files.replace_file(path, b"new")
        except OSError as error:
            raise CheckpointError(f"cannot replace: {error.strerror}") from error

    calls = number_of_calls(prepare, replace)
    for disk in faults(calls, code):
        store = prepare()
        line = attempt(disk, lambda store=store: replace(store))
        assert path.read_bytes() in ({b"new"} if line is None else {b"old", b"new"})
        if not disk.lasts:
            assert [file.name for file in path.parent.iterdir()] == ["run.json"] or disk.calls[-1] == "unlink"


# Real processes on real disks.

RECIPE = (
    TINY_GAN
    + """

class FillsDisk(Callback):
    "Leaves no room from a step on, as somebody else's files may."

    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_step_begin(self, run):
        if run.step == self.step:
            with open(self.path, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(512))
                except OSError:
                    pass

def recipe(epochs: int = 8, writer: str = "", full: str = "", at: int = 8):
    writers = {
        "ImageGrid": lambda: ImageGrid(Every.steps(1)),
        "TensorBoard": lambda: TensorBoard(Every.steps(1), flush_seconds=0),
        "MetricsLog": lambda: MetricsLog(Every.steps(1)),
        "Checkpoint": lambda: Checkpoint(Every.steps(1), keep=None),
    }
    callbacks = [writers[name]() for name in writer.split(",") if name]
    if full:
        callbacks.append(FillsDisk(full, at))
    return tiny_gan(epochs, callbacks)
"""
)


def ms_gan(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    Path("tiny.py").write_text(RECIPE)
    command = [sys.executable, "-m", "ms_gan_callbacks", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | environment, check=False
    )


def one_error(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    lines = done.stderr.rstrip().splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    assert errors[0] == lines[-1], done.stderr
    assert re.search(message, errors[0]), errors[0]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def mount(folder: Path, *options: str) -> bool:
    tool = shutil.which("mount")
    if tool is None or os.geteuid() != 0:
        return False
    command = [tool, "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Yield a folder that is a file system of 1 MB; the test skips by name where none can be mounted."""
    folder = Path("disk").absolute()
    folder.mkdir()
    if not mount(folder, "size=1m"):
        pytest.skip("needs to mount a small file system: run as root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


NO_SPACE = "No space left on device"


def read(run_dir: Path, step: int) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    path = CheckpointStore(run_dir / "checkpoints").get_path(step) / "weights.safetensors"
    return dict(load_file(path))


@pytest.mark.slow
def test_a_disk_that_checkpoints_fill_ends_the_run_in_one_line_and_it_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    out = small_disk / "run"
    done = ms_gan("run", "tiny.py", "--out", str(out), "--set", "writer=Checkpoint", "--set", "epochs=200", "-q")
    one_error(done, 1, rf"cannot save a checkpoint at step \d+: {NO_SPACE}; the newest checkpoint is step-\d+")
    store = CheckpointStore(out / "checkpoints")
    steps = store.list_steps()
    assert len(steps) > 5
    named = re.search(r"newest checkpoint is step-(\d+)", done.stderr)
    assert named is not None
    assert int(named.group(1)) == steps[-1]
    assert {path.name for path in store.folder.iterdir()} == {store.get_path(step).name for step in steps}
    for step in steps:
        like = read(out, step)
        found = store.load(step, like)
        assert found.state["progress"]["step"] == step
    assert mount(small_disk, "remount", "size=64m")
    done = ms_gan("resume", str(out), "--set", f"epochs={steps[-1] // 5 + 2}", "-q")
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "run.json").read_text())["history"][0]["from_step"] == steps[-1]
    ends = (steps[-1] // 5 + 2) * 5
    assert store.list_steps()[-1] == ends
    # The same bytes as a run that never met a full disk.
    ms_gan("run", "tiny.py", "--out", "whole", "--set", "writer=Checkpoint", "--set", f"epochs={ends // 5}", "-q")
    ours, theirs = read(out, ends), read(Path("whole"), ends)
    assert {name: array.tobytes() for name, array in ours.items()} == {
        name: array.tobytes() for name, array in theirs.items()
    }


def run_on_full_disk(disk: Path, *writers: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = [f"writer={','.join(writers)}", f"full={disk / 'filler'}"]
    options = [word for setting in settings for word in ("--set", setting)]
    return ms_gan("run", "tiny.py", "--out", str(disk / "run"), *options, "-q", **environment)


@pytest.mark.parametrize("writer", ["TensorBoard", "MetricsLog"])
@pytest.mark.slow
def test_a_log_that_meets_a_full_disk_is_left_behind_with_a_warning(writer: str, small_disk: Path) -> None:
    done = run_on_full_disk(small_disk, writer)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
    assert len([line for line in warnings if writer in line]) == 1, done.stderr
    *warnings, last = warnings
    assert re.search(rf"^Warning: the duration of the run is not recorded: .*{NO_SPACE}$", last)
    assert all(re.search(rf"{NO_SPACE}.*; the run continues without it$", line) for line in warnings)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert f"{writer}." in done.stdout, "the summary tells it again"
    log = small_disk / "run/metrics.jsonl"
    whole = [json.loads(line) for line in log.read_text().splitlines(True) if line.endswith("\n")]
    assert all(line["step"] <= 40 for line in whole)


@pytest.mark.slow
def test_a_picture_that_meets_a_full_disk_ends_the_run_in_one_line(small_disk: Path) -> None:
    done = run_on_full_disk(small_disk, "ImageGrid")
    one_error(done, 1, rf"{NO_SPACE}.*raised by ImageGrid.on_train_step_end at step \d+")
    trace = Path(re.search(r"traceback in (\S+)", done.stderr).group(1))  # type: ignore[union-attr]
    assert "save_png" in trace.read_text()
    trace.unlink()
    pictures = sorted((small_disk / "run/samples").iterdir())
    assert [path.name for path in pictures[:2]] == ["step-00000001.png", "step-00000002.png"]
    for path in pictures:
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), "half a picture"


@pytest.mark.slow
def test_where_even_the_traceback_finds_no_room_one_line_is_left(small_disk: Path) -> None:
    done = run_on_full_disk(small_disk, "ImageGrid", TMPDIR=str(small_disk))
    one_error(
        done, 1, rf"{NO_SPACE}.*raised by ImageGrid.on_train_step_end at step \d+.*cannot be saved: {NO_SPACE}"
    )


@pytest.mark.slow
def test_a_run_that_cannot_even_begin_on_a_full_disk_says_so(small_disk: Path) -> None:
    with pytest.raises(OSError, match=NO_SPACE), open(small_disk / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    done = ms_gan("run", "tiny.py", "--out", str(small_disk / "run"))
    one_error(done, 2, rf"cannot write to \S+/run: {NO_SPACE}")
    (small_disk / "filler").unlink()
    assert ms_gan("run", "tiny.py", "--out", str(small_disk / "run"), "-q").returncode == 0


@pytest.mark.slow
def test_a_run_that_cannot_go_on_for_want_of_room_loses_nothing(small_disk: Path) -> None:
    out = small_disk / "run"
    assert (
        ms_gan(
            "run", "tiny.py", "--out", str(out), "--set", "writer=Checkpoint", "--set", "epochs=4", "-q"
        ).returncode
        == 0
    )
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(OSError, match=NO_SPACE), open(small_disk / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    done = ms_gan("resume", str(out), "--from", "15", "--set", "epochs=6", "-q")
    one_error(done, 2, rf"cannot write to \S+/run: {NO_SPACE}")
    kept = {path.name: path.read_bytes() for path in (out / "checkpoints").rglob("step-00000020/*")}
    assert kept == {path.name: content for path, content in before.items() if path.parent.name == "step-00000020"}
    assert json.loads((out / "run.json").read_text()) == json.loads(before[out / "run.json"])
    (small_disk / "filler").unlink()
    assert ms_gan("resume", str(out), "--set", "epochs=6", "-q").returncode == 0


@pytest.fixture
def training() -> Iterator[subprocess.Popen[str]]:
    """Yield a process that trains in ``run`` for as long as it is let, once its first checkpoint is there."""
    Path("tiny.py").write_text(RECIPE)
    settings = ["--set", "epochs=1000000", "--set", "writer=Checkpoint"]
    command = [sys.executable, "-m", "ms_gan_callbacks", "run", "tiny.py", "--out", "run", *settings, "-q"]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            deadline = time.monotonic() + 60
            while not CheckpointStore(Path("run/checkpoints")).list_steps():
                output.seek(0)
                assert process.poll() is None and time.monotonic() < deadline, output.read()
                time.sleep(0.02)
            yield process
        finally:
            process.kill()
            process.wait(10)


@pytest.mark.slow
def test_a_second_process_is_refused_and_a_killed_first_one_holds_nothing(
    training: subprocess.Popen[str],
) -> None:
    for second in (["resume", "run"], ["run", "tiny.py", "--out", "run"]):
        done = ms_gan(*second, "-q")
        one_error(done, 2, "another process is training in run|run already contains a run")
    done = ms_gan("resume", "run", "-q")
    one_error(done, 2, "another process is training in run$")
    assert training.poll() is None, "the first goes on"
    training.send_signal(signal.SIGKILL)
    training.wait(10)
    newest = CheckpointStore(Path("run/checkpoints")).list_steps()[-1]
    epochs = newest // 5 + 2
    done = ms_gan("resume", "run", "--set", f"epochs={epochs}", "-q")
    assert done.returncode == 0, done.stderr
    assert CheckpointStore(Path("run/checkpoints")).list_steps()[-1] == epochs * 5
    assert not [path.name for path in Path("run/checkpoints").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_copy_and_its_original_both_go_on_to_the_same_bytes() -> None:
    settings = ["--set", "writer=Checkpoint,ImageGrid,TensorBoard"]
    assert ms_gan("run", "tiny.py", "--out", "run", *settings, "--set", "epochs=2", "-q").returncode == 0
    shutil.copytree("run", "elsewhere/copy")
    for out in ("run", "elsewhere/copy"):
        done = ms_gan("resume", out, "--set", "epochs=3", "-q")
        assert done.returncode == 0, done.stderr
    for pattern in ("checkpoints/step-00000015/*", "metrics.jsonl", "samples/*"):
        original, copy = (
            {path.name: path.read_bytes() for path in Path(out).glob(pattern)} for out in ("run", "elsewhere/copy")
        )
        assert original, pattern
        assert original == copy, pattern
