"""The training step: one compiled graph in which every player of a game is updated in turn.

::

    columns, random inputs ──> made = make(...)                computed once
                        players before the maker: loss on made, as a constant ──> their optimizers
                        the maker:                loss on made, gradient through make ──> its optimizer
                        players after the maker:  loss on made, or on images made again ──> their optimizers
                        ──> every player's loss and further scalars   (on the device)

The maker is the first updated player that trains a network that ``make`` uses. Later players that train such a
network compute ``make`` again, because it has been updated.

With several ranks, each computes this for its part of the batch. Each player's gradients are replaced by their
means over all ranks before they are clipped, and at the end the scalars and the game's state by theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.games.game import Bound
from ms_gan_callbacks.models.games.player import Player
from ms_gan_callbacks.models.graph_mode import compilation, graph_mode
from ms_gan_callbacks.models.layers.primitives import add_n, each
from ms_gan_callbacks.models.mindspore_private import list_graph_parameters
from ms_gan_callbacks.models.world import World


def _sum_squares(tensor: Tensor) -> Tensor:
    return ops.square(tensor).sum()


def _scale(factor: Tensor, tensor: Tensor) -> Tensor:
    return factor * tensor


def _clip(limit: float, parameter: ms.Parameter) -> Tensor:
    return ops.assign(parameter, ops.clip_by_value(parameter, -limit, limit))


class Call(nn.Cell):  # type: ignore[misc]
    """Calls a method of a game with its inputs."""

    def __init__(self, bound: Bound) -> None:
        super().__init__(auto_prefix=False)
        self.function, self.takes_made, self.places = bound.function, bound.takes_made, bound.places

    def construct(self, made: Any, batch: tuple[Tensor, ...]) -> Any:
        """Return what the method returns."""
        inputs = [batch[place] for place in self.places]
        return self.function(made, *inputs) if self.takes_made else self.function(*inputs)


class Loss(nn.Cell):  # type: ignore[misc]
    """Computes a player's loss and its further scalars."""

    def __init__(self, bound: Bound) -> None:
        super().__init__(auto_prefix=False)
        self.loss_of, self.keys, self.with_scalars = Call(bound), bound.keys, bool(bound.keys)

    def construct(self, made: Any, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the loss and the further scalars."""
        returned = self.loss_of(made, batch)
        if self.with_scalars:
            return (returned[0], *[returned[1][key] for key in self.keys])
        return (returned,)


class Turn(nn.Cell):  # type: ignore[misc]
    """One player's turn in a step: its loss, and its update unless it is idle.

    Args:
        loss: computes the loss.
        make: computes what the loss is computed from, if ``remakes``.
        player: the player's settings.
        optimizer: the player's optimizer.
        averages: the moving averages of the networks it trains.
        ranks: the ranks over which gradients are averaged.
        moves: whether the player is updated.
        trains_maker: whether it trains a network that ``make`` uses.
    """

    def __init__(
        self,
        loss: Bound,
        make: Bound,
        player: Player,
        optimizer: nn.Optimizer,
        averages: Sequence[EMA] = (),
        *,
        ranks: World,
        moves: bool = True,
        trains_maker: bool = False,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.judge, self.make_of, self.optimizer = Loss(loss), Call(make), optimizer
        self.averages = nn.CellList(list(averages), auto_prefix=False)
        self.scalars = loss.scalars
        self.clip_norm, self.clip = player.clip_norm, player.clip
        self.moves, self.trains_maker, self.remakes = moves, trains_maker, trains_maker
        self.shared, self.mean = ranks.size > 1, ranks.mean()
        self.gradient = ms.value_and_grad(self._compute, None, optimizer.parameters, has_aux=True)

    def _compute(self, made: Any, batch: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.remakes:
            made = self.make_of((), batch)
        told = self.judge(made, batch)
        return told[0], told

    def update(self, told: tuple[Tensor, ...], gradients: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Update the player's networks and their averages; return the scalars, which then depend on the update."""
        if self.shared:
            gradients = self.mean(gradients)
        if self.clip_norm is not None:
            length = ops.sqrt(add_n(each(_sum_squares, gradients)))
            shrink = self.clip_norm / ops.maximum(length, self.clip_norm)
            gradients = each(ops.partial(_scale, shrink), gradients)
        loss = ops.depend(told[0], self.optimizer(gradients))
        if self.clip is not None:
            loss = ops.depend(loss, each(ops.partial(_clip, self.clip), self.optimizer.parameters))
        for average in self.averages:
            loss = ops.depend(loss, average())
        return (loss, *told[1:])

    def construct(self, made: Any, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Compute the loss, update the player unless it is idle, and return its scalars."""
        if not self.moves:
            told: tuple[Tensor, ...] = self.judge(made, batch)
            return told
        (_, told), gradients = self.gradient(made, batch)
        return self.update(told, gradients)


def _freeze(made: Any) -> Any:
    return tuple([ops.stop_gradient(one) for one in made]) if isinstance(made, tuple) else ops.stop_gradient(made)


class TrainingStep(nn.Cell):  # type: ignore[misc]
    """One step of a game, as one graph.

    Args:
        game: the game, with its networks.
        make: its method ``make``.
        turns: the players' turns, in the order of the updates.
        scalars: names of the scalars to return.
        ranks: the ranks over which scalars and state are averaged.
        state: floating-point Parameters of the game, which its losses update.
        networks: the networks, in evaluation mode outside of the step, so that callbacks may call them; those
            without trainable parameters are in this mode in the step, too.
    """

    def __init__(
        self,
        game: nn.Cell,
        make: Bound,
        turns: Sequence[Turn],
        scalars: Sequence[str],
        *,
        ranks: World,
        state: Sequence[ms.Parameter] = (),
        networks: Sequence[nn.Cell] = (),
    ) -> None:
        super().__init__(auto_prefix=False)
        self.game, self.make_of = game, Call(make)
        self._networks = tuple(networks)
        makers = [place for place, turn in enumerate(turns) if turn.moves and turn.trains_maker]
        self.makes = bool(makers)
        split = makers[0] if makers else len(turns)
        before, after = list(turns[:split]), list(turns[split + 1 :])
        self.before, self.after = nn.CellList(before, auto_prefix=False), nn.CellList(after, auto_prefix=False)
        ordered = before
        if self.makes:
            self.maker = turns[split]
            ordered = [self.maker, *before, *after]
            self.gradient = ms.value_and_grad(self._compute, None, self.maker.optimizer.parameters, has_aux=True)
        names = [name for turn in ordered for name in turn.scalars]
        self.order = tuple(names.index(name) for name in scalars)
        self.shared, self.mean = ranks.size > 1, ranks.mean()
        self.state = ms.ParameterTuple(state if self.shared else ())
        self.shapes: tuple[Any, ...] = ()

    def _play_before(self, made: Any, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        told: tuple[Tensor, ...] = ()
        for turn in self.before:
            told = told + turn(made, batch)
        return told

    def _compute(self, batch: tuple[Tensor, ...]) -> tuple[Any, ...]:
        made = self.make_of((), batch)
        fixed = _freeze(made)
        others = self._play_before(fixed, batch)
        told = self.maker.judge(made, batch)
        return told[0], told, others, fixed

    def construct(self, *batch: Tensor) -> Tensor:
        """Update the players; return the scalars, (number of scalars,)."""
        if self.makes:
            (_, told, others, made), gradients = self.gradient(batch)
            told = self.maker.update(told, gradients) + others
            for turn in self.after:
                told = told + turn(made, batch)
        else:
            told = self._play_before(_freeze(self.make_of((), batch)), batch)
        scalars = ops.stack([told[place] for place in self.order])
        return self._average(scalars) if self.shared else scalars

    def _average(self, scalars: Tensor) -> Tensor:
        """Return the scalars' means over all ranks; replace the state of the game by its means."""
        means = self.mean((scalars, *ops.depend(tuple(self.state), scalars)))
        return ops.depend(means[0], each(ops.assign, self.state, means[1:])) if self.state else means[0]

    def run(self, *inputs: Tensor) -> Tensor:
        """Run :meth:`construct` as a compiled graph."""
        shapes = tuple([one.shape for one in inputs])
        new = shapes != self.shapes
        if not new:
            # Equivalent to a call in this phase, without switching to graph mode and back, which costs 5 % of a
            # small step.
            compiled, scalars = self._predict(*inputs)
            if compiled:
                return scalars
        with compilation() if new else graph_mode():
            if new:
                self._prepare(shapes)
            with self._training_mode():
                return self(*inputs)

    def compile_for(self, *inputs: Tensor) -> list[str]:
        """Compile for inputs of these shapes without running; return the names of the graph's Parameters."""
        with compilation():
            self._prepare(tuple([one.shape for one in inputs]))
            with self._training_mode():
                self.compile(*inputs)
        return list_graph_parameters(self.current_phase)

    @contextmanager
    def _training_mode(self) -> Iterator[None]:
        """Set the mode of the networks for their compilation: a compiled graph keeps it."""
        for network in self._networks:
            network.set_train(bool(network.trainable_params()))
        try:
            yield
        finally:
            for network in self._networks:
                network.set_train(False)

    def _prepare(self, shapes: tuple[Any, ...]) -> None:
        self.set_train(True)
        self.shapes = shapes
        self.phase_cache.clear()
        if ms.get_context("device_target") == "CPU":
            # MindSpore checks the arguments before every call, which costs 10 % of a small step. In this phase,
            # intended for inference, it does not.
            self.phase = "prefill"
