"""A callback, metric, objective, layer, data source or command is added by one file and the public list."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

NEW = {
    "callbacks/step_counter.py": '''
from ms_gan_callbacks.events.callback import Callback


class StepCounter(Callback):
    """Counts steps."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    def on_train_step_end(self, run) -> None:
        self.count += 1

    def summary(self) -> str:
        return f"{self.count} counted"
''',
    "metrics/brightness.py": '''
from ms_gan_callbacks.metrics.direction import higher_is_better


@higher_is_better
def brightness(real, fake) -> float:
    """Return the mean pixel of the fakes, 0 to 255."""
    return float(fake.images.mean())
''',
    "models/losses/chi_square.py": '''
from mindspore import ops

from ms_gan_callbacks.models.losses.objective import Objective


class ChiSquare(Objective):
    """Squared scores."""

    def discriminator_loss(self, real, fake):
        return ops.square(real - 1).mean() + ops.square(fake).mean()

    def generator_loss(self, fake):
        return ops.square(fake - 1).mean()
''',
    "models/layers/flatten.py": '''
from mindspore import nn

from ms_gan_callbacks.models.layers.base import Fast


class Flatten(Fast, nn.Flatten):
    """:class:`mindspore.nn.Flatten` by one reshape."""

    def refit(self) -> None:
        pass

    def construct(self, x):
        return x.reshape(x.shape[0], -1)
''',
    "data/stripes.py": '''
import numpy as np

from ms_gan_callbacks.data.arrays import ArraySource


def stripes(count: int = 20) -> ArraySource:
    """Return images of stripes, (N, 1, 4, 4)."""
    images = np.zeros((count, 1, 4, 4), np.uint8)
    images[:, :, ::2] = np.arange(200, 200 + count).reshape(-1, 1, 1, 1)
    return ArraySource(images, batch_size=4, name="stripes")
''',
    "cli/commands/hello.py": '''
import click


@click.command("hello")
def command() -> None:
    """Say hello."""
    click.echo("hello from a new command")
''',
}
PUBLIC = {
    ".callbacks.step_counter": "StepCounter",
    ".metrics.brightness": "brightness",
    ".models.losses.chi_square": "ChiSquare",
    ".data.stripes": "stripes",
}
RECIPE = """
from functools import partial

from mindspore import nn

from ms_gan_callbacks import ChiSquare, Recipe, StepCounter, stripes, thumbnails


class Generator(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(3, 16), nn.Tanh())

    def construct(self, noise):
        return self.layers(noise).reshape(-1, 1, 4, 4)


class Discriminator(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layers = nn.SequentialCell(nn.Flatten(), nn.Dense(16, 1))

    def construct(self, images):
        return self.layers(images)


def recipe(epochs: int = 2):
    return Recipe(
        generator=Generator,
        discriminator=Discriminator,
        objective=ChiSquare(),
        optimizer=partial(nn.Adam, learning_rate=1e-3),
        data=stripes,
        noise_dim=3,
        epochs=epochs,
        features=thumbnails,
        evaluate_samples=8,
    )
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the package that has one more of each."""
    folder = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ms_gan_callbacks", folder / "ms_gan_callbacks", ignore=ignored)
    shutil.copytree(ROOT / "recipes", folder / "recipes", ignore=ignored)
    for name, text in NEW.items():
        (folder / "ms_gan_callbacks" / name).write_text(text)
    stub = folder / "ms_gan_callbacks" / "__init__.pyi"
    imports = "".join(f"from {module} import {name}\n" for module, name in PUBLIC.items())
    names = "".join(f'    "{name}",\n' for name in PUBLIC.values())
    stub.write_text(imports + stub.read_text().replace("__all__ = [\n", "__all__ = [\n" + names))
    (folder / "striped.py").write_text(RECIPE)
    return folder


def ms_gan(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "ms_gan_callbacks", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_new_command_is_listed_and_runs(extended: Path) -> None:
    assert "Say hello." in ms_gan(extended, "--help")
    assert ms_gan(extended, "hello") == "hello from a new command\n"


@pytest.mark.slow
def test_new_components_have_names_and_a_run_can_be_made_of_them(extended: Path) -> None:
    listed = ms_gan(extended, "plugins")
    assert "StepCounter" in listed and "brightness" in listed
    options = ("--callback", "StepCounter:start=5", "--metric", "brightness")
    out = ms_gan(extended, "run", "striped.py", "--out", "run", "--quiet", *options)
    assert "StepCounter      15 counted" in out  # 5 and two epochs of 5 steps
    assert "1 Flatten" in out  # the layer has taken the stock one's place
    facts = json.loads((extended / "run" / "run.json").read_text())
    assert facts["data"]["name"] == "stripes" and facts["objective"] == "ChiSquare"
    lines = [json.loads(line) for line in (extended / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len([line for line in lines if 0 <= line.get("brightness", -1) <= 255]) == 2
