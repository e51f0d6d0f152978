"""Shell completion, as a shell asks for it, and ``ms-gan`` without arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from filelock import FileLock

from cli.test_runs import make_run
from ms_gan_callbacks.cli import main

CALL = "from ms_gan_callbacks.cli import main; main(prog_name='ms-gan')"
RECIPE = """
def recipe(path: str, grey: bool = False, count: int | None = None, epochs: int = 3, name: str = 'a b'): ...
"""


def complete(*words: str) -> list[str]:
    """Return the candidates for the last word of a command line."""
    return [
        item.value
        for item in ShellComplete(main, {}, "ms-gan", "_MS_GAN_COMPLETE").get_completions(
            list(words[:-1]), words[-1]
        )
    ]


def ask(shell: str, line: str, code: str = CALL) -> subprocess.CompletedProcess[str]:
    """Run the program as a shell does for the last word of a line."""
    last = line.rpartition(" ")[2] if shell == "fish" else str(line.count(" "))
    variables = {"_MS_GAN_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": last}
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )


def test_a_shell_gets_candidates_without_mindspore() -> None:
    make_run("one")
    show = "print({'mindspore', 'numpy'} & {*sys.modules}, file=sys.stderr)"
    code = f"import atexit, sys; atexit.register(lambda: {show}); {CALL}"
    done = ask("bash", "ms-gan sample runs/one --checkpoint ", code)
    assert done.stdout.splitlines() == ["plain,last", "plain,best", "plain,5", "plain,10"]
    assert done.stderr == "set()\n"
    assert "mnist_mlp" in ask("zsh", "ms-gan run mnist_m").stdout
    assert "runs/one" in ask("fish", "ms-gan sample runs/").stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_accepts_the_script() -> None:
    script = """
    eval "$(_MS_GAN_COMPLETE=bash_source ms-gan)"
    COMP_WORDS=(ms-gan run mnist_ml); COMP_CWORD=2
    _ms_gan_completion ms-gan; printf '%s\\n' "${COMPREPLY[@]}"
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # that of the command
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "mnist_mlp\n"


def test_runs_are_completed() -> None:
    make_run("one")
    make_run("two")
    Path("runs/photos").mkdir()
    shutil.copytree("runs/one", "elsewhere/three")
    assert complete("sample", "") == complete("plot", "runs") == ["runs/one", "runs/two"]
    assert complete("evaluate", "runs/t") == complete("compare", "runs/one", "runs/t") == ["runs/two"]
    assert complete("resume", "elsewhere/") == ["elsewhere/three"]
    assert complete("export", "home") == ["home"]  # of the type "dir": the shell lists folders
    assert complete("resume", "runs/one", "--from", "1") == ["10"]
    assert complete("resume", "runs/one", "--allow-change", "re") == ["recipe"]


def test_recipes_and_their_parameters_are_completed() -> None:
    Path("mine.py").write_text(RECIPE)
    Path("other.py").write_text("def f(): ...\n")
    assert complete("run", "mi") == ["mine.py"] and "other.py" not in complete("run", "")
    assert {"mnist_mlp", "mnist_dcgan", "mine.py"} <= {*complete("show", "")}
    assert complete("new", "faces", "--from", "folder_d") == ["folder_dcgan"]
    assert complete("run", "mine", "--set", "") == [
        *("path=", "grey=", "grey=False", "count=", "count=none", "epochs=", "epochs=3", "name=", "name=a b")
    ]
    assert complete("run", "mine.py", "--seed", "1", "--set", "epochs=2", "--set", "g") == ["grey=", "grey=False"]
    assert complete("run", "mine.py", "--set", "grey=") == ["grey=False", "grey=True"]
    assert complete("run", "--set", "ep") == [] and complete("run", "nothing", "--set", "ep") == []
    path = make_run("one")
    (path / "recipe.py").write_text(RECIPE)
    assert complete("evaluate", "runs/one", "--set", "pa") == ["path="]
    (path / "recipe.py").write_text("def recipe(:\n")
    assert complete("evaluate", "runs/one", "--set", "pa") == []


def next_steps() -> list[str]:
    result = CliRunner().invoke(main, [], prog_name="ms-gan")
    assert result.exit_code == 0 and result.stderr == ""
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[-1].startswith("ms-gan --help")
    return lines


def test_the_next_steps_of_an_empty_folder() -> None:
    first, *commands = next_steps()
    assert first == "There are no runs in this folder. Start one:"
    assert commands[0].startswith("ms-gan run mnist_mlp ")
    Path("mine.py").write_text(RECIPE)
    assert next_steps()[1].startswith("ms-gan run mine.py --set path=... ")


def test_the_next_steps_depend_on_the_newest_run() -> None:
    old = make_run("old")
    os.utime(old / "run.json", (1, 1))
    path = make_run("new run", epochs=3)
    first, *commands = next_steps()
    assert (
        first == "The newest run is runs/new run: interrupted (killed at step 10 or later), epoch 2 of 3, fld 10."
    )
    assert commands[0].startswith("ms-gan resume 'runs/new run' ")
    (path / ".lock").touch()
    with FileLock(path / ".lock"):
        first, *commands = next_steps()
        assert ": running, epoch 2 of 3" in first and commands[0].startswith(
            "tensorboard --logdir 'runs/new run' "
        )
    (path / "run.json").write_text("{")
    first, *commands = next_steps()
    assert ": damaged (" in first and commands[0].startswith("ms-gan runs ")
    shutil.rmtree(path)
    first, *commands = next_steps()
    assert first == "The newest run is runs/old: finished, epoch 2 of 2, fld 10."
    assert [line.split()[1] for line in commands[:5]] == ["sample", "evaluate", "plot", "export", "resume"]
    os.chdir(old)
    assert next_steps()[0].startswith("The newest run is .: finished")
