"""The command line: what works, and some forty ways of getting it wrong, each one line and an exit code."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import RECIPE, ROOT

from ms_gan_callbacks import mnist
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.events.events import Event

TINY = """
import numpy as np
from conftest import *
from ms_gan_callbacks import *

def recipe(epochs: int = 2, batch_size: int = 4, count: int = 20, seed: int = 0, hook: str = "", grid: int = 1):
    callbacks = [ImageGrid(Every.epochs(1), rows=grid, columns=2), Checkpoint(Every.epochs(1))]
    if hook:
        callbacks.append(type("Raises", (Callback,), {{hook: lambda self, *_: [][1]}})())
    return Recipe(generator={generator}, discriminator={discriminator}, objective=NonSaturating(),
                  optimizer=adam, noise_dim=3, epochs=epochs, seed=seed, callbacks=callbacks,
                  data=lambda: ArraySource(np.resize(np.uint8(range(0, 256, 17)), (count, 1, 4, 4)), batch_size))
"""


def write_tiny(generator: str = "TinyGenerator", discriminator: str = "TinyDiscriminator") -> None:
    text = TINY.format(generator=generator, discriminator=discriminator)
    Path("tiny.py").write_text(text)


def ms_gan(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="ms-gan")


def test_run_trains_and_says_where_everything_is() -> None:
    write_tiny()
    result = ms_gan("run", "tiny.py", "--out", "here", "--set", "epochs=3")
    assert result.exit_code == 0, result.stderr
    assert "epoch 3/3" in result.stderr
    assert "samples/epoch-0003.png" in result.stdout
    assert sorted(path.name for path in Path("here").iterdir()) == [
        ".lock",
        "checkpoints",
        "metrics.jsonl",
        "recipe.py",
        "run.json",
        "samples",
    ]
    assert Path("here/recipe.py").read_bytes() == Path("tiny.py").read_bytes()
    facts = json.loads(Path("here/run.json").read_text())
    assert facts["arguments"] == {"epochs": 3, "batch_size": 4, "count": 20, "seed": 0, "hook": "", "grid": 1}


def test_quiet_says_nothing_but_the_summary() -> None:
    write_tiny()
    result = ms_gan("run", "tiny.py", "--quiet", "--seed", "5", "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("run ")
    [folder] = Path("runs").iterdir()
    assert folder.name.startswith("tiny-")
    assert json.loads((folder / "run.json").read_text())["seed"] == 5


def test_show_lists_tunables_networks_and_who_listens_and_loads_no_data() -> None:
    result = ms_gan("show", str(RECIPE), "--set", "data_dir=/nowhere", "--set", "epochs=3")
    assert result.exit_code == 0, result.stderr
    words = re.sub(r"\s+", " ", result.stdout)
    assert "learning_rate float 0.0002" in words
    assert "epochs int 10 3" in words
    # 128*256+256 + 256*512+512 + 512*1024+1024 + 1024*784+784, and two for each of 1,792 normalised units
    assert "Generator: 1,497,104 trainable parameters" in words
    assert "Discriminator: 533,505 trainable parameters parameter shape" in words  # without BatchNorm
    assert "on_train_epoch_end ImageGrid, EarlyStopping, TensorBoard, Checkpoint" in words
    assert [word for word in words.split() if word.startswith("on_")] == [event.value for event in Event]


def test_show_of_a_recipe_that_needs_a_value_says_which() -> None:
    result = ms_gan("show", "folder_dcgan", "--set", "size=64")
    assert (result.exit_code, result.stderr) == (0, "")
    words = re.sub(r"\s+", " ", result.stdout)
    assert "path str required" in words
    assert "size 32 | 64 32 64" in words
    assert words.endswith("networks and callbacks: ms-gan show folder_dcgan --set path=... ")
    assert "The generator" not in words
    # With the value it shows them.
    assert "Generator: " in ms_gan("show", "folder_dcgan", "--set", "path=photos").stdout


NEEDY = """
from ms_gan_callbacks import *
def recipe(first: str, second: int, *, third: float, fourth: int = 4):
    return BODY
"""


@pytest.mark.parametrize(
    ("body", "arguments", "message"),
    [
        ("1 / 0", ["--set", "second=2"], None),
        ("1 / 0", ["--set", "secnod=2"], "no parameter 'secnod'; did you mean 'second'"),
        ("1 / 0", ["--set", "second=two"], "second takes a whole number, not 'two'"),
        ("1 / 0", ["--seed", "3"], "does not have a parameter seed, which --seed needs"),
        ("1 / 0", ["--callback", "ImageGird"], "unknown callback 'ImageGird'; did you mean 'ImageGrid'"),
        ("1 / 0", ["--set", "first=1", "--set", "second=2", "--set", "third=3"], "raised ZeroDivisionError"),
        ("None", ["--set", "first=1", "--set", "second=2", "--set", "third=3"], "returns NoneType, not a Recipe"),
    ],
)
def test_show_tells_the_parameters_whatever_else_is_wrong(
    body: str, arguments: list[str], message: str | None
) -> None:
    Path("needy.py").write_text(NEEDY.replace("BODY", body))
    result = ms_gan("show", "needy.py", *arguments)
    assert re.search(r"first +str +required", result.stdout)
    assert re.search(r"fourth +int +4", result.stdout)
    if message is None:
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.endswith("ms-gan show needy.py --set first=... --set third=...\n")
    else:
        fails(result, 2, message)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["--version"], *([name, "--help"] for name in main.commands)]
)
def test_help_is_everywhere(arguments: list[str]) -> None:
    result = ms_gan(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(("Usage: ms-gan ", "ms-gan, version "))
    assert "\b" not in result.stdout, "click's mark for lines to be left as they are"


def fails(result: Result, code: int, message: str) -> None:
    """Check for exactly one error line that matches, an exit code, and no traceback."""
    assert result.exit_code == code, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert re.search(message, errors[0]), errors[0]
    assert "Traceback" not in result.output
    assert result.stderr.rstrip().endswith(errors[0]), "something stands after the error"


USAGE = {
    "no such recipe": (["run", "tinny.py"], r"there is no recipe tinny.py; did you mean 'tiny.py'\?"),
    "no recipe at all": (["run"], "Missing argument 'RECIPE'"),
    "a folder": (["run", "."], "is a folder; a recipe is a Python file"),
    "no such command": (["rum", "tiny.py"], r"No such command 'rum'"),
    "no such option": (["run", "tiny.py", "--epochs", "3"], "No such option.*--epochs"),
    "option without value": (["run", "tiny.py", "--out"], "requires an argument"),
    "set without =": (["run", "tiny.py", "--set", "epochs"], "'epochs' is not NAME=VALUE"),
    "set without name": (["run", "tiny.py", "--set", "=3"], "'=3' is not NAME=VALUE"),
    "set twice": (["run", "tiny.py", "--set", "epochs=3", "--set", "epochs=4"], "epochs is given twice"),
    "two seeds": (
        ["run", "tiny.py", "--set", "seed=3", "--seed", "4"],
        "--seed 4 and --set seed=3 are both given",
    ),
    "unknown name": (["run", "tiny.py", "--set", "epoch=3"], "no parameter 'epoch'; did you mean 'epochs'"),
    "untypable": (["run", "tiny.py", "--set", "epochs=ten"], "epochs takes a whole number, not 'ten'"),
    "fraction": (["run", "tiny.py", "--set", "epochs=1.5"], "epochs takes a whole number, not '1.5'"),
    "no epochs": (["run", "tiny.py", "--set", "epochs=0"], "epochs must be a whole number of at least 1, got 0"),
    "negative epochs": (["run", "tiny.py", "--set", "epochs=-2"], "epochs must be .* at least 1, got -2"),
    "no batch": (["run", "tiny.py", "--set", "batch_size=0"], "batch_size must be .*at least 1, got 0"),
    "negative batch": (["run", "tiny.py", "--set", "batch_size=-4"], "batch_size must be .*at least 1, got -4"),
    "negative seed": (["run", "tiny.py", "--seed", "-1"], "-1 is not in the range"),
    "seed no number": (["run", "tiny.py", "--seed", "x"], "'x' is not a valid integer"),
    "no such device": (["run", "tiny.py", "--device", "TPU"], "'TPU' is not one of"),
    "device not in this build": (
        ["run", "tiny.py", "--device", "Ascend"],
        "the installed MindSpore cannot use device Ascend",
    ),
    "bad callback setting": (["run", "tiny.py", "--set", "grid=0"], r"ImageGrid\(rows=...\) must be an integer"),
    "taken folder": (["run", "tiny.py", "--out", "taken"], "taken already contains a run; choose another --out"),
    "folder with files": (["run", "tiny.py", "--out", "full"], "full contains other files"),
    "out is a file": (["run", "tiny.py", "--out", "full/notes"], "is a file; choose a directory"),
    "below a file": (
        ["run", "tiny.py", "--out", "full/notes/run"],
        "cannot write to full/notes/run: Not a directory",
    ),
    "show unknown name": (["show", "tiny.py", "--set", "x=1"], "tiny.py has no parameter 'x'"),
    "show no such recipe": (["show", "nothing.py"], "there is no recipe nothing.py"),
}


@pytest.mark.parametrize("kind", USAGE)
def test_what_is_asked_for_wrongly_is_one_line_and_exit_code_2(kind: str) -> None:
    write_tiny()
    Path("taken").mkdir()
    Path("taken/run.json").write_text("{}")
    Path("full").mkdir()
    Path("full/notes").write_text("mine")
    before = sorted(Path().rglob("*"))
    arguments, message = USAGE[kind]
    fails(ms_gan(*arguments), 2, message)
    assert sorted(Path().rglob("*")) == before, "something was left behind"
    assert Path("full/notes").read_text() == "mine"


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (
            {"discriminator": "nn.Dense(7, 1)"},
            "discriminator must be a class or a function that builds it, not an instance: pass Dense or",
        ),
        ({"discriminator": "lambda: nn.Dense(7, 1)"}, r"does not accept the generator's images, \(4, 1, 4, 4\)"),
        (
            {"generator": "lambda: nn.Dense(3, 16)"},
            r"returns images of shape \(16,\), but the data has \(1, 4, 4\)",
        ),
        ({"generator": "lambda: TinyGenerator(9)"}, r"the generator does not accept noise of shape \(4, 3\)"),
        (
            {"generator": "lambda: 1 / 0"},
            r"building the generator raised ZeroDivisionError: division by zero \(.*tiny.py, line 10\)",
        ),
        ({"discriminator": "lambda: 5"}, "the discriminator must be a mindspore.nn.Cell, not int"),
    ],
)
def test_networks_that_do_not_fit_are_one_line_and_leave_nothing(networks: dict[str, str], message: str) -> None:
    write_tiny(**networks)
    fails(ms_gan("run", "tiny.py", "--out", "here"), 2, message)
    assert not Path("here").exists()


def test_more_batch_than_data_is_a_mistake_about_the_data() -> None:
    write_tiny()
    fails(ms_gan("run", "tiny.py", "--set", "batch_size=21"), 1, "21.*20|20.*21")
    assert not Path("runs").exists()


HOOKS = [event.value for event in Event if event is not Event.EVAL_END]


@pytest.mark.parametrize("hook", [*HOOKS, "__enter__", "__exit__"])
def test_a_callback_that_raises_is_named_and_its_traceback_kept(hook: str) -> None:
    write_tiny()
    result = ms_gan("run", "tiny.py", "--out", "here", "--set", f"hook={hook}")
    fails(
        result,
        1,
        rf"IndexError: list index out of range \(raised by Raises.{hook}( at step \d+)?\); traceback in ",
    )
    trace = Path(re.search(r"traceback in (\S+)", result.stderr).group(1))  # type: ignore[union-attr]
    assert "tiny.py" in trace.read_text()
    trace.unlink()
    for line in Path("here/metrics.jsonl").read_text().splitlines() if Path("here/metrics.jsonl").exists() else []:
        json.loads(line)


def damage(root: Path, kind: str) -> None:
    images, labels = root / "train-images-idx3-ubyte", root / "train-labels-idx1-ubyte"
    if kind == "missing images":
        images.unlink()
    elif kind == "missing labels":
        labels.unlink()
    elif kind == "truncated":
        images.write_bytes(images.read_bytes()[:-1])
    elif kind == "too long":
        images.write_bytes(images.read_bytes() + b"\0")
    elif kind == "mislabelled":
        images.write_bytes(labels.read_bytes())
    elif kind == "fewer labels":
        content = labels.read_bytes()
        labels.write_bytes(content[:4] + (10).to_bytes(4, "big") + content[8:18])
    elif kind == "not idx":
        images.write_bytes(b"GIF89a" * 100)
    elif kind == "empty":
        images.write_bytes(b"")
    elif kind == "damaged gzip":
        packed = gzip.compress(images.read_bytes())
        images.unlink()
        images.with_name(images.name + ".gz").write_bytes(packed[: len(packed) // 2])
    elif kind == "no folder":
        shutil.rmtree(root)


@pytest.mark.parametrize(
    "kind",
    [
        "missing images",
        "missing labels",
        "truncated",
        "too long",
        "mislabelled",
        "fewer labels",
        "not idx",
        "empty",
        "damaged gzip",
        "no folder",
    ],
)
def test_flawed_data_is_one_line_that_names_the_file(kind: str) -> None:
    root = Path("idx")
    root.mkdir()
    digits = mnist(count=64)
    for name, array in (("images-idx3", digits.images[:, 0]), ("labels-idx1", np.asarray(digits.labels))):
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (root / f"train-{name}-ubyte").write_bytes(header + array.tobytes())
    damage(root, kind)
    fails(ms_gan("run", str(RECIPE), "--set", "data_dir=idx"), 1, "idx")
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_first_run_trains_on_all_of_mnist_without_a_word_of_warning() -> None:
    # A process of its own, as a stranger starts it: nothing of this test's process helps it.
    command = [sys.executable, "-m", "ms_gan_callbacks", "run", str(RECIPE), "--set", "epochs=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    # One epoch is too short for the recipe's patience, and that is all there is to warn of.
    warned = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
    assert [line.split(":")[1] for line in warned] == [" EarlyStopping"]
    [folder] = Path("runs").iterdir()
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["data"]["name"], facts["data"]["count"]) == ("mnist train", 60_000)
    assert facts["git_revision"] is None or len(facts["git_revision"].rstrip("+")) == 40
    assert (folder / "samples/epoch-0001.png").stat().st_size > 1000
    assert "mnist train, 60,000 images" in done.stdout
    # No litter where it was started.
    assert {path.name for path in Path().iterdir()} <= {"runs", "cache"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run as another user")
def test_a_folder_that_cannot_be_written_is_one_line() -> None:
    write_tiny()
    Path("locked").mkdir(mode=0o500)
    fails(ms_gan("run", "tiny.py", "--out", "locked/run"), 2, "cannot write to locked/run: Permission denied")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a file system nobody may write to: /proc")
def test_a_folder_nobody_can_write_is_one_line() -> None:
    write_tiny()
    fails(ms_gan("run", "tiny.py", "--out", "/proc/run"), 2, "cannot write to /proc/run: ")


def test_the_version_is_the_packages() -> None:
    version = re.search(r"^version = (\S+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert version is not None
    assert ms_gan("--version").stdout == f"ms-gan, version {version.group(1)}\n"


@pytest.mark.parametrize(("given", "used"), [({}, "10"), ({"OPENBLAS_THREAD_TIMEOUT": "26"}, "26")])
def test_threads_of_numpy_are_told_not_to_wait_before_it_is_imported(given: dict[str, str], used: str) -> None:
    code = """
import atexit, os, sys
from ms_gan_callbacks.cli import main
before = "numpy" in sys.modules
atexit.register(lambda: print(before, os.environ["OPENBLAS_THREAD_TIMEOUT"]))
main(["new", "--list"])
"""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"} | given
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.splitlines()[-1] == f"False {used}"
