"""The settings of the training, which recipes and runners share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ms_gan_callbacks.errors import RecipeError, is_whole
from ms_gan_callbacks.models.games.player import Player, check_number

if TYPE_CHECKING:
    from ms_gan_callbacks.models.augmentation import Augmentation
    from ms_gan_callbacks.models.games.game import Game
    from ms_gan_callbacks.models.losses.objective import Losses, Objective
    from ms_gan_callbacks.models.losses.penalties import Penalty
    from ms_gan_callbacks.models.networks import Network, OptimizerFactory

RECORDED_SETTINGS = (
    "objective",
    "penalty",
    "augment",
    "generator_every",
    "clip_norm",
    "ema",
    "classes",
    "game",
    "players",
    "sync_batch_norm",
)
"""Fields that determine the bytes of a run and are recorded in ``run.json``."""
OF_TWO_PLAYERS = (
    "objective",
    "optimizer",
    "noise_dim",
    "discriminator_optimizer",
    "penalty",
    "augment",
    "generator_every",
    "clip_norm",
    "ema",
    "classes",
)
"""Fields that describe a generator and a discriminator, and do not apply to other games."""


def check_whole_number(name: str, value: object, least: int) -> None:
    """Raise RecipeError unless a value is an int of at least ``least``."""
    if not is_whole(value, least):
        raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}")


def check_methods(name: str, value: object, methods: Sequence[str]) -> None:
    """Raise RecipeError unless a value is an object, not a class, with these methods."""
    for method in methods:
        if isinstance(value, type) or not callable(getattr(value, method, None)):
            raise RecipeError(f"{name} must be an object with a method {method}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Method:
    """The settings of the training: of a generator and a discriminator, or of any game.

    A generator and a discriminator need ``objective``, ``optimizer`` and ``noise_dim``. A ``game`` needs
    ``networks`` and ``players``, whose settings replace those fields.

    Attributes:
        objective: the losses.
        optimizer: builds an optimizer from a network's parameters; called once for each network.
        noise_dim: length of a noise vector, at least 1.
        game: builds a :class:`Game`: a class or a function.
        networks: the networks of the game by name: classes or functions.
        players: its players by name, in the order of their updates.
        seed: determines every random number of the run, 0 or more.
        discriminator_optimizer: builds the discriminator's optimizer; by default ``optimizer`` does (two time
            scales: arXiv:1706.08500).
        penalty: a term of the discriminator's loss, such as ``GradientPenalty(10.0)``, or a list of several.
        augment: changes real and generated images before the discriminator, such as ``Augment()``, for data sets
            of few images.
        generator_every: the generator is updated every N steps, at least 1 (``n_critic`` of a critic). The
            discriminator is updated in every step.
        clip_norm: the maximum norm of each network's gradient as one vector, above 0; None does not clip.
        ema: the decay of the generator's moving average, between 0 and 1; the average then generates all images.
        classes: the number of classes of a conditional run, at least 2; both networks get labels 0 to classes - 1.
        accelerate: whether stock layers are replaced by fast ones on a CPU.
        sync_batch_norm: whether batch normalisation uses the statistics of the whole batch if it is divided among
            several ranks; by default each rank uses those of its part. Without effect in one process.

    Raises:
        RecipeError: a number is out of range, the objective or penalty lacks a method, or a field is missing or
            does not apply.
    """

    objective: Losses | None = None
    optimizer: OptimizerFactory | None = None
    noise_dim: int | None = None
    game: Callable[[], Game] | None = None
    networks: Mapping[str, Network] = field(default_factory=dict)
    players: Mapping[str, Player] = field(default_factory=dict)
    seed: int = 0
    discriminator_optimizer: OptimizerFactory | None = None
    penalty: Penalty | Sequence[Penalty] | None = None
    augment: Augmentation | None = None
    generator_every: int = 1
    clip_norm: float | None = None
    ema: float | None = None
    classes: int | None = None
    accelerate: bool = True
    sync_batch_norm: bool = False

    def __post_init__(self) -> None:
        check_whole_number("seed", self.seed, 0)
        if not isinstance(self.sync_batch_norm, bool):
            raise RecipeError(f"sync_batch_norm must be True or False, got {self.sync_batch_norm!r}")
        if self.game is None:
            self._check_two_players()
        else:
            self._check_game()

    def _check_game(self) -> None:
        for one in fields(Method):
            if one.name in OF_TWO_PLAYERS and getattr(self, one.name) != one.default:
                raise RecipeError(f"{one.name} does not apply to a game: set it in the game or its players")
        for name, kind in (("networks", "networks"), ("players", "Player(...)s")):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not value:
                raise RecipeError(f"a game needs {name}=..., a dict of {kind} by name, got {value!r}")
        for name, player in self.players.items():
            if not isinstance(player, Player):
                raise RecipeError(f"players[{name!r}] must be a Player, got {player!r}")

    def _check_two_players(self) -> None:
        for name in ("networks", "players"):
            if getattr(self, name):
                raise RecipeError(f"{name}=... requires a game: pass game=... with a subclass of Game")
        for name in ("objective", "optimizer", "noise_dim"):
            if getattr(self, name) is None:
                raise RecipeError(f"{name}=... is missing")
        for name, least in (("noise_dim", 1), ("generator_every", 1)):
            check_whole_number(name, getattr(self, name), least)
        if self.classes is not None:
            check_whole_number("classes", self.classes, 2)
        for name, most in (("clip_norm", math.inf), ("ema", 1.0)):
            check_number(name, getattr(self, name), most)
        if self.traits.class_loss is not None and self.classes is None:
            raise RecipeError(f"{type(self.objective).__name__} needs labels: pass their number as classes=...")
        if self.penalty is not None:
            from ms_gan_callbacks.models.losses.penalties import list_penalties

            list_penalties(self.penalty)
        if self.augment is not None:
            check_methods("augment", self.augment, ("draw", "apply"))

    @property
    def traits(self) -> Objective:
        """The objective, with a default for each attribute that it does not have."""
        # Imported here: a recipe without an objective must not import MindSpore.
        from ms_gan_callbacks.models.losses.objective import complete_objective

        return complete_objective(self.objective)

    def get_optimizer(self) -> OptimizerFactory:
        """Return the optimizer's factory of a generator and a discriminator."""
        if self.optimizer is None:
            raise RecipeError("optimizer=... is missing")
        return self.optimizer

    def settings(self) -> dict[str, Any]:
        """Return every field by name."""
        return {field.name: getattr(self, field.name) for field in fields(Method)}

    def facts(self) -> dict[str, Any]:
        """Return what ``run.json`` records of the settings: numbers unchanged, objects as text."""
        facts = {name: _describe_value(getattr(self, name)) for name in RECORDED_SETTINGS}
        facts["game"] = None if self.game is None else describe_factory(self.game)
        facts["players"] = {name: describe_factory(player) for name, player in self.players.items()}
        for name in ("sync_batch_norm", "augment"):
            if not facts[name]:
                del facts[name]  # as in runs of earlier versions
        return facts


def describe_factory(value: object) -> str:
    """Return the repr of an object without addresses and modules, which may differ between processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", repr(value)))


def _describe_value(value: object) -> object:
    if value is None or isinstance(value, (int, float)):
        return value
    if type(value).__repr__ is object.__repr__:
        return type(value).__qualname__
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # an address differs between processes
