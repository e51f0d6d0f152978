"""``ms-gan plugins``: what goes by a name, and what other packages have brought."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator

import click

from ms_gan_callbacks.config.catalog import about, shipped
from ms_gan_callbacks.config.plugins import KINDS, Loaded, Plugin, load, plugins, recipe_file
from ms_gan_callbacks.errors import GanError, describe


@click.command("plugins")
def command() -> None:
    """List what other installed packages provide. Plugins that cannot be loaded are listed with the reason.

    \b
    ms-gan run mnist_mlp --callback NAME    any of these callbacks, or package.module:Class
    ms-gan run mnist_mlp --metric NAME      any of these metrics, likewise
    ms-gan run NAME                         any of these recipes
    """
    found = plugins()
    if found:
        _show([row for plugin in found for row in _rows(plugin, found)])
    else:
        click.echo("No plugins are installed. docs/plugins.md says how to write one.")
    click.echo()
    for kind in (*KINDS, "features"):
        click.echo(f"built-in {kind:<10} {', '.join(_built_in(kind))}")


def _rows(plugin: Plugin, found: list[Plugin]) -> Iterator[tuple[str, ...]]:
    fault, said = _look_at(plugin)
    yield plugin.kind.removesuffix("s"), plugin.name, plugin.provider, plugin.target, fault or said
    if plugin.name in _built_in(plugin.kind):
        yield "", "", "", "", f"hidden: {plugin.name} is built in, and comes first"
    elif Counter((one.kind, one.name) for one in found)[plugin.kind, plugin.name] > 1:
        yield (
            "",
            "",
            "",
            "",
            "ambiguous: another plugin has this name; "
            + ("ask for it by its path" if plugin.kind == "recipes" else f"ask for it as {plugin.target}"),
        )


def _show(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _look_at(plugin: Plugin) -> tuple[str, str]:
    """Load a plugin; return what is wrong with it, or else the first line of what it says of itself."""
    if plugin.fault:
        found = Loaded(fault=plugin.fault)
    elif plugin.kind == "recipes":
        found = _opened(recipe_file(plugin))
    else:
        from ms_gan_callbacks.config.components import checked

        found = checked(plugin.kind, load(plugin.target))
    if found.fault:
        return f"FAILED: {' '.join(found.fault.split())}", ""
    if plugin.kind == "recipes":
        return "", about(found.thing)
    return "", (inspect.getdoc(found.thing) or "").partition("\n")[0]


def _opened(file: Loaded) -> Loaded:
    if file.fault:
        return file
    from ms_gan_callbacks.config.recipe import RecipeFile

    try:
        RecipeFile.open(file.thing)
    except (GanError, SystemExit) as error:
        return Loaded(fault=describe(error) if isinstance(error, SystemExit) else str(error))
    return file


def _built_in(kind: str) -> list[str]:
    if kind == "recipes":
        return list(shipped())
    from ms_gan_callbacks.config.components import BUILT_IN

    return sorted(BUILT_IN.get(kind, ()))
