"""Inputs of a run's generator: names, descriptions, and examples to compare an exported file with."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from mindspore import Tensor
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import take_columns
from ms_gan_callbacks.data.protocol import LABELS
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.models.games.chance import draw_all
from ms_gan_callbacks.models.games.game import STEP, Game
from ms_gan_callbacks.models.networks import make
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.models.two_players import TwoPlayers
from ms_gan_callbacks.results.export.ports import Port, describe_chance, describe_image, describe_labels
from ms_gan_callbacks.results.inference import Trained

COUNT = 64
"""Number of images that a file is compared with."""

Given: TypeAlias = dict[Port, NDArray[Any]]
"""Inputs with an array of ``COUNT`` rows each; images are floats in [-1, 1]."""


def draw_inputs(trained: Trained, players: Players) -> Given:
    """Return the inputs of a run's generator, or of a game; columns of images are random images."""
    if isinstance(players, TwoPlayers):
        return _draw_noise(trained, players.classes)
    names, given = [name for name in list_inputs(players.game) if name != STEP], Given()
    chance = {name: one for name, one in players.game.chance.items() if name in names}
    drawn = draw_all(chance, players.seed, 0, COUNT, purpose="export")
    for name in names:
        if name in drawn:
            given[describe_chance(name, chance[name], drawn[name])] = drawn[name]
        else:
            port, rows = _draw_column(trained, name)
            given[port] = rows
    return given


def list_inputs(game: Game) -> tuple[str, ...]:
    """Return the names of the inputs from which a game makes images."""
    return tuple(dict.fromkeys((*game.get_inputs("make"), *game.get_inputs("select_images"))))


def _draw_noise(trained: Trained, classes: int | None) -> Given:
    """Return noise, and labels in a conditional run."""
    noise = trained.noise(COUNT, "export")
    given: Given = {Port("noise", "float32", noise.shape[1:], "standard normal"): noise}
    if classes is not None:
        given[describe_labels(LABELS, classes)] = (np.arange(COUNT) % classes).astype(np.int32)
    return given


def _draw_column(trained: Trained, name: str) -> tuple[Port, NDArray[Any]]:
    """Return random images, or values of the training data if the column does not contain images."""
    shape = tuple(trained.manifest.data.columns.get(name, ()))
    if len(shape) == 3:
        random = stream(trained.recipe.seed, f"export {name}", 0)
        return describe_image(name, shape, False), random.uniform(-1, 1, (COUNT, *shape)).astype(np.float32)
    source = make("data", trained.recipe.data)
    column = take_columns(source, min(COUNT, source.steps_per_epoch * source.batch_size))[name]
    rows = column[np.arange(COUNT) % len(column)]
    return Port(name, str(rows.dtype), rows.shape[1:], f"as the column {name} of the training data"), rows


def find_inputs(game: Game, networks: Iterable[str], given: Given) -> dict[str, Given]:
    """Return the inputs of each network when a game makes images, by the network."""
    tensors = [(Tensor(rows), port) for port, rows in given.items()]
    names = [name for name in list_inputs(game) if name != STEP]
    by_name = {name: tensor for name, (tensor, _) in zip(names, tensors, strict=True)}
    by_name[STEP] = Tensor(np.float32(1))
    called: dict[str, tuple[Any, ...]] = {}
    hooks = []
    for name in networks:

        def note(_: Any, inputs: tuple[Any, ...], name: str = name) -> None:
            called.setdefault(name, inputs)

        hooks.append(getattr(game, name).register_forward_pre_hook(note))
    try:
        game.make(*[by_name[name] for name in game.get_inputs("make")])
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _describe(name, getattr(game, name), inputs, tensors) for name, inputs in called.items()}


def _describe(network: str, cell: Any, inputs: tuple[Any, ...], tensors: list[tuple[Tensor, Port]]) -> Given:
    """Return the inputs that a network was called with, by the names of its arguments."""
    found: Given = {}
    for name, tensor in zip(inspect.signature(cell.construct).parameters, inputs, strict=False):
        if not isinstance(tensor, Tensor):
            raise UsageError(f"the network {network!r} cannot be exported alone: its input {name} is not a Tensor")
        known = [port for one, port in tensors if one is tensor]
        rows = tensor.asnumpy().copy()
        port = known[0] if known else Port(name, str(rows.dtype), rows.shape[1:], "as computed by the game")
        found[replace(port, name=name)] = rows
    return found
