"""Recipes: Python files with a function ``recipe(...)`` that describes a run and whose parameters can be set."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ms_gan_callbacks.config.conversion import bind, encode_arguments
from ms_gan_callbacks.config.evaluation import Evaluation
from ms_gan_callbacks.config.parameters import Tunable, read_parameters
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.errors import GanError, RecipeError, describe, suggest
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.models.settings import Method, check_whole_number
from ms_gan_callbacks.storage.environment import get_git_revision
from ms_gan_callbacks.storage.files import compute_sha256, decode_source, list_folder
from ms_gan_callbacks.storage.source_text import pin_source, pin_sources

if TYPE_CHECKING:
    from ms_gan_callbacks.metrics.features import FeatureExtractor
    from ms_gan_callbacks.metrics.sample import Metric
    from ms_gan_callbacks.models.networks import Network


MODULE_PREFIX = "ms_gan_recipe_"
"""Prefix of the module names under which recipes are imported."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Method):
    """The complete description of a run: networks, data, callbacks, metrics and the settings of :class:`Method`.

    Networks, optimizers and data are given as factories, because the runner sets the seed before it builds them.

    Attributes:
        generator: builds the cell that maps noise (N, noise_dim) to images (N, C, H, W).
        discriminator: builds the cell that maps images to scores (N, 1).
        data: builds the source of real images.
        epochs: passes over the data, at least 1.
        callbacks: the callbacks of the run.
        metrics: functions of a real and a fake :class:`Sample`, by name.
        evaluate_every: when the metrics are computed; by default after every epoch.
        evaluate_samples: the number of generated images, and of real ones, that metrics compare.
        test_data: builds the source of real images for ``ms-gan evaluate``; by default the training data is used.
        features: converts images to the features that metrics compare; by default the LeNet for 28 x 28 digits.
        origin: the file the recipe was loaded from; set by :func:`load_recipe`.

    Raises:
        RecipeError: a number is out of range, or a factory is not callable.
    """

    generator: Network | None = None
    discriminator: Network | None = None
    data: Callable[[], Source]
    epochs: int
    callbacks: Sequence[Callback] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    evaluate_every: Every = Every.epochs(1)
    evaluate_samples: int = 2000
    test_data: Callable[[], Source] | None = None
    features: FeatureExtractor | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole_number("epochs", self.epochs, 1)
        _check_factory("data", self.data)
        needed = ("generator", "discriminator", "optimizer") if self.game is None else ("game",)
        for name in needed:
            if getattr(self, name) is None:
                raise RecipeError(f"{name}=... is missing")
        for name in ("game", "generator", "discriminator", "optimizer", "discriminator_optimizer", "test_data"):
            if getattr(self, name) is not None:
                _check_factory(name, getattr(self, name))
        for name, network in self.networks.items():
            _check_factory(f"networks[{name!r}]", network)
        self.evaluation()  # raises for numbers that are out of range

    def evaluation(self) -> Evaluation:
        """Return the metrics and their schedule."""
        return Evaluation(self.metrics, self.evaluate_every, self.evaluate_samples, self.features)


def _check_factory(name: str, factory: object) -> None:
    if not callable(factory):
        raise RecipeError(f"{name} must be a class or a function, not {factory!r}")
    if hasattr(factory, "construct") and not isinstance(factory, type):
        # A cell is callable, but was built before the seed was set.
        kind = type(factory).__name__
        raise RecipeError(
            f"{name} must be a class or a function that builds it, not an instance: pass {kind} or "
            f"functools.partial({kind}, ...)"
        )


@dataclass(frozen=True)
class RecipeFile:
    """An imported recipe file: its bytes, its text, its function and the function's parameters."""

    path: Path
    content: bytes = field(repr=False)
    source: str
    function: Callable[..., Any]
    tunables: Mapping[str, Tunable] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> RecipeFile:
        """Import a recipe file under a unique module name.

        Raises:
            RecipeError: the file does not exist, cannot be imported, or does not define a function ``recipe``.
        """
        path = Path(path)
        content, source = _read(path)
        module = _import(path, source)
        function = getattr(module, "recipe", None)
        if not inspect.isfunction(function):
            found = "has no function recipe(...)" if function is None else f"has a recipe that is {function!r}"
            raise RecipeError(f"{path} {found}; a recipe is a function that returns a Recipe")
        return cls(path, content, source, function, read_parameters(function, path))

    def bind(self, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return every argument: the override, the default, or ``Tunable.REQUIRED``; see :func:`bind`."""
        return bind(self.path.name, self.tunables, overrides or {})

    def build(self, overrides: Mapping[str, Any] | None = None) -> Recipe:
        """Call ``recipe(...)`` with overrides; text is converted to the type of the parameter.

        Raises:
            RecipeError: an override is unknown or cannot be converted, a required argument is missing, or the
                function raises an exception or does not return a Recipe.
        """
        arguments = self.bind(overrides)
        missing = [name for name, value in arguments.items() if value is Tunable.REQUIRED]
        if missing:
            raise RecipeError(
                f"{self.path.name} needs a value: {' '.join(f'--set {name}=...' for name in missing)}"
            )
        try:
            made = self.function(**arguments)
        except GanError:
            raise
        except Exception as error:
            raise RecipeError(f"recipe(...) raised {describe(error)}") from error
        if not isinstance(made, Recipe):
            raise RecipeError(f"recipe(...) in {self.path} returns {type(made).__name__}, not a Recipe")
        origin = Origin(self.path, self.content, self.source, self.function, self.tunables, arguments)
        return replace(made, origin=origin)


@dataclass(frozen=True)
class Origin(RecipeFile):
    """The file and the arguments that a recipe was made from.

    Attributes:
        arguments: every argument of the function's call.
        attached: the attached callbacks and metrics by kind, as written on the command line.
        packages: versions of the packages that provide them.
    """

    arguments: Mapping[str, Any]
    attached: Mapping[str, Sequence[str]] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    def facts(self) -> dict[str, Any]:
        """Return the entries of ``run.json`` about the recipe; see :func:`encode_arguments`."""
        return {
            "recipe": str(self.path),
            "recipe_sha256": compute_sha256(self.source),
            "arguments": encode_arguments(self.tunables, self.arguments),
            "git_revision": get_git_revision(self.path.parent),
            **self.attached,
            "plugins": self.packages,
        }


def load_recipe(path: str | Path, /, **overrides: Any) -> Recipe:
    """Load a recipe from its file, with any of its parameters overridden.

    Raises:
        RecipeError: see :meth:`RecipeFile.open` and :meth:`RecipeFile.build`.
    """
    return RecipeFile.open(path).build(overrides)


def _read(path: Path) -> tuple[bytes, str]:
    if path.is_dir():
        raise RecipeError(f"{path} is a folder; a recipe is a Python file")
    if not path.exists():
        if not path.parent.is_dir():
            raise RecipeError(f"there is no recipe {path}: there is no folder {path.parent}")
        beside = [entry.name for entry in list_folder(path.parent) if entry.suffix == ".py"]
        raise RecipeError(f"there is no recipe {path}; " + suggest(path.name, beside))
    try:
        content = path.read_bytes()
        return content, decode_source(content)
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error


def _import(path: Path, source: str) -> ModuleType:
    # One name per path and content: compiled functions look up their globals by module name, so two recipes with
    # the same name would share the globals of the newer one.
    digest = compute_sha256(f"{path.resolve()}\n{source}")[:12]
    name = f"{MODULE_PREFIX}{path.stem}_{digest}"
    if path.suffix != ".py":
        raise RecipeError(f"{path} is not a Python file: its name must end in .py")
    file = pin_source(path, source)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{path} cannot be imported as a recipe")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception) and not isinstance(error, GanError):
            raise RecipeError(_explain_failure(error, path)) from error
        raise
    pin_sources()
    return module


def _explain_failure(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{path}, line {error.lineno}: {error.msg}"
    if isinstance(error, ModuleNotFoundError) and (path.parent / f"{error.name}.py").exists():
        return f"{path} imports {error.name}.py from its own folder; a recipe stands alone, one file"
    return f"importing the recipe raised {describe(error)}"
