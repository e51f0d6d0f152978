"""Game: the images made in a step, and the loss of each player."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from mindspore import Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, is_whole, suggest
from ms_gan_callbacks.models.games.chance import Chance, check_chance

MADE, STEP = "made", "step"
"""Names of arguments: the result of ``make``, and the number of the step, counted from 1."""
RESERVED = ("game", "ema")
"""Names that networks cannot have."""


class Bound(NamedTuple):
    """A method of a game and the inputs it takes.

    Attributes:
        function: the bound method.
        takes_made: whether its first argument is what ``make`` returned.
        places: positions of its other arguments among the step's inputs.
        scalars: names of the scalars it returns: a loss and its further scalars; empty for other methods.
        keys: keys of the further scalars in the dict that it returns.
    """

    function: Callable[..., Any]
    takes_made: bool
    places: tuple[int, ...]
    scalars: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class Game(nn.Cell):  # type: ignore[misc]
    """Base class of games between any number of players.

    ::

        class Pix2Pix(Game):
            def make(self, source):
                return self.generator(source)

            def discriminator_loss(self, made, source, target):
                ...

            def generator_loss(self, made, source, target):
                distance = ops.abs(made - target).mean()
                return adversarial + 100 * distance, {"l1": distance}

    A game defines ``make``, which is computed once per step for all players, and ``<player>_loss`` for each
    player, the scalar that it minimises, or (scalar, dict of further scalars to publish). All methods run inside
    one compiled graph; they may define further methods, and call networks, which are attributes by their name in
    ``Recipe(networks=...)``.

    Arguments are bound by name: ``made`` is what ``make`` returned, a Tensor or a tuple of them; ``step`` is the
    number of the step, a float32 scalar, for schedules; all others are columns of the batch, or random inputs of
    ``chance``.

    Parameters that are attributes of the game, such as the k of BEGAN (arXiv:1703.10717) or a
    :class:`ReplayPool`, are state: losses update them with ``ops.assign``. They are reset to their initial values
    at the beginning of a run, saved in checkpoints, and not changed by evaluation.

    Attributes:
        chance: the random inputs of a step by name, such as ``{"noise": Normal(62)}``; a class attribute, or set
            in ``__init__``.
        terms: terms of losses that are computed in every N-th step only, such as ``{"path_length": 8}``: in the
            other steps, :meth:`get_loss` finds their names in ``idle`` (lazy regularisation).
        compared: the column of real images that metrics and ``ms-gan evaluate`` compare generated images with; by
            default ``"real"`` or ``"target"``, if the data has it.
    """

    chance: Mapping[str, Chance] = {}
    terms: Mapping[str, int] = {}
    compared: str | None = None

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)

    def picture(self, made: Any) -> Any:
        """Return the images of a grid, (N, C, H, W), or a tuple of them: one group of rows for each.

        The default is what ``make`` returned, without members that are not images. Override it with any arguments
        that ``make`` could have, for example to show the source next to the result.
        """
        return tuple([one for one in made if one.ndim == 4]) if isinstance(made, tuple) else made

    def arrange(self, inputs: dict[str, NDArray[Any]], columns: int) -> Mapping[str, NDArray[Any]]:
        """Return the inputs of a grid with ``columns`` images in a row, from random inputs and the data.

        Called on the host with NumPy arrays by name. The default returns them unchanged; override it, for example,
        to vary one code within each row.
        """
        return inputs

    def select_images(self, made: Any) -> Tensor:
        """Return the generated images among what ``make`` returned, (N, C, H, W); by default the first."""
        return made[0] if isinstance(made, tuple) else made

    def get_inputs(self, method: str) -> tuple[str, ...]:
        """Return the names of the inputs of a method, without ``made``.

        Raises:
            RecipeError: the method has an argument that cannot be bound by name.
        """
        names = []
        for name, one in inspect.signature(getattr(self, method)).parameters.items():
            if one.kind not in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
                raise RecipeError(
                    f"{type(self).__name__}.{method}: the argument {one} cannot be bound: name each column, each "
                    "random input, made or step as one argument"
                )
            names.append(name)
        return tuple(name for name in names if name != MADE)

    def takes_made(self, method: str) -> bool:
        """Return whether ``made`` is an argument of a method; it must be the first."""
        names = list(inspect.signature(getattr(self, method)).parameters)
        if MADE in names[1:]:
            raise RecipeError(f"{type(self).__name__}.{method}: made must be the first argument")
        return MADE in names

    def get_loss(self, player: str, idle: Collection[str]) -> str:
        """Return the name of the method that computes a player's loss.

        Args:
            player: name of the player.
            idle: names of the players that are not updated in the step, and of the terms that are left out.
        """
        return f"{player}_loss"

    def get_keys(self, method: str) -> tuple[str, ...] | None:
        """Return the keys of the further scalars of a loss; by default None, and a trial finds them."""
        return None

    def get_function(self, method: str) -> Callable[..., Any]:
        """Return a method by the name that :meth:`get_loss` has returned."""
        function: Callable[..., Any] = getattr(self, method)
        return function


def list_losses(game: Game, player: str) -> tuple[str, ...]:
    """Return the names of the methods that compute a player's loss: with all terms, and with none."""
    return tuple(dict.fromkeys([game.get_loss(player, ()), game.get_loss(player, tuple(game.terms))]))


def bind(game: Game, method: str, inputs: Sequence[str]) -> Bound:
    """Return a method of a game, bound to the inputs of these names."""
    places = tuple(inputs.index(name) for name in game.get_inputs(method))
    return Bound(game.get_function(method), game.takes_made(method), places)


def check_game(game: object, networks: Collection[str], players: Mapping[str, Any]) -> None:
    """Check that a game has the methods its players require, and that names do not conflict.

    Raises:
        RecipeError: a method is missing, a network has the name of an attribute, or a name is not an identifier.
    """
    if not isinstance(game, Game):
        raise RecipeError(f"game must return a Game, not {type(game).__name__}")
    kind = type(game).__name__
    if not callable(getattr(game, "make", None)):
        raise RecipeError(f"{kind} has no method make(...), which returns what all players use")
    for what, names in (("network", networks), ("player", players)):
        for name in names:
            if not (isinstance(name, str) and name.isidentifier()):
                raise RecipeError(f"a {what}'s name must be an identifier of Python, got {name!r}")
    for name in networks:
        if name in RESERVED:
            raise RecipeError(f"a network cannot be named {name!r}, the prefix of other names in checkpoints")
        if hasattr(game, name):
            raise RecipeError(f"a network cannot be named {name!r}: {kind} already has an attribute of this name")
    check_chance(kind, game.chance)
    _check_terms(kind, game.terms, players)
    methods = [name for name in dir(type(game)) if name.endswith("_loss") and name != "get_loss"]
    for name in players:
        for method in list_losses(game, name):
            if not _has_function(game, method):
                raise RecipeError(
                    f"{kind} has no method {method} for the player {name!r}; {suggest(method, methods)}"
                )


def _has_function(game: Game, method: str) -> bool:
    try:
        return callable(game.get_function(method))
    except AttributeError:
        return False


def _check_terms(kind: str, terms: object, players: Collection[str]) -> None:
    if not isinstance(terms, Mapping):
        raise RecipeError(f"{kind}.terms must be a dict of names and numbers of steps, got {terms!r}")
    for name, every in terms.items():
        if not is_whole(every, 1):
            raise RecipeError(
                f"{kind}.terms[{name!r}] must be a whole number of steps of at least 1, got {every!r}"
            )
        if name in players:
            raise RecipeError(f"{kind}.terms: {name!r} is the name of a player; rename the term")
