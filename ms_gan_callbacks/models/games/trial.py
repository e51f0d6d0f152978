"""Trial of a game with its first batch, before anything is compiled: errors by player and argument."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, describe, suggest
from ms_gan_callbacks.events.scalars import find_name_fault
from ms_gan_callbacks.models.games.game import MADE, STEP, Game, list_losses
from ms_gan_callbacks.models.games.player import Player
from ms_gan_callbacks.models.graph_mode import synchronous_operations
from ms_gan_callbacks.models.probe import list_random_layers, restore_values
from ms_gan_callbacks.models.probe_warnings import inspect_images


class TrialResult(NamedTuple):
    """The results of trying a game.

    Attributes:
        makes: names of the networks that ``make`` uses.
        keys: keys of the further scalars of each loss, by player.
        warnings: warnings about probable mistakes.
    """

    makes: frozenset[str]
    keys: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()


def check_columns(game: Game, columns: Collection[str]) -> None:
    """Raise RecipeError if a column has the name of a random input or of another argument."""
    for name in columns:
        if name in game.chance:
            raise RecipeError(f"{type(game).__name__}.chance[{name!r}] has the name of a column: rename it")
        if name in (MADE, STEP):
            raise RecipeError(f"a column cannot be named {name!r}, an argument of games: rename it")


@synchronous_operations()
def try_game(
    game: Game,
    networks: Mapping[str, nn.Cell],
    players: Mapping[str, Player],
    inputs: Mapping[str, NDArray[Any]],
) -> TrialResult:
    """Call every method of a game once, in training mode, and restore all Parameters afterwards.

    Args:
        game: the game, with the networks as attributes.
        networks: its networks by name.
        players: its players by name.
        inputs: a batch with random inputs, by name.

    Raises:
        RecipeError: an argument has no input, a method raises an exception or returns something of another type,
            shape or kind, a network is not used or not trained, or a loss does not use what its player trains.
    """
    trial = _Trial(game, networks, inputs)
    parameters = [parameter for cell in (*networks.values(), game) for parameter in cell.get_parameters()]
    with restore_values(parameters):
        for network in networks.values():
            network.set_train(True)
        made, makes = trial.run_make()
        keys, used = {}, {}
        for name in players:
            keys[name], used[name] = trial.run_loss(name, made)
        images = trial.run_picture(made)
    for network in networks.values():
        network.set_train(False)
    reached = {
        name: used[name] | (makes if game.takes_made(game.get_loss(name, ())) else set()) for name in players
    }
    _check_roles(type(game).__name__, networks, players, makes, reached)
    return TrialResult(makes, keys, tuple(_list_warnings(networks, makes, images)))


class _Trial:
    """Calls the methods of a game, and records which networks they use."""

    def __init__(self, game: Game, networks: Mapping[str, nn.Cell], inputs: Mapping[str, NDArray[Any]]) -> None:
        self.game, self.kind, self.networks = game, type(game).__name__, networks
        self.inputs: dict[str, Any] = {**inputs, STEP: np.float32(1)}

    def call(self, method: str, made: Any = None) -> tuple[Any, frozenset[str]]:
        """Return what a method returns, and the names of the networks that it uses."""
        where = f"{self.kind}.{method}"
        names = self.game.get_inputs(method)
        for name in names:
            if name not in self.inputs:
                known = [one for one in self.inputs if one != STEP]
                raise RecipeError(f"{where} takes {name!r}; a step has {', '.join(known)}; {suggest(name, known)}")
        # np.ascontiguousarray would give the step an axis.
        arguments = [Tensor(np.require(self.inputs[name], requirements="C")) for name in names]
        if self.game.takes_made(method):
            arguments = [made, *arguments]
        with _record_uses(self.networks) as used:
            try:
                returned = self.game.get_function(method)(*arguments)
                for one in returned if isinstance(returned, tuple) else (returned,):
                    if isinstance(one, Tensor):
                        one.asnumpy()  # an error of a kernel is raised here
            except Exception as error:
                raise RecipeError(f"{where} raised {describe(error)}") from error
        return returned, frozenset(used)

    def run_make(self) -> tuple[Any, frozenset[str]]:
        """Return what ``make`` returns, checked, and the networks that it uses."""
        made, used = self.call("make")
        several = made if isinstance(made, tuple) else (made,)
        if not several or not all(isinstance(one, Tensor) for one in several):
            kinds = ", ".join(type(one).__name__ for one in several)
            raise RecipeError(f"{self.kind}.make must return a Tensor or a tuple of Tensors, not {kinds}")
        for one in several:
            if not np.isfinite(one.asnumpy().astype(np.float32)).all():
                raise RecipeError(f"{self.kind}.make returns NaN or infinity before the first step")
        return made, used

    def run_loss(self, player: str, made: Any) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return the keys of a loss's further scalars, and the networks that it uses."""
        method, *without = list_losses(self.game, player)
        keys, used = self._run_method(method, made)
        for one in without:
            if (others := self._run_method(one, made)[0]) != keys:
                raise RecipeError(
                    f"{self.kind}.{one} must publish the same scalars as {method}, {', '.join(keys) or 'none'}, "
                    f"not {', '.join(others) or 'none'}"
                )
        return keys, used

    def _run_method(self, method: str, made: Any) -> tuple[tuple[str, ...], frozenset[str]]:
        returned, used = self.call(method, made)
        loss, further = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, {})
        if not isinstance(further, dict):
            raise RecipeError(
                f"{self.kind}.{method} must return a scalar, or (scalar, dict of further scalars), not a tuple "
                f"with {type(further).__name__}"
            )
        self._check_scalar(f"{self.kind}.{method}", loss)
        for key, value in further.items():
            if fault := find_name_fault(key):
                raise RecipeError(f"{self.kind}.{method} returns a further scalar of a wrong name: {fault}")
            self._check_scalar(f"{key!r} of {self.kind}.{method}", value)
        return tuple(further), used

    def _check_scalar(self, what: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise RecipeError(f"{what} must be a scalar Tensor, not {type(value).__name__}")
        shape = tuple(value.shape)
        if shape or value.dtype != ms.float32:
            cure = "call .mean() on it" if shape else "call .astype(mindspore.float32) on it"
            raise RecipeError(f"{what} must be a float32 scalar, not {value.dtype} of shape {shape}: {cure}")
        if not np.isfinite(value.asnumpy()):
            raise RecipeError(f"{what} is {float(value.asnumpy())} before the first step")

    def run_picture(self, made: Any) -> NDArray[np.float32]:
        """Return the generated images, after checking them and the picture."""
        shown, _ = self.call("picture", made)
        for one in shown if isinstance(shown, tuple) else (shown,):
            _check_images(f"{self.kind}.picture", one)
        images: Any = self.game.select_images(made)
        _check_images(f"{self.kind}.select_images", images)
        values = np.asarray(images.asnumpy(), np.float32)
        compared = find_compared(self.game, self.inputs)
        if compared is not None and self.inputs[compared].shape[1:] != values.shape[1:]:
            raise RecipeError(
                f"{self.kind} makes images of shape {values.shape[1:]}, but the column {compared!r} has "
                f"{self.inputs[compared].shape[1:]}"
            )
        return values


def _check_images(what: str, images: object) -> None:
    if not isinstance(images, Tensor) or images.ndim != 4:
        found = f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise RecipeError(f"{what} must return images (N, C, H, W), or a tuple of them, not {found}")


def find_compared(game: Game, columns: Collection[str]) -> str | None:
    """Return the column that generated images are compared with, or None.

    Raises:
        RecipeError: ``compared`` of the game is not a column.
    """
    if game.compared is not None:
        if game.compared not in columns:
            near = suggest(game.compared, [name for name in columns if name != STEP])
            raise RecipeError(
                f"{type(game).__name__}.compared is {game.compared!r}, which is not a column; {near}"
            )
        return game.compared
    return next((name for name in ("real", "target") if name in columns), None)


@contextmanager
def _record_uses(networks: Mapping[str, nn.Cell]) -> Iterator[set[str]]:
    """Record the names of the networks that are called in the context."""
    used: set[str] = set()
    handles = [
        network.register_forward_pre_hook(lambda cell, inputs, name=name: used.add(name))
        for name, network in networks.items()
    ]
    try:
        yield used
    finally:
        for handle in handles:
            handle.remove()


def _check_roles(
    kind: str,
    networks: Mapping[str, nn.Cell],
    players: Mapping[str, Player],
    makes: frozenset[str],
    reached: Mapping[str, Collection[str]],
) -> None:
    """Raise RecipeError for networks that are not used or not trained, and losses that do not use theirs."""
    for name in networks:
        if name not in makes.union(*reached.values()):
            raise RecipeError(f"no method of {kind} uses the network {name!r}: remove it, or call it in a method")
    for player, settings in players.items():
        for name in settings.trains:
            if name not in reached[player]:
                raise RecipeError(
                    f"{kind}.{player}_loss does not depend on the network {name!r}, which the player {player!r} "
                    f"trains: it uses {', '.join(sorted(reached[player])) or 'no network'}"
                )
    trained = {name for settings in players.values() for name in settings.trains}
    for name, network in networks.items():
        if name not in trained and network.trainable_params():
            raise RecipeError(
                f"no player trains the network {name!r}: add it to a Player, or freeze it: "
                f"networks={{{name!r}: freeze(...)}}"
            )


def _list_warnings(
    networks: Mapping[str, nn.Cell], makes: frozenset[str], images: NDArray[np.float32]
) -> Iterator[str]:
    random_layers = [layer for name, network in networks.items() for layer in list_random_layers(name, network)]
    if random_layers:
        layers = ", ".join(random_layers)
        yield f"{layers} draws random numbers that MindSpore cannot reproduce: a resumed run is not exact"
    for name in sorted(makes):
        yield from inspect_images(networks[name], images, name)
