"""A run is compiled from the text that it was started with, whoever edits its files meanwhile."""

from __future__ import annotations

import inspect
import linecache
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import TINY_GAN

from ms_gan_callbacks import Callback, Run, Runner, load_recipe
from ms_gan_callbacks.storage.source_text import pin_source, pin_sources

RECIPE = f"""{TINY_GAN}
SCALE = 1.0


class Scaled(TinyGenerator):
    def construct(self, noise):
        return SCALE * super().construct(noise)


def recipe(epochs: int = 1):
    from dataclasses import replace
    return replace(tiny_gan(epochs, []), generator=Scaled)
"""


class Edits(Callback):
    """Edits the recipe's file in the middle of the run, and only then draws for the first time."""

    def __init__(self, path: Path) -> None:
        self.path, self.drawn = path, np.zeros(0)

    def on_train_step_end(self, run: Run) -> None:
        if run.step == 3:
            text = self.path.read_text()
            self.path.write_text(text.replace("return SCALE * super()", "return 0 * super()"))
            self.drawn = run.sample(4)


@pytest.mark.slow
def test_a_graph_that_is_compiled_late_is_that_of_the_text_that_was_read() -> None:
    path = Path("mine.py")
    path.write_text(RECIPE)
    edits = Edits(path)
    Runner.from_recipe(load_recipe(path), "run").train(callbacks=[edits], quiet=True)
    assert "0 * super()" in path.read_text()
    assert np.abs(edits.drawn).max() > 0
    assert Path("run/recipe.py").read_text() == RECIPE


def test_a_module_beside_a_script_is_pinned_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("networks_of_mine.py").write_text("def construct():\n    return 1\n")
    monkeypatch.syspath_prepend(Path.cwd())
    import networks_of_mine  # type: ignore[import-not-found]

    pin_sources()
    Path("networks_of_mine.py").write_text("def construct():\n    return 'something much longer'\n")
    assert inspect.getsource(networks_of_mine.construct) == "def construct():\n    return 1\n"
    del sys.modules["networks_of_mine"]


def test_each_text_of_a_file_keeps_its_own_name() -> None:
    names = [pin_source(Path("a.py"), text) for text in ("x = 1\n", "x = 2\n", "x = 1\n")]
    assert names[0] == "a.py" != names[1]
    assert names[2] == names[0]
    assert Path(names[1]) == Path("a.py"), "it leads to the same file"
    assert [linecache.getline(name, 1) for name in names] == ["x = 1\n", "x = 2\n", "x = 1\n"]
    assert pin_source(Path("a.py").absolute(), "x = 3\n") == str(Path("a.py").absolute())
