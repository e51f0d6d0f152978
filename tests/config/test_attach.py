"""``--callback`` and ``--metric``: what is typed, what it attaches, and that a resumed run has it again."""

from __future__ import annotations

import json
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from installed import install

from ms_gan_callbacks import (
    CallbackError,
    Checkpoint,
    EarlyStopping,
    Every,
    GanWarning,
    ImageGrid,
    RunDirError,
    Runner,
    UsageError,
    lower_is_better,
)
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.config.attach import attach_metrics
from ms_gan_callbacks.config.components import Typed, parse_components
from ms_gan_callbacks.config.conversion import convert
from ms_gan_callbacks.config.parameters import Tunable, read_settings
from ms_gan_callbacks.config.recipe import load_recipe
from ms_gan_callbacks.metrics.direction import read_mode
from ms_gan_callbacks.storage.manifest import Manifest

TINY = """
import numpy as np
from conftest import *
from ms_gan_callbacks import *
from ms_gan_callbacks.callbacks.collapse_guard import pixels

def brightness(real, fake):
    return 1.0

def recipe(epochs: int = 2, every: Every = Every.epochs(1)):
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
    return Recipe(generator=TinyGenerator, discriminator=TinyDiscriminator, objective=NonSaturating(),
                  optimizer=adam, noise_dim=3, epochs=epochs, callbacks=[Checkpoint(every)],
                  metrics={"brightness": brightness}, evaluate_samples=8, features=pixels,
                  data=lambda: ArraySource(images, batch_size=4))
"""

PLUGIN = '''
from __future__ import annotations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from ms_gan_callbacks import Callback, Every, Periodic, higher_is_better
if TYPE_CHECKING:
    from nowhere import Nothing

class Counts(Periodic):
    """Logs how often it has looked."""

    persistent = ("looks",)

    def __init__(self, every: Every = Every.steps(1), start: int = 0, *, name: str = "Counts") -> None:
        super().__init__(every)
        self.looks, self.name = start, name

    def act(self, run):
        self.looks += 1
        run.log(looks=self.looks)

class Takes(Callback):
    def __init__(self, mode: Literal["min", "max"] = "min", path: Path = Path("x"), sizes: tuple = (1,),
                 often: bool = False, rate: float | None = None, **others: Any) -> None:
        self.__dict__.update(vars_of(locals()))

class Untyped(Callback):
    def __init__(self, threshold, patience=3, label=None):
        self.__dict__.update(vars_of(locals()))

class Hidden(Callback):
    def __init__(self, thing: Nothing = 3, every: Every = Every.steps(7)):
        self.__dict__.update(vars_of(locals()))

class Raises(Callback):
    def __init__(self):
        raise ValueError("no good")

def vars_of(names):
    return {name: value for name, value in names.items() if name not in ("self", "__class__")}

def makes(count: int = 2) -> Counts:
    return Counts(start=count)

def makes_nothing() -> None: ...

@higher_is_better
def gap(real, fake, scale: float = 1.0):
    return scale * abs(float(real.images.mean()) - float(fake.images.mean()))

def one(real): return 0.0
def three(real, fake, other): return 0.0
'''

ENTRIES = {
    "callbacks": {"counts": "counts_plugin:Counts", "broken": "counts_plugin:Nothing"},
    "metrics": {"gap": "counts_plugin:gap"},
}


def ms_gan(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder on sys.path that has the plugin."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "test-counts", ENTRIES, {"counts_plugin.py": PLUGIN})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    sys.modules.pop("counts_plugin", None)


def made(kind: str, text: str) -> object:
    return Typed.parse(kind, text).make()


@pytest.mark.parametrize(
    ("text", "name", "given"),
    [
        ("ImageGrid", "ImageGrid", {}),
        ("ImageGrid:rows=2", "ImageGrid", {"rows": "2"}),
        ("ImageGrid:rows=2, columns=3", "ImageGrid", {"rows": "2", "columns": "3"}),
        ("a.b:C", "a.b:C", {}),
        ("a.b:C:x=1,y=", "a.b:C", {"x": "1", "y": ""}),
        ("my-log:url=http://host:80/a,b?c", "my-log", {"url": "http://host:80/a,b?c"}),
        ("A:sizes=(1, 2),x=[3,4]", "A", {"sizes": "(1, 2)", "x": "[3,4]"}),
    ],
)
def test_what_is_typed_is_a_name_and_settings(text: str, name: str, given: dict[str, str]) -> None:
    taken = Typed.parse("callbacks", text)
    assert (taken.text, taken.name, dict(taken.settings)) == (text, name, given)


@pytest.mark.parametrize(
    "text", ["", ":", "ImageGrid:", ":rows=2", "=2", "A:=2", "A:x=1,x=2", "A:,x=1", "a:b:c:d"]
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(repr(text))):
        Typed.parse("callbacks", text)


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("50steps", Every.steps(50)),
        ("1step", Every.steps(1)),
        ("2 epochs", Every.epochs(2)),
        ("1epoch", Every.epochs(1)),
        (" 1_000steps ", Every.steps(1000)),
        ("Every.steps(50)", Every.steps(50)),
        ("Every.epochs(3)", Every.epochs(3)),
    ],
)
def test_a_schedule_can_be_typed(text: str, every: Every) -> None:
    assert Every.parse(text) == every
    assert Every.parse(str(every)) == every


@pytest.mark.parametrize(
    "text", ["", "50", "steps", "-1steps", "1.5epochs", "50 minutes", "Every.days(1)", "_steps"]
)
def test_what_is_no_schedule_says_what_one_is(text: str) -> None:
    tunable = read_settings(ImageGrid)["every"]
    with pytest.raises(UsageError, match=r"every takes a schedule such as 50steps or 2epochs, not "):
        convert(tunable, text)


def test_settings_are_of_the_types_that_their_owner_takes(site: Path) -> None:
    grid = made("callbacks", "ImageGrid:every=50steps,rows=2,folder=often")
    assert isinstance(grid, ImageGrid)
    assert (grid.every, grid.rows, grid.folder) == (Every.steps(50), 2, "often")
    stopping = made("callbacks", "EarlyStopping:monitor=fld,mode=min,target=none,min_delta=0.5,restore_best=yes")
    assert isinstance(stopping, EarlyStopping)
    assert (stopping.monitor, stopping.mode, stopping.target, stopping.min_delta) == ("fld", "min", None, 0.5)
    assert len(stopping.companions) == 1
    checkpoint = made("callbacks", "Checkpoint:keep=none")
    assert isinstance(checkpoint, Checkpoint) and checkpoint.keep is None
    takes = vars(made("callbacks", "counts_plugin:Takes:mode=max,path=a/b,sizes=(2, 3),often=true,rate=1e-3"))
    del takes["others"]
    assert takes == {"mode": "max", "path": Path("a/b"), "sizes": (2, 3), "often": True, "rate": 0.001}


def test_without_annotations_defaults_tell_the_types(site: Path) -> None:
    number = vars(made("callbacks", "counts_plugin:Untyped:threshold=0.5,patience=4,label=x"))
    assert number == {"threshold": 0.5, "patience": 4, "label": "x"}
    assert vars(made("callbacks", "counts_plugin:Untyped:threshold=fld"))["threshold"] == "fld"
    hidden = vars(made("callbacks", "counts_plugin:Hidden:thing=4,every=2epochs"))
    assert hidden == {"thing": 4, "every": Every.epochs(2)}


def test_names_are_built_in_or_a_plugins_or_imported(site: Path) -> None:
    assert type(made("callbacks", "counts")).__name__ == "Counts"
    assert type(made("callbacks", "counts_plugin:makes:count=5")).__name__ == "Counts"
    assert made("metrics", "gap") is made("metrics", "counts_plugin:gap")
    scaled = made("metrics", "gap:scale=2")
    assert callable(scaled) and read_mode(scaled) == "max"
    assert read_mode(made("metrics", "fld")) == "min"  # type: ignore[arg-type]


MISTAKES = {
    "unknown": (["--callback", "ImageGird"], "unknown callback 'ImageGird'; did you mean 'ImageGrid'"),
    "unknown plugin": (["--callback", "count"], r"unknown callback 'count'; did you mean 'counts'\?"),
    "base class": (["--callback", "Guard"], "unknown callback 'Guard'; "),
    "unknown metric": (["--metric", "fdl"], "unknown metric 'fdl'; did you mean 'fld'"),
    "unknown setting": (["--callback", "ImageGrid:row=2"], "ImageGrid has no setting 'row'; did you mean 'rows'"),
    "no such setting": (["--metric", "fld:k=2"], "fld has no setting 'k'; none available"),
    "untypable": (["--callback", "ImageGrid:rows=two"], "ImageGrid: rows takes a whole number, not 'two'"),
    "no schedule": (["--callback", "counts:every=5"], "counts: every takes a schedule such as 50steps or 2epochs"),
    "never": (
        ["--callback", "counts:every=0steps"],
        r"Every.steps\(...\) must be an integer of at least 1, got 0",
    ),
    "missing": (
        ["--callback", "EarlyStopping"],
        "EarlyStopping needs a value: --callback EarlyStopping:monitor=...",
    ),
    "contradiction": (
        ["--callback", "EarlyStopping:monitor=fld,mode=min,target=1"],
        "pass either mode or target, not both",
    ),
    "not in its choices": (["--callback", "counts_plugin:Takes:mode=mean"], "mode takes one of 'min', 'max', not"),
    "out of range": (["--callback", "ImageGrid:rows=0"], r"ImageGrid\(rows=...\) must be an integer"),
    "no value": (["--callback", "ImageGrid:rows"], "'ImageGrid:rows': 'rows' is not key=value"),
    "no value of a plugin's": (["--callback", "counts:start"], "'counts:start': 'start' is not key=value"),
    "nothing": (["--callback", ""], "'' is not NAME, or NAME:key=value,key=value"),
    "broken": (["--callback", "broken"], "broken of test-counts 1.2 cannot be used: AttributeError.*'Nothing'"),
    "no module": (["--callback", "nowhere:X"], "the callback nowhere:X cannot be used: ModuleNotFoundError"),
    "module here": (
        ["--callback", "mine:X"],
        "No module named 'mine'; mine.py exists here but is not on the path: set PYTHONPATH",
    ),
    "no attribute": (["--callback", "counts_plugin:X"], "module 'counts_plugin' has no attribute 'X'"),
    "no callback": (["--callback", "pathlib:Path"], "pathlib:Path cannot be used: Path is not a Callback"),
    "makes none": (["--callback", "counts_plugin:makes_nothing"], "returns None, which is not a Callback"),
    "raises": (["--callback", "counts_plugin:Raises"], r"Raises raised ValueError: no good \(.*counts_plugin.py"),
    "unsigned": (
        ["--callback", "builtins:print"],
        "returns None, which is not a Callback|builtins:print cannot be used",
    ),
    "twice": (
        ["--callback", "counts", "--callback", "counts"],
        "two stateful callbacks are named 'Counts'",
    ),
    "measured": (
        ["--metric", "counts_plugin:gap", "--metric", "gap"],
        "metric gap is already in use; remove --metric",
    ),
    "in the recipe": (["--metric", "tiny:brightness"], "brightness is already in use"),
    "metric of three": (["--metric", "counts_plugin:three"], "counts_plugin:three needs a value: .*:other=..."),
    "metric of one": (["--metric", "counts_plugin:one"], "a metric is a function of a real and a fake Sample"),
    "callback as metric": (
        ["--metric", "counts_plugin:Counts"],
        "a metric is a function of a real and a fake Sample",
    ),
    "scalar's name": (["--metric", "counts_plugin:d_loss"], "has no attribute 'd_loss'"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_cannot_be_attached_is_one_line_and_leaves_nothing(kind: str, site: Path) -> None:
    Path("tiny.py").write_text(TINY)
    Path("mine.py").touch()
    arguments, message = MISTAKES[kind]
    result = ms_gan("run", "tiny.py", "--out", "here", *arguments)
    assert result.exit_code == 2, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert re.search(message, line), line
    assert not Path("here").exists()


ATTACHED = [
    "--callback",
    "counts:every=2steps",
    "--callback",
    "ImageGrid:every=5steps,rows=1,columns=2",
    "--metric",
    "gap:scale=2",
]


@pytest.fixture(scope="module")
def once(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of one epoch, five steps."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("tiny.py").write_text(TINY)
        result = ms_gan("run", "tiny.py", "--set", "epochs=1", "--out", "run", "-q", *ATTACHED)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def finished(once: Path) -> Path:
    shutil.copytree(once, ".", dirs_exist_ok=True)
    return Path("run")


def logged(run: Path, name: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


def facts_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def test_what_is_attached_works_and_is_written_down(finished: Path) -> None:
    # The look after the first run's last step, its fifth, is none that a whole run takes.
    assert logged(finished, "looks") == {2: 1, 4: 2, 5: 3}
    assert set(logged(finished, "gap")) == {5}
    assert [path.name for path in (finished / "samples").iterdir()] == ["step-00000005.png"]
    facts = facts_of(finished)
    assert facts["callbacks"] == [ATTACHED[1], ATTACHED[3]]
    assert facts["metrics"] == ["gap:scale=2"]
    assert facts["plugins"] == {"test-counts": "1.2"}


def test_a_resumed_run_has_it_again_with_its_state(finished: Path) -> None:
    result = ms_gan("resume", "run", "--set", "epochs=2", "-q")
    assert result.exit_code == 0, result.output
    # The look after the first run's last step, its fifth, is none that a whole run takes.
    assert logged(finished, "looks") == {2: 1, 4: 2, 5: 3, 6: 3, 8: 4, 10: 5}
    assert set(logged(finished, "gap")) == {5, 10}
    facts = facts_of(finished)
    assert facts["callbacks"] == [ATTACHED[1], ATTACHED[3]]
    assert facts["history"][0]["changes"] == {"epochs": [1, 2]}


def test_python_resumes_with_it_and_is_told_where_it_is_left_out(finished: Path) -> None:
    with pytest.raises(RunDirError, match=r"this run has callbacks = .*--allow-change callbacks"):
        Runner.from_recipe(load_recipe("tiny.py", epochs=2), "run", resume=True).train(quiet=True)
    result = Runner.resume("run", overrides={"epochs": 2}).train(quiet=True)
    assert {"Counts", "ImageGrid"} <= result.callback_seconds.keys()
    assert set(result.metrics) == {"brightness", "gap"}


def test_more_can_join_and_others_leave_by_name(finished: Path) -> None:
    more = ["--callback", "MetricsLog:every=1step", "--without", "counts", "--without", "gap"]
    result = ms_gan("resume", "run", "--set", "epochs=2", *more, "-q")
    assert result.exit_code == 0, result.output
    assert set(logged(finished, "looks")) == {2, 4, 5}
    assert set(logged(finished, "gap")) == {5}
    assert {6, 7, 8, 9} <= set(logged(finished, "d_loss"))
    assert "gap" not in result.stdout  # an old value of what nobody measures
    facts = facts_of(finished)
    assert facts["callbacks"] == [ATTACHED[3], "MetricsLog:every=1step"]
    assert "metrics" not in facts
    changes = facts["history"][0]["changes"]
    assert changes["callbacks"] == [[ATTACHED[1], ATTACHED[3]], [ATTACHED[3], "MetricsLog:every=1step"]]
    assert changes["metrics"] == [["gap:scale=2"], None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--without", "count"], "'count' is not attached to this run; did you mean 'counts'"),
        (["--callback", "counts"], "two stateful callbacks are named 'Counts'"),
        (["--metric", "gap"], "gap is already in use"),
        (["--callback", "ImageGird"], "did you mean 'ImageGrid'"),
    ],
)
def test_what_cannot_be_resumed_with_changes_nothing(arguments: list[str], message: str, finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    result = ms_gan("resume", "run", "--set", "epochs=2", *arguments, "-q")
    assert result.exit_code == 2, result.output
    assert re.search(message, result.stderr.splitlines()[-1]), result.stderr
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_a_plugin_that_is_gone_is_named_with_the_ways_out(finished: Path, site: Path) -> None:
    facts = facts_of(finished)
    facts["callbacks"], facts["metrics"] = ["gone:every=2steps"], ["lost"]
    (finished / "run.json").write_text(json.dumps(facts))
    result = ms_gan("resume", "run", "--set", "epochs=2", "-q")
    assert result.exit_code == 2
    assert re.search(
        "unknown callback 'gone'; .* it is attached to this run: .* or pass --without gone$",
        result.stderr.strip(),
    )
    assert ms_gan("sample", "run", "-n", "4").exit_code == 0  # what only watched is not needed
    with pytest.warns(GanWarning, match="unknown metric 'lost'; .*the metric is skipped"):
        assert set(attach_metrics(load_recipe("tiny.py"), Manifest.of(facts)).metrics) == {"brightness"}
    facts["metrics"] = ["gap:scale=2"]
    assert set(attach_metrics(load_recipe("tiny.py"), Manifest.of(facts)).metrics) == {"brightness", "gap"}


def test_another_version_of_a_plugin_is_told(finished: Path) -> None:
    facts = facts_of(finished)
    facts["plugins"] = {"test-counts": "1.1"}
    (finished / "run.json").write_text(json.dumps(facts))
    with warnings.catch_warnings():
        warnings.simplefilter("always", GanWarning)
        result = ms_gan("resume", "run", "--set", "epochs=2", "-q")
    assert result.exit_code == 0, result.output
    assert "Warning: this run was trained with test-counts 1.1, not 1.2: results may differ" in result.stderr


def test_show_has_it_among_those_who_listen(site: Path) -> None:
    Path("tiny.py").write_text(TINY)
    shown = ms_gan("show", "tiny.py", *ATTACHED)
    assert shown.exit_code == 0, shown.output
    assert re.search(r"on_train_step_end +Counts, ImageGrid, Checkpoint", shown.stdout)


def test_a_stock_callback_of_mindspore_is_attached_as_any_other(site: Path) -> None:
    Path("tiny.py").write_text(TINY.replace("callbacks=[Checkpoint(every)]", "callbacks=Checkpoint(every)"))
    attached = ["--callback", "mindspore.train:LossMonitor:per_print_times=2", "--callback", "counts"]
    result = ms_gan("run", "tiny.py", "--set", "epochs=1", "--out", "run", "-q", *attached)
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"epoch: 1 step: \d, loss is", result.stdout)) == 2
    assert set(logged(Path("run"), "looks")) == {1, 2, 3, 4, 5}
    assert "mindspore" in facts_of(Path("run"))["plugins"]


def test_a_schedule_is_a_parameter_that_can_be_set(site: Path) -> None:
    Path("tiny.py").write_text(TINY)
    shown = ms_gan("show", "tiny.py", "--set", "every=3steps")
    assert re.search(
        r"every +Every +Every\(period=1, unit='epochs'\) +Every\(period=3, unit='steps'\)", shown.stdout
    )


def test_every_built_in_callback_and_metric_can_be_attached_by_its_name() -> None:
    from ms_gan_callbacks.config.components import BUILT_IN

    for kind in ("callbacks", "metrics"):
        for name, thing in BUILT_IN[kind].items():
            needed = [key for key, one in read_settings(thing).items() if one.default is Tunable.REQUIRED]
            if kind == "metrics":
                assert needed == ["real", "fake"]
                assert made(kind, name) is thing
            else:
                given = ",".join(f"{key}=fld" for key in needed)
                assert isinstance(made(kind, f"{name}:{given}" if given else name), thing)


def test_a_metric_of_ones_own_keeps_its_direction_when_settings_are_given(site: Path) -> None:
    [one] = parse_components([], ["gap:scale=3"])
    assert one.short_name == "gap"
    assert read_mode(lower_is_better(lambda real, fake: 0.0)) == "min"
    with pytest.raises(CallbackError, match=r"gap has no setting 'real'; .*scale"):
        made("metrics", "gap:real=1")


@pytest.mark.slow
def test_resuming_with_a_plugins_callback_is_exact(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from training.test_verify import RECIPE

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *sys.path]))
    Path("net.py").write_text(RECIPE.format(middle="nn.BatchNorm1d(8)"))
    result = ms_gan("verify-resume", "net.py", "--at", "7", "--callback", "counts:every=2steps")
    assert result.exit_code == 0, result.output
    assert "DIFFERENT" not in result.stdout
