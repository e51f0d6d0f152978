"""Shipped recipes: found by name, listed, copied to start from, and part of what is installed."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import RECIPE, ROOT

from ms_gan_callbacks import RecipeError, load_recipe
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.config.catalog import list_built_in, locate

NAMES = sorted(path.stem for path in RECIPE.parent.glob("*.py"))
each_recipe = pytest.mark.parametrize("name", NAMES)


def ms_gan(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def fails(result: Result, message: str) -> None:
    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert re.search(message, line), line


@each_recipe
def test_a_copy_is_the_recipe_with_its_own_name_in_its_commands(name: str) -> None:
    result = ms_gan("new", "mine", "--from", name)
    assert result.exit_code == 0, result.output
    needs = " --set path=..." if name.startswith("folder_") else ""
    assert result.stdout == f"mine.py, from {name}; run it with: ms-gan run mine.py{needs}\n"
    theirs, ours = list_built_in()[name].read_text(encoding="utf-8"), Path("mine.py").read_text(encoding="utf-8")
    commands = re.findall(r"ms-gan (?:run|show) (\S+)", ast.get_docstring(ast.parse(ours)) or "")
    assert len(commands) >= 3 and set(commands) == {"mine.py"}
    assert ours.partition('"""\n\n')[2] == theirs.partition('"""\n\n')[2]
    missing = {"path": "somewhere"} if "path: str," in ours else {}
    assert load_recipe("mine.py", epochs=2, **missing).epochs == 2


def test_a_copy_goes_where_it_is_wanted_and_is_of_the_dcgan_unless_told() -> None:
    Path("a folder").mkdir()
    result = ms_gan("new", "a folder/mine.py")
    assert "run it with: ms-gan run 'a folder/mine.py'" in result.stdout
    text = Path("a folder/mine.py").read_text(encoding="utf-8")
    assert "Run it:      ms-gan run 'a folder/mine.py'\n" in text
    assert (
        text.partition('"""\n\n')[2]
        == list_built_in()["mnist_dcgan"].read_text(encoding="utf-8").partition('"""\n\n')[2]
    )


def test_a_copy_under_the_name_of_a_recipe_is_of_that_recipe() -> None:
    # Once it lies here, it is what goes by the name.
    assert ms_gan("new", "mnist_mlp").stdout.startswith("mnist_mlp.py, from mnist_mlp; ")
    assert ms_gan("new", "mnist_cgan", "--from", "mnist_acgan").stdout.startswith(
        "mnist_cgan.py, from mnist_acgan; "
    )


def test_a_folder_of_any_name_leaves_the_docstring_a_docstring() -> None:
    folder = Path('a"""b\\')
    folder.mkdir()
    assert ms_gan("new", str(folder / "mine")).exit_code == 0
    said = ast.get_docstring(ast.parse((folder / "mine.py").read_text(encoding="utf-8")))
    assert said is not None and f"ms-gan run '{folder}/mine.py'" in said


def test_the_list_names_every_recipe_and_says_what_it_is() -> None:
    result = ms_gan("new", "--list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == NAMES
    for line, name in zip(result.stdout.splitlines(), NAMES, strict=True):
        docstring = ast.get_docstring(ast.parse((RECIPE.parent / f"{name}.py").read_text(encoding="utf-8")))
        assert docstring is not None and line.endswith("  " + docstring.splitlines()[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["taken"], "taken.py exists already; choose another name$"),
        (["taken.py"], "taken.py exists already"),
        (["dangling"], "dangling.py exists already"),
        (["none/mine"], "none/mine.py cannot be written: there is no folder none"),
        (["taken.py/mine"], "taken.py/mine.py cannot be written: taken.py is a file"),
        (["mine", "--from", "mnist_mpl"], "no recipe 'mnist_mpl'; did you mean 'mnist_mlp'"),
        (["mine", "--from", ""], "no recipe ''; available: "),
        (["mine", "--from", str(RECIPE)], "there is no recipe .*mnist_mlp"),
        (["mine.txt"], "mine.txt is not a valid name for a recipe"),
        (["my gan"], "my gan is not a valid name for a recipe"),
        (["."], r"\. is not a valid name for a recipe"),
        ([""], "is not a valid name for a recipe"),
        ([], "Missing argument 'NAME'"),
        (["/proc/mine"], "/proc/mine.py cannot be written: "),
    ],
)
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(arguments: list[str], message: str) -> None:
    Path("taken.py").write_text("mine")
    Path("dangling.py").symlink_to("nowhere.py")
    before = sorted(Path().rglob("*"))
    fails(ms_gan("new", *arguments), message)
    assert sorted(Path().rglob("*")) == before
    assert Path("taken.py").read_text() == "mine"


def test_a_name_is_a_file_first_then_that_file_with_its_ending_then_what_is_shipped() -> None:
    assert locate(Path("mnist_mlp")).read_bytes() == RECIPE.read_bytes()
    Path("mnist_mlp").mkdir()  # a run's folder, say
    assert locate(Path("mnist_mlp")).read_bytes() == RECIPE.read_bytes()
    Path("mnist_mlp").rmdir()
    Path("mnist_mlp.py").touch()
    assert locate(Path("mnist_mlp")) == Path("mnist_mlp.py")
    Path("mnist_mlp").touch()
    assert locate(Path("mnist_mlp")) == Path("mnist_mlp")
    Path("other").mkdir()
    for path in ("other", "none.py", "other/none.py", ".", "other/mine"):
        assert locate(Path(path)) == Path(path)  # whose faults are told by whoever opens them


def test_a_name_that_is_nowhere_is_answered_with_the_nearest() -> None:
    Path("mine.py").touch()
    with pytest.raises(RecipeError, match=r"no recipe mnist_mpl; did you mean 'mnist_mlp'\? Available: .*mine.py"):
        locate(Path("mnist_mpl"))
    with pytest.raises(RecipeError, match=r"no recipe mime; did you mean 'mine.py'"):
        locate(Path("mime"))
    for path in ("recipes/mnist_mlp.py", "mnist_mlp.py"):
        with pytest.raises(RecipeError, match=f"no recipe {path}; the built-in recipe is called mnist_mlp"):
            locate(Path(path))


def test_show_and_run_take_a_name() -> None:
    shown = ms_gan("show", "mnist_mlp", "--set", "epochs=3")
    assert shown.exit_code == 0, shown.output
    assert "1,497,104 trainable" in shown.stdout
    fails(ms_gan("run", "mnist_mlp", "--set", "epochs=0"), "epochs must be a whole number of at least 1, got 0")
    fails(ms_gan("verify-resume", "mnist_mlp", "--at", "3", "--set", "epoch=1"), "did you mean 'epochs'")
    fails(ms_gan("run", "mnist_mpl"), "did you mean 'mnist_mlp'")


def test_starting_a_recipe_and_listing_them_load_neither_mindspore_nor_numpy() -> None:
    for arguments in (["new", "mine"], ["new", "--list"], ["run", "mnist_mpl"]):
        code = (
            f"import sys, ms_gan_callbacks.cli\ntry:\n ms_gan_callbacks.cli.main({arguments})\n"
            "except SystemExit: print(sorted({'mindspore', 'numpy'} & {*sys.modules}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.endswith("[]\n")


def test_what_is_installed_is_every_package_and_the_recipes() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "ms_gan_callbacks").rglob("__init__.py")}
    expected = {".".join(folder.parts) for folder in folders} | {"ms_gan_callbacks.recipes"}
    assert settings["options"]["packages"].split() == sorted(expected)
    assert settings["options"]["package_dir"].split() == ["ms_gan_callbacks.recipes", "=", "recipes"]


@pytest.mark.slow
def test_an_installed_wheel_has_the_recipes(tmp_path: Path) -> None:
    clone, site = tmp_path / "clone", tmp_path / "site"
    for name in ("ms_gan_callbacks", "recipes"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, clone], check=True)
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    shutil.rmtree(clone)

    def installed(*arguments: str) -> str:
        command = [sys.executable, "-m", "ms_gan_callbacks", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert [line.split()[0] for line in installed("new", "--list").splitlines()] == NAMES
    installed("new", "mine", "--from", "mnist_mlp")
    assert "1,497,104 trainable" in installed("show", "mine.py")
    shown = installed("show", "mnist_dcgan").replace("\n", "")  # a long path is broken
    assert str(site / "ms_gan_callbacks/recipes/mnist_dcgan.py") in shown
