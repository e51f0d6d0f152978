"""``ms-gan verify-resume`` finds a recipe that resumes exactly, and one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ms_gan_callbacks.cli import main

RECIPE = """
import numpy as np
from mindspore import nn
from ms_gan_callbacks import ArraySource, NonSaturating, Recipe

class Generator(nn.Cell):
    def __init__(self):
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(3, 8), {middle}, nn.Dense(8, 16), nn.Tanh())

    def construct(self, noise):
        return self.layers(noise).reshape(-1, 1, 4, 4)

def recipe(epochs: int = 3) -> Recipe:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4), dtype=np.uint8)
    return Recipe(generator=Generator, discriminator=lambda: nn.SequentialCell(nn.Flatten(), nn.Dense(16, 1)),
                  objective=NonSaturating(), optimizer=lambda p: nn.Adam(p, 1e-2), noise_dim=3, epochs=epochs,
                  data=lambda: ArraySource(images, batch_size=4))
"""


@pytest.mark.parametrize(
    ("middle", "code", "verdict"),
    [
        ("nn.BatchNorm1d(8)", 0, "the same"),
        ("nn.Dropout(p=0.5)", 0, "the same"),
        ("nn.Dropout1d(p=0.5)", 1, "DIFFERENT"),
    ],
)
@pytest.mark.slow
def test_a_recipe_is_proved_to_resume_exactly_or_not_to(middle: str, code: int, verdict: str) -> None:
    Path("r.py").write_text(RECIPE.format(middle=middle))
    result = CliRunner().invoke(main, ["verify-resume", "r.py", "--at", "7"])
    assert result.exit_code == code, result.output
    assert "14 steps uninterrupted, and killed after step 7 and resumed" in result.stdout
    assert f"  {verdict}" in result.stdout
    assert ("Error: the resumed run differs" in result.stderr) == bool(code)


@pytest.mark.slow
def test_a_step_beyond_the_run_is_one_line() -> None:
    Path("r.py").write_text(RECIPE.format(middle="nn.ReLU()"))
    result = CliRunner().invoke(main, ["verify-resume", "r.py", "--at", "29"])
    assert result.exit_code == 1
    assert "Error: the run ended before step 58: choose an earlier --at, or more epochs" in result.stderr
