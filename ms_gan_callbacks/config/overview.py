"""Prints what a recipe holds: its tunables, its networks, and the table of events and callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mindspore import nn
from rich.console import Console as Terminal
from rich.table import Table

from ms_gan_callbacks.config.recipe import Recipe, RecipeFile
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.interop.stock import adapt_callbacks
from ms_gan_callbacks.models.networks import build_network


def show_parameters(file: RecipeFile, arguments: Mapping[str, Any], terminal: Terminal | None = None) -> None:
    """Print the parameters of a recipe that need not have been called: their types, defaults and values.

    Args:
        file: the recipe's.
        arguments: what :meth:`RecipeFile.bind` returns.
        terminal: where to; by default the standard output.
    """
    table = _table(f"Parameters of {file.path}", "--set", "type", "default", "value")
    for name, tunable in file.tunables.items():
        value = arguments[name]
        default = "required" if tunable.default is tunable.REQUIRED else repr(tunable.default)
        table.add_row(name, tunable.type_name, default, "" if value == tunable.default else repr(value))
    (terminal or Terminal(highlight=False)).print(table)


def overview(recipe: Recipe, terminal: Terminal | None = None) -> None:
    """Print a recipe's networks and callbacks.

    Raises:
        RecipeError: a network cannot be built.
    """
    terminal = terminal or Terminal(highlight=False)
    for player, factory in (("generator", recipe.generator), ("discriminator", recipe.discriminator)):
        terminal.print(_network(player, build_network(factory, player, recipe.seed)))
    facts = {name: value for name, value in recipe.facts().items() if value is not None}
    for name, value in facts.items():
        terminal.print(f"{name:<{max(map(len, facts))}}  {value}", soft_wrap=True)
    terminal.print(_events(recipe))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _network(player: str, network: nn.Cell) -> Table:
    total = sum(parameter.size for parameter in network.get_parameters())
    trained = sum(parameter.size for parameter in network.trainable_params())
    table = _table(f"The {player}: {trained:,} weights ({total:,} with statistics)", "parameter", "shape", "count")
    for parameter in network.trainable_params():
        table.add_row(parameter.name, str(tuple(parameter.shape)), f"{parameter.size:,}")
    return table


def _events(recipe: Recipe) -> Table:
    table = _table("Events, in the order they happen, and who listens", "event", "callbacks")
    for event, labels in CallbackBus(adapt_callbacks(recipe.callbacks)).table().items():
        table.add_row(event.value, ", ".join(labels))
    return table
