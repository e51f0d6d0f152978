"""Installed packages announce things; a broken one costs a line, and nobody's code runs before it is asked for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import RECIPE, ROOT
from installed import install

from ms_gan_callbacks import GanWarning, RecipeError, UsageError
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.config.catalog import list_recipes, locate
from ms_gan_callbacks.config.plugins import Plugin, find_recipe_file, list_plugins, load, pick

TEMPLATE = ROOT / "examples" / "ms-gan-ink"

WATCHES = '''
from ms_gan_callbacks import Callback

class Watches(Callback):
    """Watches.

    In more words.
    """

def gap(real, fake):
    """Tell a gap."""
    return 0.0

not_callable = 3

class NoCallback:
    pass
'''


def ms_gan(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder on sys.path; what was imported from it is forgotten."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


def ours(kind: str | None = None) -> list[Plugin]:
    """Return the plugins that a test has installed."""
    return [
        plugin
        for plugin in list_plugins(kind)
        if plugin.distribution.startswith("test-") or not plugin.distribution
    ]


def test_what_is_installed_is_listed_with_its_package_and_runs_nothing(site: Path) -> None:
    files = {"bomb.py": "raise SystemExit('imported')", "pack/__init__.py": "1 / 0", "pack/deep/mine.py": "1 / 0"}
    groups = {"callbacks": {"B": "bomb:B", "A": "bomb:A"}, "recipes": {"mine": "pack.deep.mine"}}
    install(site, "test-bomb", groups, files)
    assert ours() == [
        Plugin("callbacks", "A", "bomb:A", "test-bomb", "1.2"),
        Plugin("callbacks", "B", "bomb:B", "test-bomb", "1.2"),
        Plugin("recipes", "mine", "pack.deep.mine", "test-bomb", "1.2"),
    ]
    assert ours("recipes") == ours()[2:]
    assert locate(Path("mine")) == site / "pack/deep/mine.py"  # found, not imported
    assert not {"bomb", "pack"} & set(sys.modules)


BROKEN = {
    "missing module": ("callbacks", "none.at.all:X", {}, "ModuleNotFoundError: No module named 'none'"),
    "missing attribute": ("callbacks", "a:X", {"a.py": ""}, "AttributeError: .* has no attribute 'X'"),
    "raises": ("metrics", "a:x", {"a.py": "\n1 / 0"}, r"ZeroDivisionError: division by zero \(.*a.py, line 2\)"),
    "exits": ("metrics", "a:x", {"a.py": "import sys; sys.exit('bye')"}, "SystemExit: bye"),
    "syntax": ("callbacks", "a:x", {"a.py": "def"}, "SyntaxError: invalid syntax"),
    "no target": ("callbacks", "a b", {"a.py": ""}, "'a b' is not module:attribute"),
    "a module": ("callbacks", "a", {"a.py": ""}, "it is <module 'a' .*, which is not callable"),
    "no callback": ("callbacks", "a:NoCallback", {"a.py": WATCHES}, "NoCallback is not a Callback"),
    "not callable": ("metrics", "a:not_callable", {"a.py": WATCHES}, "it is 3, which is not callable"),
    "a class as metric": (
        "metrics",
        "a:NoCallback",
        {"a.py": WATCHES},
        "a metric is a function of a real and a fake",
    ),
    "a callback as metric": ("metrics", "a:Watches", {"a.py": WATCHES}, "a metric is a function of a real and a"),
    "misspelt hook": (
        "callbacks",
        "a:X",
        {"a.py": "from ms_gan_callbacks import Callback\nclass X(Callback):\n  def on_epoch(self, run): ..."},
        "CallbackError: X.on_epoch would never be called",
    ),
    "no recipe file": ("recipes", "none.at.all", {}, "ModuleNotFoundError: No module named 'none"),
    "recipe in no package": ("recipes", "a.b", {"a.py": ""}, "module a.b does not have a Python file"),
    "another function": ("recipes", "a:other", {"a.py": ""}, "a:other must be a module"),
    "recipe without recipe": ("recipes", "a", {"a.py": "x = 1"}, r"a.py has no function recipe\(...\)"),
    "recipe that raises": ("recipes", "a", {"a.py": "1 / 0"}, "importing the recipe raised ZeroDivisionError"),
    "recipe that exits": ("recipes", "a", {"a.py": "raise SystemExit(3)"}, "SystemExit: 3"),
    "compiled recipe": ("recipes", "math", {}, "module math does not have a Python file"),
    "unknown group": (
        "callback",
        "a:X",
        {},
        "unknown group ms_gan_callbacks.callback; available: callbacks",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_plugin_is_one_line_beside_the_whole_ones(how: str, site: Path) -> None:
    kind, target, files, message = BROKEN[how]
    install(site, "test-broken", {kind: {"broken": target}}, files)
    whole = {"callbacks": {"Watches": "whole:Watches"}, "metrics": {"gap": "whole:gap"}}
    install(site, "test-whole", whole, {"whole.py": WATCHES})
    result = ms_gan("plugins")
    assert (result.exit_code, result.stderr) == (0, "")
    [line] = [line for line in result.stdout.splitlines() if "test-broken 1.2" in line]
    assert re.search(rf"broken +test-broken 1.2 +{re.escape(target)} +FAILED: .*(?:{message})", line), line
    assert re.search(r"callback +Watches +test-whole 1.2 +whole:Watches +Watches\.\n", result.stdout)
    assert re.search(r"metric +gap +test-whole 1.2 +whole:gap +Tell a gap\.\n", result.stdout)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("metadata", "points", "shown"),
    [
        (None, "[ms_gan_callbacks.callbacks]\nWatches = whole:Watches\n", "an unnamed package +whole:Watches"),
        ("\0", "[ms_gan_callbacks.callbacks]\nWatches = whole:Watches\n", "an unnamed package +whole:Watches"),
        ("Name: test-odd\n", "[ms_gan_callbacks.callbacks]\nWatches = whole:Watches\n", "test-odd +whole:Watches"),
        ("Name: test-odd\nVersion: 1\n", "[ms_gan_callbacks.callbacks]\nno target\n", "test-odd 1 .*FAILED"),
    ],
)
def test_damaged_metadata_hides_nobody(metadata: str | None, points: str, shown: str, site: Path) -> None:
    folder = site / "test_odd-1.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text(points)
    if metadata is not None:
        (folder / "METADATA").write_text(metadata)
    install(site, "test-whole", {"metrics": {"gap": "whole:gap"}}, {"whole.py": WATCHES})
    result = ms_gan("plugins")
    assert result.exit_code == 0, result.output
    assert re.search(shown, result.stdout), result.stdout
    assert "test-whole 1.2" in result.stdout


def test_entry_points_that_are_no_text_are_no_plugins(site: Path) -> None:
    folder = site / "test_odd-1.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_bytes(b"\xff\xfe[ms_gan_callbacks.callbacks]")
    assert ours() == []


def test_without_plugins_there_is_a_friendly_line_and_what_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ms_gan_callbacks.cli.commands.plugins.list_plugins", lambda: [])
    result = ms_gan("plugins")
    assert result.exit_code == 0
    assert result.stdout.startswith("No plugins are installed.")
    assert re.search("built-in callbacks .*, ImageGrid, .*TensorBoard\n", result.stdout)
    assert re.search("built-in metrics .*, fld, kid, ", result.stdout)
    assert re.search("built-in recipes .*, mnist_mlp, ", result.stdout)


def test_clashes_are_named(site: Path) -> None:
    entries = {"callbacks": {"ImageGrid": "whole:Watches", "Twice": "whole:Watches"}}
    install(site, "test-a", entries, {"whole.py": WATCHES})
    install(site, "test-b", {"callbacks": {"Twice": "other:Watches"}}, {"other.py": WATCHES})
    install(site, "test-c", {"recipes": {"mnist_mlp": "mine", "two": "mine"}}, {"mine.py": "recipe = 1"})
    install(site, "test-d", {"recipes": {"two": "mine"}}, {})
    said = ms_gan("plugins").stdout
    assert len(re.findall("hidden by the built-in ImageGrid", said)) == 1
    assert len(re.findall("hidden by the built-in mnist_mlp", said)) == 1
    assert len(re.findall("ambiguous: .*write whole:Watches", said)) == 1
    assert len(re.findall("ambiguous: .*write other:Watches", said)) == 1
    assert len(re.findall("ambiguous: .*write the path of its file", said)) == 2
    with pytest.raises(UsageError, match=r"test-a 1.2 and test-b 1.2; write whole:Watches or other:Watches"):
        pick("callbacks", "Twice")
    with pytest.raises(
        UsageError, match=r"two is provided by test-c 1.2 and test-d 1.2; write the path of its file"
    ):
        locate(Path("two"))
    assert locate(Path("mnist_mlp")).samefile(RECIPE)


def test_of_one_package_twice_on_the_path_the_first_counts(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "test-a", {"callbacks": {"A": "a:A"}}, {}, version="1")
    install(tmp_path / "first", "test-a", {"callbacks": {"A": "a:A"}}, {}, version="2")
    monkeypatch.syspath_prepend(tmp_path / "first")
    assert [plugin.version for plugin in ours()] == ["2"]


def test_load_raises_one_kind_of_error(site: Path) -> None:
    (site / "whole.py").write_text(WATCHES)
    assert load("whole:Watches").__name__ == "Watches"
    with pytest.raises(UsageError, match="has no attribute 'Watch'"):
        load("whole:Watch")
    with pytest.raises(UsageError, match=r"^'' is not module:attribute$"):
        load("")


def test_a_recipe_of_a_plugin_goes_by_its_name_and_a_file_here_comes_first(site: Path) -> None:
    text = RECIPE.read_text(encoding="utf-8").replace('"""The GAN of', '"""Theirs, the GAN of', 1)
    entries = {"theirs": "pack.theirs:recipe", "gone": "pack.gone"}
    install(site, "test-a", {"recipes": entries}, {"pack/theirs.py": text})
    assert locate(Path("theirs")) == site / "pack/theirs.py"
    Path("theirs.py").touch()
    assert locate(Path("theirs")) == Path("theirs.py")
    Path("theirs.py").unlink()
    shown = ms_gan("show", "theirs", "--set", "epochs=3")
    assert shown.exit_code == 0, shown.output
    assert "1,497,104 trainable" in shown.stdout
    with pytest.raises(RecipeError, match="did you mean 'theirs'"):
        locate(Path("thiers"))
    with pytest.raises(RecipeError, match=r"recipe gone of test-a 1.2 cannot be found: .* module pack.gone"):
        locate(Path("gone"))
    with pytest.warns(GanWarning, match=r"recipe gone of test-a 1.2 is skipped: .*module pack.gone"):
        assert list_recipes()["theirs"] == site / "pack/theirs.py"


def test_recipes_of_plugins_are_listed_and_can_be_started_from(site: Path) -> None:
    install(site, "test-a", {"recipes": {"theirs": "theirs"}}, {"theirs.py": '"""Theirs: small."""\nx = 1\n'})
    install(site, "test-b", {"recipes": {"bad": "bad"}}, {"bad.py": "def"})
    listed = ms_gan("new", "--list")
    assert listed.exit_code == 0
    assert re.search(r"^theirs +Theirs: small\.$", listed.stdout, re.MULTILINE)
    assert ms_gan("new", "mine", "--from", "theirs").exit_code == 0
    assert Path("mine.py").read_text() == '"""Theirs: small."""\nx = 1\n'


def test_listing_them_loads_neither_mindspore_nor_numpy(site: Path) -> None:
    install(site, "test-a", {"callbacks": {"A": "a:A"}, "recipes": {"b": "b"}}, {"a.py": "1 / 0", "b.py": "1 / 0"})
    code = (
        "import sys\nfrom ms_gan_callbacks.config.plugins import list_plugins, pick, find_recipe_file\n"
        "assert pick('callbacks', 'A') in list_plugins()\nassert find_recipe_file(pick('recipes', 'b'))\n"
        "print(sorted({'mindspore', 'numpy', 'a', 'b'} & {*sys.modules}))"
    )
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", ""), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_recipe_is_looked_for_without_importing_its_packages() -> None:
    plugin = Plugin("recipes", "x", "email.mime.text", "python", "3")
    assert find_recipe_file(plugin).name == "text.py"


@pytest.mark.slow
def test_the_template_installs_is_listed_and_used(tmp_path: Path) -> None:
    """A fresh environment that sees this one's packages, and the template installed as its users will."""
    source, home = tmp_path / "ms-gan-ink", tmp_path / "venv"
    shutil.copytree(TEMPLATE, source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    scheme = {"base": str(home), "platbase": str(home)}
    packages = Path(
        sysconfig.get_path("purelib", "venv" if "venv" in sysconfig.get_scheme_names() else None, scheme)
    )
    (packages / "parent.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", source], check=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def installed(*arguments: str) -> str:
        command = [python, "-m", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = installed("ms_gan_callbacks", "plugins")
    assert re.search(r"callback +InkLog +ms-gan-ink 0.1.0 +ms_gan_ink.callbacks:InkLog +Logs", listed)
    assert re.search(r"metric +ink_gap +ms-gan-ink 0.1.0", listed)
    assert re.search(r"recipe +ink_mlp +ms-gan-ink 0.1.0", listed)
    assert "FAILED" not in listed
    attached = ["--callback", "InkLog:every=4steps,samples=9", "--metric", "ink_gap"]
    few = ["--set", "batch_size=6000", "--set", "epochs=1", "--quiet"]
    installed("ms_gan_callbacks", "run", str(RECIPE), *few, "--out", "mlp", *attached)
    lines = [json.loads(line) for line in (tmp_path / "mlp/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "ink" in line] == [4, 8, 10]
    assert [line["step"] for line in lines if "ink_gap" in line] == [10]
    facts = json.loads((tmp_path / "mlp/run.json").read_text())
    assert facts["plugins"] == {"ms-gan-ink": "0.1.0"}
    installed("ms_gan_callbacks", "run", "ink_mlp", *few, "--out", "ink")
    assert (tmp_path / "ink/recipe.py").read_bytes() == (TEMPLATE / "ms_gan_ink/ink_mlp.py").read_bytes()
    assert " passed" in installed("pytest", "-q", "-p", "no:cacheprovider", str(source))
