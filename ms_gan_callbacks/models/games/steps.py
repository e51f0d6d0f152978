"""The steps of a game: one compiled graph for each set of players and terms of a step."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import mindspore as ms
from mindspore import Parameter, Tensor, nn

from ms_gan_callbacks.errors import RecipeError
from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.games.game import STEP, Bound, Game, bind, list_losses
from ms_gan_callbacks.models.games.player import Player
from ms_gan_callbacks.models.games.step import TrainingStep, Turn
from ms_gan_callbacks.models.games.trial import TrialResult
from ms_gan_callbacks.models.world import World

MOST_STEPS = 1000
"""Steps among which sets of players and terms are looked for."""


class Cast(NamedTuple):
    """A game with its networks, players, optimizers and moving averages by name, its state, and the ranks."""

    game: Game
    networks: Mapping[str, nn.Cell]
    players: Mapping[str, Player]
    optimizers: Mapping[str, nn.Optimizer]
    averages: Mapping[str, EMA]
    state: Sequence[Parameter] = ()
    ranks: World = World()


class Steps:
    """Builds the steps of a game.

    Args:
        cast: the game and all that takes part in it.
        tried: the results of its trial.
        columns: names of the data's columns.

    Attributes:
        inputs: names of the inputs of a step, in order.
        scalars: names of the scalars of a step, in order.

    Raises:
        RecipeError: two scalars have the same name.
    """

    def __init__(self, cast: Cast, tried: TrialResult, columns: Collection[str]) -> None:
        self._cast, self._tried = cast, tried
        game = cast.game
        methods = ["make", *(method for name in cast.players for method in list_losses(game, name))]
        used = {name for method in methods for name in game.get_inputs(method)}
        self.inputs = tuple(name for name in (*columns, *game.chance, STEP) if name in used)
        self.scalars = tuple(name for player in cast.players for name in (f"{player}_loss", *tried.keys[player]))
        for name in self.scalars:
            if self.scalars.count(name) > 1:
                raise RecipeError(f"{type(game).__name__} publishes two scalars named {name!r}: rename one")
        players = {name: player.every for name, player in cast.players.items()}
        self._periods: dict[str, int] = {**players, **game.terms}
        self._built: dict[tuple[str, ...], TrainingStep] = {}

    def list_due(self, step: int) -> tuple[str, ...]:
        """Return the names of the players that are updated in a step, and of the terms that are computed."""
        return tuple(name for name, every in self._periods.items() if step % every == 0)

    def get(self, due: Collection[str] | None = None) -> TrainingStep:
        """Return the step that updates some players and computes some terms, by default all."""
        moving = tuple(name for name in self._periods if due is None or name in due)
        if moving not in self._built:
            self._built[moving] = self._build(moving)
        return self._built[moving]

    def compile_all(self, first: TrainingStep, inputs: Sequence[Tensor]) -> set[str]:
        """Compile all steps of a run, given the first, for inputs; return the names of their Parameters."""
        period = math.lcm(*self._periods.values())
        kinds = dict.fromkeys(self.list_due(step) for step in range(1, min(MOST_STEPS, period) + 1))
        steps = dict.fromkeys([first, *(self.get(due) for due in kinds)])
        return {name for step in steps for name in step.compile_for(*inputs)}

    def list_losses(self) -> list[Bound]:
        """Return the losses of all players, bound to ``inputs``."""
        return [self._bind_loss(name, ()) for name in self._cast.players]

    def _build(self, due: tuple[str, ...]) -> TrainingStep:
        cast, idle = self._cast, [name for name in self._periods if name not in due]
        make = bind(cast.game, "make", self.inputs)
        losses = {name: self._bind_loss(name, idle) for name in cast.players}
        told = {scalar for name, loss in losses.items() if name in due for scalar in loss.scalars}
        turns = [
            Turn(
                losses[name],
                make,
                player,
                cast.optimizers[name],
                [cast.averages[one] for one in player.trains if player.ema is not None],
                ranks=cast.ranks,
                moves=name in due,
                trains_maker=not self._tried.makes.isdisjoint(player.trains),
            )
            for name, player in cast.players.items()
            if name in due or not told.issuperset(losses[name].scalars)  # else another player's loss returns them
        ]
        floats = [one for one in cast.state if one.dtype == ms.float32]
        state = [one for one in floats if not getattr(one, "same_on_all_ranks", False)]
        networks = list(cast.networks.values())
        return TrainingStep(cast.game, make, turns, self.scalars, ranks=cast.ranks, state=state, networks=networks)

    def _bind_loss(self, player: str, idle: Collection[str]) -> Bound:
        game = self._cast.game
        method = game.get_loss(player, idle)
        keys = game.get_keys(method)
        if keys is None:
            keys = self._tried.keys[player]
        bound = bind(game, method, self.inputs)
        return bound._replace(scalars=(f"{player}_loss", *keys), keys=keys)
