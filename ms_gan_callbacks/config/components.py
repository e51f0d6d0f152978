"""Callbacks, metrics and features given as text, such as ``ImageGrid:every=50steps,rows=2``.

A name is that of a built-in component, of a plugin, or ``package.module:Class``. Settings are converted to the
types of the parameters, as with ``--set``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import ms_gan_callbacks
from ms_gan_callbacks import callbacks, metrics
from ms_gan_callbacks.config.conversion import bind
from ms_gan_callbacks.config.parameters import Tunable, read_settings
from ms_gan_callbacks.config.plugins import find_provider, list_plugins, load, pick
from ms_gan_callbacks.errors import CallbackError, GanError, RecipeError, UsageError, describe, suggest
from ms_gan_callbacks.events.callback import Callback, is_callback_class
from ms_gan_callbacks.metrics.direction import read_mode
from ms_gan_callbacks.metrics.lenet import LeNet
from ms_gan_callbacks.metrics.picture_net import PictureNet
from ms_gan_callbacks.metrics.stacked import StackedLeNet
from ms_gan_callbacks.metrics.thumbnails import thumbnails

EXTRACTOR = "a feature extractor is a function of images (N, C, H, W)"
WHAT = {"callbacks": "callback", "metrics": "metric", "features": "feature extractor"}
INPUTS = {"metrics": ("real", "fake"), "features": ("images",)}
"""The arguments that functions of a kind are called with; their other parameters are settings."""


def _list_public(room: ModuleType, wanted: Callable[[Any], bool]) -> dict[str, Callable[..., Any]]:
    """Return the public objects of a kind that are defined in the modules of a package, by name."""
    modules = (
        importlib.import_module(f"{room.__name__}.{one.name}") for one in pkgutil.iter_modules(room.__path__)
    )
    return {
        name: thing
        for module in modules
        for name, thing in vars(module).items()
        if name in ms_gan_callbacks.__all__ and thing.__module__ == module.__name__ and wanted(thing)
    }


BUILT_IN: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "callbacks": _list_public(
        callbacks,
        lambda thing: isinstance(thing, type) and issubclass(thing, Callback) and not inspect.isabstract(thing),
    ),
    "metrics": _list_public(metrics, lambda thing: read_mode(thing) is not None),
    "features": {
        "lenet": LeNet,
        "picture_net": PictureNet,
        "stacked_lenet": StackedLeNet,
        "thumbnails": thumbnails,
    },
}
"""Components with a plain name: public callbacks, and public metrics with a direction."""


@dataclass(frozen=True)
class Typed:
    """The parsed text of a callback, a metric or features.

    Attributes:
        kind: "callbacks", "metrics" or "features".
        text: the text.
        name: ``ImageGrid``, or ``package.module:Class``.
        settings: the settings after the name.
    """

    kind: str
    text: str
    name: str
    settings: Mapping[str, str]

    @classmethod
    def parse(cls, kind: str, text: str) -> Typed:
        """Parse a text; raise UsageError unless it is NAME or NAME:key=value,key=value."""
        parts = re.fullmatch(r"(?P<name>[^:=]+(:[^:=]+)?)(:(?P<rest>[^=]*=.*))?", text.strip(), re.DOTALL)
        if parts is None:
            raise UsageError(f"{text!r} is not NAME, or NAME:key=value,key=value")
        given: dict[str, str] = {}
        for pair in re.split(r",(?=\s*\w+\s*=)", parts["rest"]) if parts["rest"] else ():
            key, equals, value = pair.partition("=")
            if not equals or not key.strip():
                raise UsageError(f"{text!r}: {pair!r} is not key=value")
            if key.strip() in given:
                raise UsageError(f"{text!r} sets {key.strip()} twice")
            given[key.strip()] = value
        return cls(kind, text.strip(), parts["name"], given)

    @property
    def short_name(self) -> str:
        """The name without the module."""
        return self.name.rpartition(":")[2]

    @property
    def option(self) -> str:
        """The command line option of the kind."""
        return "--features" if self.kind == "features" else "--" + self.kind.removesuffix("s")

    def find_package(self) -> tuple[str, str] | None:
        """Return the name and version of the package that provides it; None if built in or unknown."""
        if self.name in BUILT_IN[self.kind]:
            return None
        plugin = None if ":" in self.name else pick(self.kind, self.name)
        return (plugin.distribution, plugin.version) if plugin else find_provider(self.name.partition(":")[0])

    def make(self) -> Any:
        """Return the callback, metric or feature extractor with its settings.

        Raises:
            UsageError: the name is unknown, it cannot be loaded, or a setting does not fit.
        """
        thing = find(self.kind, self.name)
        inputs = _list_inputs(self.kind, thing)
        arguments = self._bind(thing, len(inputs))
        if inputs:
            return partial(thing, **arguments) if arguments else thing
        try:
            made = thing(**arguments)
        except GanError:
            raise
        except Exception as error:
            raise CallbackError(f"{self.option} {self.name} raised {describe(error)}") from error
        if self.kind == "features":
            if not callable(made):
                raise UsageError(f"{self.option} {self.name} returns {made!r}; {EXTRACTOR}")
        elif not is_callback_class(type(made)):
            raise CallbackError(f"{self.option} {self.name} returns {made!r}, which is not a Callback")
        return made

    def _bind(self, thing: Callable[..., Any], inputs: int) -> dict[str, Any]:
        known = dict([*read_settings(thing).items()][inputs:])
        try:
            bound = bind(self.name, known, self.settings, "setting")
        except RecipeError as error:
            raise CallbackError(f"{self.option} {self.name}: {error}") from error
        for key, value in bound.items():
            if value is Tunable.REQUIRED:
                raise CallbackError(f"{self.name} needs a value: {self.option} {self.name}:{key}=...")
        return {key: bound[key] for key in self.settings}


def parse_components(callbacks: Sequence[str], metrics: Sequence[str]) -> list[Typed]:
    """Parse the values of ``--callback`` and ``--metric``, see :meth:`Typed.parse`."""
    given = {"callbacks": callbacks, "metrics": metrics}
    return [Typed.parse(kind, text) for kind, texts in given.items() for text in texts]


def find(kind: str, name: str) -> Callable[..., Any]:
    """Return the class, factory or metric of a name; raise UsageError if that is not possible."""
    what = WHAT[kind]
    if name in BUILT_IN[kind]:
        return BUILT_IN[kind][name]
    known = dict.fromkeys([*BUILT_IN[kind], *(plugin.name for plugin in list_plugins(kind))])
    module, colon, rest = name.partition(":")
    if colon and module in known:
        raise UsageError(f"{name!r}: {rest!r} is not key=value")
    plugin = None if colon else pick(kind, name)
    if plugin is None and not colon:
        raise UsageError(f"unknown {what} {name!r}; {suggest(name, known)}")
    try:
        return load_component(kind, plugin.target if plugin else name)
    except UsageError as error:
        owner, hint = f" of {plugin.provider}" if plugin else "", ""
        file = Path(module.replace(".", "/") + ".py")
        if not plugin and f"No module named {module.split('.')[0]!r}" in str(error) and file.is_file():
            hint = f"; {file} exists here but is not on the path: set PYTHONPATH=. to import it"
        raise UsageError(f"the {what} {name}{owner} cannot be used: {error}{hint}") from error


def load_component(kind: str, target: str) -> Callable[..., Any]:
    """Import ``module:attribute``; raise UsageError if that fails, or the object is not of the kind."""
    thing: Callable[..., Any] = load(target)
    if not callable(thing):
        raise UsageError(f"it is {thing!r}, which is not callable")
    if kind == "callbacks" and isinstance(thing, type) and not is_callback_class(thing):
        raise UsageError(f"{thing.__name__} is not a Callback")
    misfit = EXTRACTOR if kind == "features" else "a metric is a function of a real and a fake Sample"
    try:
        inspect.signature(thing).bind_partial(*_list_inputs(kind, thing))
    except ValueError as error:  # a C function without a signature
        raise UsageError(describe(error)) from error
    except TypeError as error:
        raise UsageError(misfit) from error
    if kind == "metrics" and isinstance(thing, type):
        raise UsageError(misfit)
    return thing


def _list_inputs(kind: str, thing: Callable[..., Any]) -> tuple[str, ...]:
    is_factory = kind == "features" and isinstance(thing, type)
    return () if is_factory else INPUTS.get(kind, ())
