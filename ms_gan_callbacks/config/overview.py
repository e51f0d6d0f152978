"""Prints the parameters, networks and callbacks of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn
from rich.console import Console as Terminal
from rich.table import Table

from ms_gan_callbacks.config.recipe import Recipe, RecipeFile
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.interop.stock import adapt_callbacks
from ms_gan_callbacks.models.games.game import Game, check_game
from ms_gan_callbacks.models.networks import build_network, make
from ms_gan_callbacks.models.settings import OF_TWO_PLAYERS, describe_factory


def show_parameters(file: RecipeFile, arguments: Mapping[str, Any]) -> None:
    """Print the parameters of a recipe without building it: types, defaults and values."""
    table = _make_table(f"Parameters of {file.path}", "--set", "type", "default", "value")
    for name, tunable in file.tunables.items():
        value = arguments[name]
        default = "required" if tunable.default is tunable.REQUIRED else repr(tunable.default)
        table.add_row(name, tunable.type_name, default, "" if value == tunable.default else repr(value))
    Terminal(highlight=False).print(table)


def show_recipe(recipe: Recipe) -> None:
    """Print the networks, settings and callbacks of a recipe; raise RecipeError if a network cannot be built."""
    terminal = Terminal(highlight=False)
    networks = recipe.networks or {"generator": recipe.generator, "discriminator": recipe.discriminator}
    for name, factory in networks.items():
        if factory is not None:
            terminal.print(_tabulate_network(name, build_network(factory, name, recipe.seed)))
    if recipe.game is not None:
        game = make("game", recipe.game)
        check_game(game, networks, recipe.players)
        terminal.print(_tabulate_game(recipe, game))
    hidden = {"players", *(OF_TWO_PLAYERS if recipe.game else ())}
    facts = {name: value for name, value in recipe.facts().items() if value is not None and name not in hidden}
    for name, value in facts.items():
        terminal.print(f"{name:<{max(map(len, facts))}}  {value}", soft_wrap=True)
    table = _make_table("Events in order, and the callbacks that handle them", "event", "callbacks")
    for event, labels in CallbackBus(adapt_callbacks(recipe.callbacks)).table().items():
        table.add_row(event.value, ", ".join(labels))
    terminal.print(table)


def _tabulate_game(recipe: Recipe, game: Game) -> Table:
    table = _make_table(f"Game {type(game).__name__}", "method", "arguments", "updates")
    table.add_row("make", ", ".join(game.get_inputs("make")), "")
    for name, player in recipe.players.items():
        loss = ", ".join(game.get_inputs(f"{name}_loss"))
        every = "" if player.every == 1 else f", every {player.every} steps"
        table.add_row(f"{name}_loss", loss, ", ".join(player.trains) + every)
    for name, one in game.chance.items():
        table.add_row("random input", name, describe_factory(one))
    return table


def _make_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _tabulate_network(player: str, network: nn.Cell) -> Table:
    total = sum(parameter.size for parameter in network.get_parameters())
    trained = sum(parameter.size for parameter in network.trainable_params())
    title = f"{player.capitalize()}: {trained:,} trainable parameters"
    if total != trained:
        title += f" ({total:,} with BatchNorm statistics)"
    table = _make_table(title, "parameter", "shape", "count")
    for parameter in network.trainable_params():
        table.add_row(parameter.name, str(tuple(parameter.shape)), f"{parameter.size:,}")
    return table
