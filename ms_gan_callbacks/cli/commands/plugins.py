"""``ms-gan plugins``."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator

import click

from ms_gan_callbacks.config.catalog import list_built_in, read_summary
from ms_gan_callbacks.config.plugins import KINDS, Plugin, find_recipe_file, list_plugins
from ms_gan_callbacks.errors import GanError, describe


@click.command("plugins")
def command() -> None:
    """List installed plugins and built-in components. Plugins that cannot be loaded are listed with the reason.

    \b
    ms-gan run mnist_mlp --callback NAME    a callback, or package.module:Class
    ms-gan run mnist_mlp --metric NAME      a metric, or package.module:function
    ms-gan run NAME                         a recipe
    """
    found = list_plugins()
    if found:
        _show([row for plugin in found for row in _make_rows(plugin, found)])
    else:
        click.echo("No plugins are installed. See docs/plugins.md to write one.")
    click.echo()
    for kind in (*KINDS, "features"):
        click.echo(f"built-in {kind:<10} {', '.join(_list_built_in(kind))}")


def _make_rows(plugin: Plugin, found: list[Plugin]) -> Iterator[tuple[str, ...]]:
    yield plugin.kind.removesuffix("s"), plugin.name, plugin.provider, plugin.target, _describe(plugin)
    if plugin.name in _list_built_in(plugin.kind):
        yield "", "", "", "", f"hidden by the built-in {plugin.name}"
    elif Counter((one.kind, one.name) for one in found)[plugin.kind, plugin.name] > 1:
        way = "the path of its file" if plugin.kind == "recipes" else plugin.target
        yield "", "", "", "", f"ambiguous: another plugin has this name; write {way}"


def _show(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _describe(plugin: Plugin) -> str:
    """Return the first line of a plugin's docstring, or the reason why it cannot be used."""
    try:
        return _load_summary(plugin)
    except GanError as error:
        fault = str(error)
    except SystemExit as error:  # raised by a recipe
        fault = describe(error)
    return f"FAILED: {' '.join(fault.split())}"


def _load_summary(plugin: Plugin) -> str:
    if plugin.fault:
        raise GanError(plugin.fault)
    if plugin.kind != "recipes":
        from ms_gan_callbacks.config.components import load_component

        return (inspect.getdoc(load_component(plugin.kind, plugin.target)) or "").partition("\n")[0]
    path = find_recipe_file(plugin)
    from ms_gan_callbacks.config.recipe import RecipeFile

    RecipeFile.open(path)
    return read_summary(path)


def _list_built_in(kind: str) -> list[str]:
    if kind == "recipes":
        return list(list_built_in())
    from ms_gan_callbacks.config.components import BUILT_IN

    return sorted(BUILT_IN.get(kind, ()))
