"""Environment variables of MindSpore that change results: kept, compared, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from conftest import tiny_players, tiny_runner
from processes import TINY_GAN

from ms_gan_callbacks import Checkpoint, GanWarning, RunDirError, UsageError
from ms_gan_callbacks.storage.environment import list_mindspore_variables


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MS_")]:
        monkeypatch.delenv(name)


@pytest.mark.slow
def test_a_run_goes_on_with_the_variables_it_began_with(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MS_DEV_SOMETHING", "1")
    monkeypatch.setenv("MS_OM_PATH", "elsewhere")  # which changes no number
    tiny_runner("run").train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    assert json.loads(Path("run/run.json").read_bytes())["environment"] == {"MS_DEV_SOMETHING": "1"}
    monkeypatch.setenv("MS_OM_PATH", "somewhere else")
    for value in ("2", None):
        if value is None:
            monkeypatch.delenv("MS_DEV_SOMETHING")
        else:
            monkeypatch.setenv("MS_DEV_SOMETHING", value)
        told = f"this run has MS_DEV_SOMETHING = '1', not {value!r};.*--allow-change MS_DEV_SOMETHING"
        with pytest.raises(RunDirError, match=told):
            tiny_runner("run", resume=True).train(2, images, [Checkpoint()], batch_size=4, quiet=True)
    allowed = tiny_runner("run", resume=True, allow_change=["MS_DEV_SOMETHING"])
    assert allowed.train(2, images, [Checkpoint()], batch_size=4, quiet=True).step == 10


@pytest.mark.slow
def test_a_run_of_an_older_version_that_kept_no_variables_goes_on(images: np.ndarray) -> None:
    tiny_runner("run").train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    facts = json.loads(Path("run/run.json").read_bytes())
    del facts["environment"]
    Path("run/run.json").write_text(json.dumps(facts))
    os.environ["MS_DEV_SOMETHING"] = "1"  # taken back with all others by the fixture
    try:
        tiny_runner("run", resume=True).train(2, images, [Checkpoint()], batch_size=4, quiet=True)
    finally:
        del os.environ["MS_DEV_SOMETHING"]


@pytest.mark.parametrize("name", ["MS_SIMULATION_LEVEL", "MS_DEV_PRECOMPILE_ONLY"])
def test_a_variable_with_which_nothing_is_computed_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(UsageError, match=f"{name} is set, which makes MindSpore simulate"):
        list_mindspore_variables()


def test_the_compile_cache_is_left_off_and_that_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MS_COMPILER_CACHE_ENABLE", "1")
    monkeypatch.setattr(ms, "get_context", lambda name, real=ms.get_context: told.get(name, real(name)))
    told: dict = {"enable_compile_cache": None}  # as it is in a process of its own
    with pytest.warns(GanWarning, match="compile cache was disabled"):
        tiny_players()
    told.clear()
    assert ms.get_context("enable_compile_cache") is False
    tiny_players()


RECIPE = (
    TINY_GAN
    + """
def recipe(epochs: int = 1):
    return tiny_gan(epochs, [Checkpoint()])
"""
)


@pytest.mark.slow
def test_an_edited_recipe_trains_its_own_network_with_the_cache_on() -> None:
    def digest(out: str, slope: str, **variables: str) -> bytes:
        Path("tiny.py").write_text(RECIPE.replace("nn.LeakyReLU(0.2)", f"nn.LeakyReLU({slope})"))
        command = [sys.executable, "-m", "ms_gan_callbacks", "run", "tiny.py", "--out", out, "-q"]
        subprocess.run(command, check=True, env=os.environ | variables, capture_output=True)
        return Path(out, "checkpoints/step-00000005/weights.safetensors").read_bytes()

    cache = {"MS_COMPILER_CACHE_ENABLE": "1", "MS_COMPILER_CACHE_PATH": str(Path("cache").absolute())}
    old = digest("old", "0.2", **cache)
    new = digest("new", "0.9", **cache)
    assert new != old
    assert new == digest("plain", "0.9")
