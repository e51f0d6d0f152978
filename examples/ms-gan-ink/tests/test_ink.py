"""A real run of a tiny GAN, and samples whose ink is known."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from mindspore import nn
from ms_gan_ink.callbacks import InkLog
from ms_gan_ink.ink_mlp import Discriminator, Generator, recipe
from ms_gan_ink.metrics import ink_gap

from ms_gan_callbacks import Every, Runner, Sample


def flat(value: int) -> Sample:
    """Return four images of one shade, 0 to 255."""
    return Sample(np.full((4, 1, 28, 28), value, np.uint8))


def test_the_gap_is_the_difference_of_mean_shades() -> None:
    assert ink_gap(flat(0), flat(255)) == ink_gap(flat(255), flat(0)) == 1
    assert ink_gap(flat(100), flat(100)) == 0
    assert ink_gap(flat(51), flat(0)) == 0.2


def test_ink_is_logged_when_it_is_due_and_at_the_end(tmp_path: Path) -> None:
    runner = Runner(
        partial(Generator, 4, 8),
        partial(Discriminator, 8),
        optimizer=partial(nn.Adam, learning_rate=1e-3),
        noise_dim=4,
        out_dir=tmp_path / "run",
    )
    images = np.resize(np.arange(0, 256, 17, np.uint8), (12, 1, 28, 28))
    runner.train(1, images, [InkLog(Every.steps(2), samples=9)], batch_size=4, quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    inks = {line["step"]: line["ink"] for line in lines if "ink" in line}
    assert sorted(inks) == [2, 3]
    assert np.isclose(inks[3], (runner.sample(9, "ink").mean() + 1) / 2)


def test_the_recipe_is_one() -> None:
    described = recipe(epochs=2)
    assert described.epochs == 2
    assert list(described.metrics) == ["ink_gap"]
