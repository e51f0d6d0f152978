"""Recipes: the signature is the list of tunables, importing has no side effects, mistakes are one line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from conftest import RECIPE, TinyGenerator
from hypothesis import given
from hypothesis import strategies as st
from mindspore import nn

from ms_gan_callbacks import GanError, Recipe, RecipeError, Runner, load_recipe
from ms_gan_callbacks.config.catalog import read_summary
from ms_gan_callbacks.config.conversion import convert
from ms_gan_callbacks.config.parameters import Tunable
from ms_gan_callbacks.config.recipe import RecipeFile
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.training.lineage import read_recipe

HEAD = "from conftest import *\nfrom ms_gan_callbacks import *\nimport numpy as np\n"
BODY = """
    return Recipe(generator=TinyGenerator, discriminator=TinyDiscriminator, objective=NonSaturating(),
                  optimizer=adam, noise_dim=3, epochs={epochs}, seed={seed},
                  data=lambda: ArraySource(np.resize(np.arange(0, 256, 17, np.uint8), (8, 1, 4, 4)), batch_size=4))
"""


def write(
    path: str, signature: str = "epochs: int = 2", epochs: str = "epochs", seed: str = "0", top: str = ""
) -> Path:
    Path(path).write_text(
        f"{HEAD}{top}\ndef recipe({signature}) -> Recipe:{BODY.format(epochs=epochs, seed=seed)}"
    )
    return Path(path)


def test_the_first_recipe_is_the_tutorials_gan() -> None:
    recipe = load_recipe(RECIPE)
    assert (recipe.noise_dim, recipe.epochs, recipe.seed) == (128, 10, 0)
    assert recipe.origin is not None and recipe.origin.arguments["batch_size"] == 32
    assert recipe.origin.arguments["learning_rate"] == 2e-4
    generator = [type(cell).__name__ for cell in recipe.generator().layers]
    assert generator == ["Dense", "ReLU", "BatchNorm1d"] * 3 + ["Dense", "Tanh"]
    discriminator = recipe.discriminator()
    assert [type(cell).__name__ for cell in discriminator.layers] == ["Dense", "LeakyReLU"] * 2 + [
        "Dense",
        "Sigmoid",
    ]
    widths = [cell.weight.shape for cell in discriminator.layers if isinstance(cell, nn.Dense)]
    assert widths == [(512, 784), (256, 512), (1, 256)]
    widths = [cell.weight.shape for cell in recipe.generator().layers if isinstance(cell, nn.Dense)]
    assert widths == [(256, 128), (512, 256), (1024, 512), (784, 1024)]
    assert isinstance(recipe.optimizer(discriminator.trainable_params()), nn.Adam)


def test_the_signature_is_the_list_of_tunables() -> None:
    file = RecipeFile.open(RECIPE)
    assert {name: (tunable.type_name, tunable.default) for name, tunable in file.tunables.items()} == {
        "data_dir": ("str | None", None),
        "noise_dim": ("int", 128),
        "batch_size": ("int", 32),
        "learning_rate": ("float", 2e-4),
        "epochs": ("int", 10),
        "seed": ("int", 0),
    }


def test_overrides_bind_to_parameters_whether_typed_or_given() -> None:
    path = write("r.py", "epochs: int = 2, seed: int = 0", seed="seed")
    assert load_recipe(path, epochs="7").epochs == 7
    assert load_recipe(path, epochs=7, seed=3).seed == 3
    origin = load_recipe(path, epochs="7").origin
    assert origin is not None
    assert dict(origin.arguments) == {"epochs": 7, "seed": 0}
    assert origin.source == path.read_text()


@pytest.mark.parametrize(
    ("kinds", "text", "value"),
    [
        ((int,), "12", 12),
        ((int,), "-3", -3),
        ((float,), "1e-4", 1e-4),
        ((float,), "3", 3.0),
        ((bool,), "yes", True),
        ((bool,), "False", False),
        ((bool,), "0", False),
        ((str,), "a=b c", "a=b c"),
        ((str, type(None)), "none", None),
        ((str, type(None)), "some/where", "some/where"),
        ((int, type(None)), "None", None),
        ((Path,), "a/b", Path("a/b")),
        ((tuple,), "(1, 2)", (1, 2)),
        ((list,), "[0.5]", [0.5]),
        ((int, str), "7", 7),
        ((int, str), "seven", "seven"),
    ],
)
def test_text_becomes_a_value_of_the_parameters_type(kinds: tuple, text: str, value: object) -> None:
    converted = convert(Tunable("x", kinds, None), text)
    assert converted == value and type(converted) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        (int, "1.5", "a whole number"),
        (int, "many", "a whole number"),
        (int, "", "a whole number"),
        (int, "1e3", "a whole number"),
        (float, "fast", "a number"),
        (float, "nan", "a number"),
        (float, "inf", "a number"),
        (bool, "maybe", "true or false"),
        (tuple, "[1", "a tuple"),
        (tuple, "[1]", "a tuple"),
    ],
)
def test_text_that_is_no_such_value_is_refused_by_name(kind: type, text: str, wanted: str) -> None:
    with pytest.raises(RecipeError) as caught:
        convert(Tunable("x", (kind,), None), text)
    assert str(caught.value) == f"x takes {wanted}, not {text!r}"


def test_a_literal_names_its_choices() -> None:
    write("r.py", "act: Literal['relu', 'gelu', 3] = 'relu'", epochs="2", top="from typing import Literal")
    file = RecipeFile.open("r.py")
    assert file.tunables["act"].type_name == "'relu' | 'gelu' | 3"
    for text, value in (("gelu", "gelu"), ("3", 3)):
        origin = file.build({"act": text}).origin
        assert origin is not None and origin.arguments["act"] == value
    with pytest.raises(RecipeError, match="act takes one of 'relu', 'gelu', 3, not 'silu'"):
        file.build({"act": "silu"})


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans())
def test_what_python_prints_is_read_back(number: float, whole: int, truth: bool) -> None:
    for value in (number, whole, truth):
        assert convert(Tunable("x", (type(value),), None), repr(value)) == value


def test_two_recipes_of_one_name_keep_their_own_globals() -> None:
    for folder, width in (("a", 2), ("b", 3)):
        Path(folder).mkdir()
        write(f"{folder}/same.py", epochs="WIDTH", top=f"WIDTH = {width}")
    first = RecipeFile.open("a/same.py")
    second = RecipeFile.open("b/same.py")
    assert (first.build().epochs, second.build().epochs) == (2, 3)
    names = {file.function.__module__ for file in (first, second)}
    assert len(names) == 2 and names <= set(sys.modules)


def test_an_edited_recipe_does_not_change_the_one_loaded_before() -> None:
    first = RecipeFile.open(write("r.py", epochs="WIDTH", top="WIDTH = 2"))
    second = RecipeFile.open(write("r.py", epochs="WIDTH", top="WIDTH = 3"))
    assert (first.build().epochs, second.build().epochs) == (2, 3)


def test_a_recipe_that_fails_to_import_leaves_no_module_behind() -> None:
    before = set(sys.modules)
    with pytest.raises(RecipeError):
        RecipeFile.open(write("broken.py", top="1 / 0"))
    assert set(sys.modules) == before


MISTAKES = {
    "missing file": (None, "there is no recipe bad.py"),
    "syntax error": ("def recipe(:\n", "bad.py, line 1: "),
    "no recipe": ("x = 1\n", r"bad.py has no function recipe\(...\)"),
    "recipe is no function": ("recipe = 3\n", "bad.py has a recipe that is 3"),
    "returns something else": ("def recipe(): return 5\n", "bad.py returns int, not a Recipe"),
    "returns nothing": ("def recipe(): pass\n", "bad.py returns NoneType, not a Recipe"),
    "raises on import": ("\n1 / 0\n", r"importing the recipe raised ZeroDivisionError: .*bad.py, line 2\)"),
    "raises when called": (
        "def recipe():\n  raise ValueError('no')\n",
        r"raised ValueError: no \(bad.py, line 2\)",
    ),
    "imports what is not there": ("import no_such_module\n", "No module named 'no_such_module'"),
    "imports its neighbour": (
        "import neighbour\n",
        "imports neighbour.py from its own folder; a recipe stands alone",
    ),
    "variable arguments": ("def recipe(*args): pass\n", r"recipe\(\*args\) cannot be set by name"),
    "untyped and without default": ("def recipe(x): pass\n", "parameter x of recipe.* needs a default or a type"),
    "required and not given": ("def recipe(x: int): pass\n", "bad.py needs a value: --set x=..."),
    "not text": (b"\xff\xfe\x00", "bad.py cannot be read as a recipe"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_recipe_that_cannot_be_loaded_says_why_in_one_line(kind: str) -> None:
    content, message = MISTAKES[kind]
    Path("neighbour.py").write_text("")
    if content is not None:
        Path("bad.py").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("bad.py")
    assert "\n" not in str(caught.value)


def test_a_wrong_name_is_answered_with_what_there_is() -> None:
    write("mine.py", "epochs: int = 2, learning_rate: float = 1e-4")
    with pytest.raises(RecipeError) as caught:
        load_recipe("mine.py", learning_rat=1)
    assert str(caught.value) == (
        "mine.py has no parameter 'learning_rat'; did you mean 'learning_rate'? Available: epochs, learning_rate"
    )
    with pytest.raises(RecipeError, match=r"there is no recipe mine2.py; did you mean 'mine.py'\?"):
        load_recipe("mine2.py")
    with pytest.raises(RecipeError, match=r"there is no recipe none/mine.py: there is no folder none"):
        load_recipe("none/mine.py")
    with pytest.raises(RecipeError, match="is a folder"):
        load_recipe(".")


GOOD = {
    "generator": nn.ReLU,
    "discriminator": nn.ReLU,
    "optimizer": nn.Adam,
    "data": list,
    "noise_dim": 3,
    "epochs": 1,
    "objective": load_recipe(RECIPE).objective,
}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs must be a whole number of at least 1, got 0"),
        ("epochs", 2.0, "epochs must be a whole number of at least 1, got 2.0"),
        ("noise_dim", -1, "noise_dim must be a whole number of at least 1, got -1"),
        ("seed", -1, "seed must be a whole number of at least 0, got -1"),
        ("generator", 3, "generator must be a class or a function, not 3"),
        (
            "generator",
            nn.ReLU(),
            "generator must be a class or a function that builds it, not an instance: pass ReLU or functools",
        ),
        ("data", "mnist", "data must be a class or a function, not 'mnist'"),
        ("objective", "bce", "objective must be an object with a method discriminator_loss, not 'bce'"),
        ("objective", type(GOOD["objective"]), "objective must be an object with a method"),
    ],
)
def test_a_recipe_checks_its_fields(field: str, value: object, message: str) -> None:
    assert Recipe(**GOOD)
    with pytest.raises(RecipeError, match=message):
        Recipe(**(GOOD | {field: value}))


def test_every_mistake_of_a_recipe_is_a_usage_error_of_the_command_line() -> None:
    assert issubclass(RecipeError, GanError)
    assert RecipeError.exit_code == 2


SOURCES = {
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
    "another encoding": lambda text: ("# -*- coding: latin-1 -*-\n# caf\xe9\n" + text).encode("latin-1"),
    "another system's line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "both": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "no end": lambda text: text.rstrip().encode(),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_whatever_python_takes_is_taken_and_kept_byte_by_byte(kind: str) -> None:
    path = write("r.py", "epochs: int = 1")
    content = SOURCES[kind](path.read_text())
    path.write_bytes(content)
    runner = Runner.from_recipe(load_recipe(path), "run")
    runner.train(quiet=True)
    assert Path("run/recipe.py").read_bytes() == content
    assert read_recipe(Path("run"), Manifest.read(Path("run")), {}).epochs == 1
    assert read_summary(path) == ""  # and whoever only looks at the docstring can read it, too


BROKEN_SOURCES = {
    "an unknown encoding": (b"# coding: klingon\n", "unknown encoding"),
    "not in its encoding": (b"# caf\xe9\n", "cannot be read as a recipe"),
    "two encodings": (b"\xef\xbb\xbf# coding: latin-1\n", "cannot be read as a recipe"),
}


@pytest.mark.parametrize("kind", BROKEN_SOURCES)
def test_a_file_that_is_not_what_it_says_is_refused_in_one_line(kind: str) -> None:
    content, message = BROKEN_SOURCES[kind]
    Path("bad.py").write_bytes(content)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("bad.py")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ema": 0.5}, "ema is 0.5, but its file gives None"),
        ({"generator": lambda: TinyGenerator(3)}, "generator is"),
        ({"seed": 5}, "seed is 5, but its file gives 0"),
    ],
)
def test_a_recipe_that_its_file_does_not_make_could_not_be_opened_again(changes: dict, message: str) -> None:
    recipe = load_recipe(write("r.py", "epochs: int = 1"))
    with pytest.raises(RecipeError, match=f"cannot be resumed: {message}") as caught:
        Runner.from_recipe(replace(recipe, **changes), "run").train(quiet=True)
    assert "\n" not in str(caught.value)
    assert not Path("run").exists()
    if "ema" in changes:
        assert Runner.from_recipe(replace(recipe, **changes, origin=None), "run").train(quiet=True).step == 2


def test_a_recipe_that_cannot_be_read_where_it_is_kept_is_refused_before_the_first_step() -> None:
    top = "if not (Path(__file__).parent / 'beside.txt').exists():\n    raise OSError('beside.txt is not here')\n"
    path = write("r.py", "epochs: int = 1", top=f"from pathlib import Path\n{top}")
    Path("beside.txt").touch()
    with pytest.raises(RecipeError, match=r"cannot be resumed from its run directory: .*beside.txt"):
        Runner.from_recipe(load_recipe(path), "run").train(quiet=True)
    assert not Path("run").exists()


def test_an_argument_that_cannot_be_kept_is_refused_before_the_first_step_unless_it_is_the_default() -> None:
    path = write("r.py", "epochs: int = 1, act=len, colour=Colour.RED", top=COLOUR)
    with pytest.raises(RecipeError, match="act=<built-in function abs> cannot be restored"):
        Runner.from_recipe(load_recipe(path, act=abs), "run").train(quiet=True)
    assert not Path("run").exists()
    Runner.from_recipe(load_recipe(path, colour="GREEN"), "run").train(quiet=True)
    assert json.loads(Path("run/run.json").read_bytes())["arguments"] == {"epochs": 1, "colour": "GREEN"}
    origin = read_recipe(Path("run"), Manifest.read(Path("run")), {}).origin
    assert origin is not None
    assert origin.arguments["act"] is len
    assert origin.arguments["colour"].name == "GREEN"


COLOUR = """
from enum import Enum

class Colour(Enum):
    RED = 1
    GREEN = 2
"""


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        (
            "optimizer",
            "partial(nn.Adam, lr=1e-3)",
            "building the discriminator's optimizer raised KeyError: For 'Adam'",
        ),
        ("data", "lambda: 1 / 0", "building the data raised ZeroDivisionError"),
        ("data", "lambda: 1", "cannot train on data of type int"),
        ("generator", "lambda: 1 / 0", "building the generator raised ZeroDivisionError"),
        ("discriminator", "lambda: 1 / 0", "building the discriminator raised ZeroDivisionError"),
        (
            "discriminator_optimizer",
            "lambda p: 1 / 0",
            "building the discriminator's optimizer raised ZeroDivision",
        ),
    ],
)
def test_every_factory_of_a_recipe_is_called_inside_the_same_net(name: str, body: str, message: str) -> None:
    recipe = load_recipe(write("r.py", "epochs: int = 1"))
    made = {name: eval(body, {"partial": partial, "nn": nn})}
    with pytest.raises(RecipeError, match=message) as caught:
        Runner.from_recipe(replace(recipe, **made, origin=None), "run").train(quiet=True)
    assert "\n" not in str(caught.value)
    assert not Path("run").exists()
