"""The players of a game: their networks, optimizers and moving averages, and the step that trains them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import list_columns, read_batches
from ms_gan_callbacks.data.protocol import Source
from ms_gan_callbacks.errors import RecipeError, UsageError, annotate, suggest, warn
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.models.ema import EMA
from ms_gan_callbacks.models.games.chance import draw_all
from ms_gan_callbacks.models.games.game import Game, check_game
from ms_gan_callbacks.models.games.player import Player
from ms_gan_callbacks.models.games.rendering import Inputs
from ms_gan_callbacks.models.games.step import TrainingStep
from ms_gan_callbacks.models.games.steps import Cast, Steps
from ms_gan_callbacks.models.games.trial import TrialResult, check_columns, find_compared, try_game
from ms_gan_callbacks.models.inference import Inference
from ms_gan_callbacks.models.layers.synchronised import synchronise
from ms_gan_callbacks.models.losses.state import collect_state
from ms_gan_callbacks.models.networks import (
    Network,
    accelerate_network,
    build_network,
    disable_compile_cache,
    make,
)
from ms_gan_callbacks.models.optimizers import (
    build_optimizer,
    check_rates,
    list_inexact_optimizers,
    read_rates,
    scale_rates,
)
from ms_gan_callbacks.models.world import get_world
from ms_gan_callbacks.storage.source_text import pin_sources

NO_SECOND_DERIVATIVE = re.compile(
    r"Primitive (\w+?)(?:Grad)+'s bprop not defined|\[(\w+?)(?:Grad)+ does not support"
)
"""The errors of MindSpore about a missing second derivative."""


class Players(Inference):
    """The players of a game, and the networks they train.

    Parameters are named ``<network>.*``, ``<player>_optimizer.*``, ``ema.<network>.*`` and ``game.*``, so that
    names are unique.

    Args:
        game: builds the game.
        networks: networks by name: cells, or factories called with the seed set.
        players: the players by name, in the order of their updates.
        seed: determines the initial weights and random inputs.
        fast: whether stock layers are replaced by fast ones on a CPU.
        sync: whether batch normalisation uses the statistics of all ranks.

    Attributes:
        game: the game, with the networks as attributes.
        networks: the networks by name.
        players: the players by name.
        optimizers: their optimizers by name.
        averages: the moving averages by network.
        accelerated: number of layers of each type that were replaced by fast layers.

    Raises:
        RecipeError: a factory does not return a game, a network or an optimizer, or names do not fit together.
    """

    def __init__(
        self,
        game: Callable[[], Game],
        networks: Mapping[str, Network],
        players: Mapping[str, Player],
        *,
        seed: int = 0,
        fast: bool = True,
        sync: bool = False,
    ) -> None:
        pin_sources()
        disable_compile_cache()
        self.players = dict(players)
        self.networks: dict[str, nn.Cell] = {}
        for name, network in networks.items():
            self.networks[name] = build_network(network, name, seed, self.networks.values())
        super().__init__(make("game", game), seed)
        check_game(self.game, self.networks, self.players)
        self.accelerated: dict[str, int] = {}
        if fast and ms.get_context("device_target") == "CPU":
            counts = Counter[str]()
            for name, network in self.networks.items():
                counts += Counter(accelerate_network(network, name, seed))
            self.accelerated = dict(sorted(counts.items()))
        self.optimizers = {name: self._build_optimizer(name) for name in self.players}
        self.averages |= self._build_averages()
        owned = [parameter for network in self.networks.values() for parameter in network.get_parameters()]
        self.state = collect_state(self._list_holders(), owned)
        for name, network in self.networks.items():
            setattr(self.game, name, network)
        self.world, self._sync = get_world(), sync
        everything = (self.networks, self.players, self.optimizers, self.averages, self.state, self.world)
        self.cast = Cast(self.game, *everything)
        self._steps: Steps | None = None
        self._compiled, self._batch_size = False, 1

    def find_compared(self, source: Source) -> str | None:
        """Return the column of real images that generated images are compared with, or None."""
        return find_compared(self.game, list_columns(source))

    def get_network(self, name: str) -> nn.Cell:
        """Return a network; raise UsageError, with the nearest match, if there is none of this name."""
        if name not in self.networks:
            raise UsageError(f"this game has no network {name!r}; {suggest(name, self.networks)}")
        return self.networks[name]

    def _list_holders(self) -> dict[str, object]:
        """Return the objects whose Parameters are state, by the prefix of their names."""
        return {"game": dict(self.game.parameters_and_names())}

    def _get_title(self, player: str) -> str:
        """Return what a player is called in messages and the names of learning rates."""
        return player

    def _get_average_prefix(self, network: str) -> str:
        return f"ema.{network}"

    def _build_optimizer(self, name: str) -> nn.Optimizer:
        trained: dict[int, Parameter] = {}
        for one in self.players[name].trains:
            if one not in self.networks:
                raise RecipeError(
                    f"the player {name!r} trains {one!r}, which is not a network; {suggest(one, self.networks)}"
                )
            trained |= {id(weight): weight for weight in self.networks[one].trainable_params()}
        everything = [parameter for network in self.networks.values() for parameter in network.get_parameters()]
        return build_optimizer(
            self.players[name].optimizer,
            list(trained.values()),
            self._get_title(name),
            f"{name}_optimizer",
            everything,
        )

    def _build_averages(self) -> dict[str, EMA]:
        averages: dict[str, EMA] = {}
        for name, player in self.players.items():
            for network in player.trains if player.ema is not None else ():
                if network in averages:
                    raise RecipeError(f"two players average the network {network!r}: remove the ema of {name!r}")
                prefix = self._get_average_prefix(network)
                averages[network] = EMA(self.networks[network], player.ema or 0.0, network, prefix)
        return averages

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters by name, including moving statistics, counters, averages and state."""
        cells = (*self.networks.values(), *self.optimizers.values())
        every = [parameter for cell in cells for parameter in cell.get_parameters()]
        for average in self.averages.values():
            every += [*average.network.get_parameters(), average.updates]
        every += self.state
        return {parameter.name: parameter for parameter in every}

    def weights(self, copy: bool = True) -> dict[str, NDArray[Any]]:
        """Return the values of all parameters; without ``copy`` they are valid until the next step."""
        values = {name: parameter.asnumpy() for name, parameter in self.parameters().items()}
        return {name: value.copy() for name, value in values.items()} if copy else values

    def load_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Set all parameters; names, shapes and types must match :meth:`parameters`."""
        for name, parameter in self.parameters().items():
            # Not set_data, which detaches a parameter from graphs that have run.
            ops.assign(parameter, Tensor(weights[name]))

    def prepare(self, source: Source) -> None:
        """Try the game with the first batch of a source, once.

        Warns:
            GanWarning: a resumed run is not exact; images have an unusual range.

        Raises:
            GanError: the source and the game do not fit together; see :func:`try_game`.
        """
        if self._steps is None:
            batch, self._batch_size = next(read_batches(source, self.seed, 1)), source.batch_size
            check_columns(self.game, batch)
            drawn = draw_all(self.game.chance, self.seed, 0, source.batch_size, purpose="probe")
            self._adopt(try_game(self.game, self.networks, self.players, {**batch, **drawn}), batch)

    def _adopt(self, tried: TrialResult, columns: Collection[str]) -> None:
        """Use the results of a trial for all steps, and issue its warnings."""
        for warning in (*tried.warnings, *list_inexact_optimizers(self.optimizers.values())):
            warn(warning)
        synchronise(self.networks.values(), self.world.size if self._sync else 1)  # not before the trial
        self._steps = Steps(self.cast, tried, columns)

    @property
    def steps(self) -> Steps:
        """The steps, and the names of their inputs and scalars; call :meth:`prepare` before."""
        if self._steps is None:
            raise RuntimeError("call prepare before the first step")
        return self._steps

    def train_step(self, inputs: Inputs, due: Collection[str] | None = None) -> Tensor:
        """Update players; return the scalars on the device, in the order of ``steps.scalars``.

        Args:
            inputs: the inputs of the step by name, contiguous arrays; others are ignored.
            due: names of the players to update, by default all.
        """
        step = self.steps.get(due)
        tensors = [Tensor.from_numpy(inputs[name]) for name in self.steps.inputs]
        try:
            if not self._compiled:
                self._compile(step, tensors)
            return step.run(*tensors)
        except Exception as error:
            self._explain(error)
            annotate(error, "raised by the compiled training step")
            raise

    def _explain(self, error: Exception) -> None:
        """Raise RecipeError if the error is a missing second derivative, required by a gradient in a loss."""
        if found := NO_SECOND_DERIVATIVE.search(str(error)):
            name, device = found[1] or found[2], ms.get_context("device_target")
            raise RecipeError(
                f"{self._name_gradient()} requires the second derivative of {name}, which MindSpore does not have "
                f"on {device}: build the discriminator from other layers, such as LeakyReLU, LayerNorm, and "
                "convolutions with a stride"
            ) from error

    def _name_gradient(self) -> str:
        """Return what computes a gradient in a loss."""
        return type(self.game).__name__

    def _compile(self, first: TrainingStep, inputs: Sequence[Tensor]) -> None:
        """Compile the graphs of a run before its first step; raise RecipeError for Parameters without an owner."""
        for name in self.steps.compile_all(first, inputs) - self.parameters().keys():
            raise RecipeError(
                f"the training step uses a Parameter {name!r} that does not belong to a network, so checkpoints "
                f"would not contain it: {self._explain_owner()}"
            )
        self._compiled = True

    def _explain_owner(self) -> str:
        """Return what a Parameter should be an attribute of."""
        return "make it an attribute of a network or of the game"

    def evaluate(self, columns: Inputs) -> dict[str, float]:
        """Return the scalars of a step for columns of N rows, with all networks in evaluation mode.

        They are means over batches of the size of the training's; a remainder is left out. Random inputs are those
        of the purpose "eval"; the state of the game is not changed.
        """
        if self._steps is None:
            raise UsageError("a game is evaluated after train() has tried it with its data")
        return self._judge(columns, self._steps, self._batch_size)

    def get_optimizers(self) -> dict[str, nn.Optimizer]:
        """Return the optimizers by the names of their learning rates."""
        return {self._get_title(name): optimizer for name, optimizer in self.optimizers.items()}

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate of each player's next update, with the index of each group in its name."""
        rates: dict[str, float] = {}
        for name, optimizer in self.get_optimizers().items():
            rates |= read_rates(name, optimizer)
        return rates

    def check_rates(self, progress: Progress) -> None:
        """Raise RecipeError if a list of learning rates is shorter than the run."""
        for name, player in self.players.items():
            check_rates(self._get_title(name), self.optimizers[name], progress.steps // player.every)

    def scale_learning_rates(self, factor: float) -> None:
        """Multiply all future learning rates of all players by a factor, see :func:`scale_rates`."""
        for optimizer in self.optimizers.values():
            scale_rates(optimizer, factor)
