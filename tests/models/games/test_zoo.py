"""Each kind of GAN of the public zoo that needs a game trains: all weights move, and all scalars are finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ms_gan_callbacks.models.games.chance import draw_all
from ms_gan_callbacks.models.players import Players

from .kinds import KINDS
from .zoo import SHAPE

FAST = ("aae",)
"""Codes instead of images, shared layers, a schedule with frozen features, and second derivatives."""


class Source:
    """A source of random columns: small images "lr", integers, attributes, and images."""

    batch_size, count, steps_per_epoch = 4, 12, 3

    def __init__(self, columns: tuple[str, ...]) -> None:
        draw = np.random.default_rng(5)
        self.name, self.columns, self.image_shape = "zoo", columns, SHAPE
        drawn = {
            "labels": draw.integers(0, 2, 12).astype(np.int32),
            "classes": draw.integers(0, 3, 12).astype(np.int32),
            "attributes": draw.integers(0, 2, (12, 2)).astype(np.float32),
            "lr": draw.uniform(-1, 1, (12, 1, 4, 4)).astype(np.float32),
        }
        self.rows = {
            name: drawn.get(name, draw.uniform(-1, 1, (12, *SHAPE)).astype(np.float32)) for name in columns
        }

    def sha256(self) -> None:
        return None

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[dict[str, np.ndarray]]:
        for step in range(start, self.steps_per_epoch):
            yield {name: rows[4 * step : 4 * step + 4] for name, rows in self.rows.items()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in KINDS]
)
def test_three_steps_change_every_network_that_a_player_trains(name: str) -> None:
    game, networks, settings, columns = KINDS[name]
    players, source = Players(game, networks, settings), Source(tuple(columns.split()))
    players.prepare(source)
    before = players.weights()
    for step, batch in enumerate(source.batches(0, 1), 1):
        inputs = {**batch, **draw_all(players.game.chance, 3, step, 4), "step": np.array(step, np.float32)}
        scalars = players.train_step(inputs, players.steps.list_due(step)).asnumpy()
        assert np.isfinite(scalars).all(), dict(zip(players.steps.scalars, scalars, strict=True))
    after = players.weights()
    changed = {one.partition(".")[0] for one in before if not np.array_equal(before[one], after[one])}
    assert changed.intersection(networks) == {one for player in settings.values() for one in player.trains}
