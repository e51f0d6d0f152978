"""What ``-o`` names: never over what is there, whole or not at all, refused before anything costs time."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import IO

import pytest

from cli.test_resume_command import TINY, ms_gan, trained
from ms_gan_callbacks.cli.outputs import Output
from ms_gan_callbacks.errors import UsageError

COMMANDS = {
    "sample": ".png",
    "evaluate": ".json",
    "plot": ".svg",
    "animate": ".gif",
    "compare": ".html",
    "report": ".html",
}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(TINY, tmp_path_factory.mktemp("outputs")) / "runs" / "one"


def listing(folder: Path = Path()) -> dict[str, object]:
    """Return what lies below a folder, and what is in it."""
    found: dict[str, object] = {}
    for root, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(root, name)
            found[str(path)] = (
                f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
            )
    return found


def run_folder() -> None:
    """Make what looks like another run's folder."""
    for name in ("other/run.json", "other/recipe.py", "other/checkpoints/step-00000001/state", "other/samples/a"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("{}")


def linked(name: str, target: str) -> None:
    Path(name).symlink_to(target)


TAKEN: dict[str, tuple[Callable[[str], object], str]] = {
    "a file": (lambda name: Path(name).write_text("mine"), "exists already"),
    "a folder": (lambda name: Path(name).mkdir(), r"exists already \(a folder\)"),
    "a link": (lambda name: (Path("mine").write_text("mine"), linked(name, "mine")), r"\(a link to mine\)"),
    "a dangling link": (lambda name: linked(name, "nowhere"), r"\(a link to nowhere\)"),
    "a pipe": (os.mkfifo, r"\(a special file\)"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", TAKEN)
def test_what_is_there_is_refused_by_name_before_a_run_is_even_looked_for(command: str, kind: str) -> None:
    make, message = TAKEN[kind]
    name = "taken" + COMMANDS[command]
    make(name)
    run = made_up_run() if command == "plot" else "nowhere"
    before = identities()
    result = ms_gan(command, run, "-o", name)
    [line] = result.stderr.splitlines()
    assert result.exit_code == 2
    assert line.startswith(f"Error: {name} ")
    assert re.search(message, line)
    assert ("--overwrite" in line) == (kind not in ("a folder", "a pipe"))
    assert identities() == before


def identities() -> dict[str, tuple[int, int]]:
    """Return which files lie here, and when they were last written to."""
    return {
        path.name: (path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in Path().glob("*")
        if path.name != "cache"
    }


def made_up_run() -> str:
    Path("run").mkdir(exist_ok=True)
    Path("run/run.json").write_text("{}")
    Path("run/metrics.jsonl").write_text('{"step": 1, "d_loss": 1.0}\n{"step": 2, "d_loss": 0.5}\n')
    return "run"


NEVER = {
    "a folder": ("folder.png", "is a folder and cannot be replaced"),
    "a link to a folder": ("link.png", "is a link to folder.png and cannot be replaced"),
    "a pipe": ("pipe.png", "is a special file and cannot be replaced"),
    "a recipe": ("other/recipe.py", "belongs to the run in .*other"),
    "run.json": ("other/run.json", "belongs to the run in .*other"),
    "run.json by another name": ("alias/run.json", "belongs to the run in .*other"),
    "metrics.jsonl": ("other/metrics.jsonl", "belongs to the run in .*other"),
    "a checkpoint": ("other/checkpoints/step-00000001/state", "belongs to the run in .*other"),
    "a new file in it": ("other/checkpoints/step-00000001/new.png", "belongs to the run in .*other"),
    "a grid": ("other/samples/a", "belongs to the run in .*other and cannot be replaced"),
}


@pytest.mark.parametrize("kind", NEVER)
def test_some_things_are_never_replaced(kind: str) -> None:
    run_folder()
    Path("folder.png").mkdir()
    linked("link.png", "folder.png")
    linked("alias", "other")
    os.mkfifo("pipe.png")
    path, message = NEVER[kind]
    with pytest.raises(UsageError, match=message):
        Output(Path(path), overwrite=True).check()
    assert Path("other/recipe.py").read_text() == "{}"


def test_a_file_and_a_link_are_replaced_where_that_is_asked_for() -> None:
    Path("mine").write_text("mine")
    Path("taken").write_text("old")
    linked("link", "mine")
    for name in ("taken", "link"):
        output = Output(Path(name), overwrite=True)
        output.check()
        assert output.write(lambda file: file.write(b"new")) == Path(name)
    assert Path("link").is_file() and not Path("link").is_symlink()
    assert listing() == {"mine": b"mine", "taken": b"new", "link": b"new"}


WRONG = {
    "no folder": ("no/such.json", "no/such.json cannot be written: there is no folder no$"),
    "a file for a folder": ("mine/such.json", "mine/such.json cannot be written: mine is a file"),
    "standard output": ("-", r"- \(standard output\) is not supported"),
    "nothing": ("", "'an empty name' is not the name of a file|an empty name"),
    "a folder to come": ("new/", "'new/' is not the name of a file"),
    "this folder": (".", r"\. exists already \(a folder\)"),
    "the folder above": ("..", r"\.\. exists already \(a folder\)"),
    "a name that is too long": ("x" * 300, "cannot be written: File name too long"),
    "nobody may write there": ("/proc/numbers.json", "/proc/numbers.json cannot be written: "),
}


@pytest.mark.parametrize("kind", WRONG)
def test_where_nothing_can_be_written_is_one_line(kind: str) -> None:
    Path("mine").write_text("mine")
    name, message = WRONG[kind]
    result = ms_gan("evaluate", "nowhere", "-o", name)
    [line] = result.stderr.splitlines()
    assert result.exit_code == 2
    assert re.search(message, line), line
    assert listing() == {"mine": b"mine"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run as another user")
def test_a_folder_that_cannot_be_written_to_is_one_line() -> None:
    Path("locked").mkdir(mode=0o500)
    result = ms_gan("sample", "nowhere", "-o", "locked/a.png")
    assert (result.exit_code, result.stderr) == (2, "Error: locked/a.png cannot be written: Permission denied\n")


def test_a_default_name_is_the_next_that_is_free(once: Path) -> None:
    Path("samples.png").write_text("mine")
    linked("samples-2.png", "nowhere")
    Path("samples-3.png").mkdir()
    before = listing()
    result = ms_gan("sample", str(once), "-n", "1")
    assert result.stdout == "1 image of step 10: samples-4.png\n", result.stderr
    assert {path: content for path, content in listing().items() if path in before} == before
    assert ms_gan("sample", str(once), "-n", "1", "--overwrite").stdout == "1 image of step 10: samples.png\n"
    assert Path("samples.png").read_bytes() == Path("samples-4.png").read_bytes()


def test_two_at_once_never_take_one_name() -> None:
    ready, taken = Barrier(8), []

    def write(number: int) -> None:
        ready.wait()
        taken.append(Output(Path("a.png"), numbered=True).write(lambda file: file.write(b"%d" % number)))

    threads = [Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == len(listing()) == 8
    assert {path.read_bytes() for path in taken} == {b"%d" % number for number in range(8)}


def test_a_name_that_was_taken_meanwhile_is_not_overwritten() -> None:
    output = Output(Path("a.json"))
    output.check()

    def fill(file: IO[bytes]) -> None:
        file.write(b"ours")
        Path("a.json").write_text("mine")

    with pytest.raises(UsageError, match=r"a\.json exists already"):
        output.write(fill)
    assert listing() == {"a.json": b"mine"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_what_there_was(overwrite: bool) -> None:
    if overwrite:
        Path("a.npz").write_text("old")
    before = listing()

    def fill(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UsageError, match=r"a\.npz cannot be written: No space left on device"):
        Output(Path("a.npz"), overwrite).write(fill)
    assert listing() == before


def test_without_links_a_name_is_taken_by_a_file_of_no_length(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))  # as FAT does

    monkeypatch.setattr(os, "link", refuse)
    Path("a").write_text("mine")
    assert Output(Path("a"), numbered=True).write(lambda file: file.write(b"ours")) == Path("a-2")
    assert listing() == {"a": b"mine", "a-2": b"ours"}


def test_endings_are_taken_in_any_case(once: Path) -> None:
    assert ms_gan("sample", str(once), "-n", "2", "-o", "A.PNG").exit_code == 0
    assert ms_gan("sample", str(once), "-n", "2", "-o", "B.Npz").exit_code == 0
    assert ms_gan("plot", str(once), "-o", "C.SVG").exit_code == 0
    assert Path("A.PNG").read_bytes().startswith(b"\x89PNG")
    assert Path("B.Npz").read_bytes().startswith(b"PK")
    assert b"<svg" in Path("C.SVG").read_bytes()


# curves.png, which is ours to replace as long as it is ours


def curves() -> str:
    result = ms_gan("plot", made_up_run())
    assert result.exit_code == 0, result.stderr
    return result.stdout.removeprefix("curves: ").strip()


def test_our_own_curves_are_drawn_anew() -> None:
    assert curves() == "run/curves.png"
    first = Path("run/curves.png").read_bytes()
    assert curves() == "run/curves.png"
    assert Path("run/curves.png").read_bytes() == first
    assert listing().keys() == {"run", "run/curves.png", "run/metrics.jsonl", "run/run.json"}


def paint() -> None:
    """Change a pixel of our picture, and keep all that stands beside them, as a program for pictures may."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    with Image.open("run/curves.png") as picture:
        told = PngInfo()
        for name, text in picture.text.items():  # type: ignore[attr-defined]
            told.add_text(name, text)
        picture.putpixel((5, 5), (255, 0, 0))
        picture.save("run/curves.png", pnginfo=told)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Path("run/curves.png").write_text("mine"),
        lambda: (Path("run/curves.png").rename("kept"), linked("run/curves.png", "../kept")),
        lambda: (Path("run/curves.png").unlink(), Path("run/curves.png").mkdir()),
        paint,
    ],
    ids=["text", "a link", "a folder", "a picture of ours that was painted on"],
)
def test_what_is_not_ours_stays(make: Callable[[], object]) -> None:
    assert curves() == "run/curves.png"
    make()
    before = listing()
    assert curves() == "run/curves-2.png"
    assert {path: content for path, content in listing().items() if path in before} == before


@pytest.mark.skipif(sys.platform != "linux", reason="the size of files is limited with ulimit")
def test_a_recipe_that_the_disk_has_no_room_for_leaves_nothing() -> None:
    command = f"ulimit -f 1; exec {sys.executable} -m ms_gan_callbacks new mine"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: mine.py cannot be written: File too large\n")
    assert listing() == {}


def test_what_is_to_be_replaced_stays_where_there_is_nothing_to_put_in_its_place() -> None:
    Path("numbers.json").write_text(json.dumps("mine"))
    result = ms_gan("evaluate", "nowhere", "-o", "numbers.json", "--overwrite")
    assert result.stderr == "Error: run directory not found: nowhere\n"
    assert json.loads(Path("numbers.json").read_text()) == "mine"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_nothing(once: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "ms_gan_callbacks", "sample", str(once), "-n", "100000000", "-o", "many.npz"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(path.stat().st_size for path in Path().glob(".many*.tmp")):
        time.sleep(0.05)
    assert list(Path().glob(".many*.tmp"))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, "interrupted; no data was lost\n")
    assert not list(Path().glob("*many*"))
