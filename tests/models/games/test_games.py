"""Games of any number of players: the compiled step against plain loops, state, and idle players."""

from __future__ import annotations

import numpy as np
import pytest
from mindspore import Tensor

from ms_gan_callbacks import Player
from ms_gan_callbacks.data.columns import read_batches
from ms_gan_callbacks.models.games.chance import draw_all
from ms_gan_callbacks.models.players import Players

from .zoo import COLUMNS, GAMES, Columns, Pix2Pix, PlainLoop, make_players, sgd


def list_inputs(players: Players, name: str, steps: int) -> list[dict[str, np.ndarray]]:
    source, inputs = Columns(COLUMNS[name], 40), []
    for step, batch in enumerate(read_batches(source, 0, 1), 1):
        inputs.append({**batch, **draw_all(players.game.chance, 3, step, 4)})
    return inputs[:steps]


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_a_step_equals_a_plain_loop_of_separate_updates(name: str) -> None:
    ours, plain = make_players(name, fast=False), make_players(name, fast=False)
    ours.prepare(Columns(COLUMNS[name]))
    loop = PlainLoop(plain)
    statistics = ("moving_mean", "moving_variance")
    for inputs in list_inputs(ours, name, 10):
        told = dict(zip(ours.steps.scalars, ours.train_step(inputs).asnumpy().tolist(), strict=True))
        for scalar, value in loop.step(inputs).items():
            assert told[scalar] == pytest.approx(value, abs=2e-5), scalar
    expected = plain.weights()
    for parameter, value in ours.weights().items():
        if not parameter.endswith(statistics) and not parameter.startswith("ema."):
            # Adam divides gradients by their size, so that roundings of small gradients are enlarged
            np.testing.assert_allclose(value, expected[parameter], atol=2e-5, err_msg=parameter)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cyclegan", "infogan"])
def test_with_plain_gradients_ten_steps_agree_within_a_millionth(name: str) -> None:
    game, networks, players = GAMES[name]
    slow = {one: Player(player.trains, sgd) for one, player in players.items()}
    ours, plain = (Players(game, networks, slow, fast=False) for _ in range(2))
    ours.prepare(Columns(COLUMNS[name]))
    loop = PlainLoop(plain)
    for inputs in list_inputs(ours, name, 10):
        ours.train_step(inputs)
        loop.step(inputs)
    expected = plain.weights()
    for parameter, value in ours.weights().items():
        if "moving" not in parameter:
            np.testing.assert_allclose(value, expected[parameter], atol=1e-6, rtol=1e-6, err_msg=parameter)


class Lazy(Pix2Pix):
    """A term of the generator's loss is computed in every third step only."""

    terms = {"brightness": 3}

    def get_loss(self, player: str, idle: object) -> str:
        bright = player == "generator" and "brightness" not in idle
        return "bright_loss" if bright else super().get_loss(player, idle)

    def bright_loss(self, made: Tensor, source: Tensor, target: Tensor) -> object:
        loss, further = self.generator_loss(made, source, target)
        return loss + 1000.0, further


def test_a_term_is_part_of_the_loss_in_every_nth_step_only() -> None:
    _, networks, players = GAMES["pix2pix"]
    ours = Players(Lazy, networks, players, fast=False)
    ours.prepare(Columns(COLUMNS["pix2pix"]))
    losses = []
    for step, inputs in enumerate(list_inputs(ours, "pix2pix", 6), 1):
        told = ours.train_step(inputs, ours.steps.list_due(step)).asnumpy()
        losses.append(told[ours.steps.scalars.index("generator_loss")])
    assert [loss > 900 for loss in losses] == [False, False, True, False, False, True]
