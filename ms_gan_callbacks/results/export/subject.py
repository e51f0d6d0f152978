"""The part of a run that is exported: the cell, its inputs, and images to compare a file with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from mindspore import Tensor, nn

from ms_gan_callbacks.data.images import to_uint8
from ms_gan_callbacks.data.protocol import to_unit
from ms_gan_callbacks.errors import UsageError, suggest
from ms_gan_callbacks.models.games.game import STEP, bind
from ms_gan_callbacks.models.games.rendering import Shown
from ms_gan_callbacks.models.networks import Floats, Forward
from ms_gan_callbacks.models.players import Players
from ms_gan_callbacks.models.two_players import TwoPlayers, build_players
from ms_gan_callbacks.results.export.cells import AtStep, Exported
from ms_gan_callbacks.results.export.inputs import Given, draw_inputs, find_inputs, list_inputs
from ms_gan_callbacks.results.export.plain_layers import make_exact, make_plain
from ms_gan_callbacks.results.export.ports import IMAGES, describe_image
from ms_gan_callbacks.results.inference import Trained


class Subject:
    """The generator of a run, built again from MindSpore's own layers.

    Args:
        trained: the run. Networks that have a moving average are replaced by it.
        network: a network of a game that is exported alone; by default all that makes the images of the game.
        uint8: whether images are uint8 in the file, instead of floats in [-1, 1].

    Attributes:
        inputs: the inputs of the file.
        output: its output.
        arrays: 64 rows of each input, by name.
        images: the images that the run's generator makes of them, (64, C, H, W), floats.

    Raises:
        UsageError: there is no such network, or it does not make images.
    """

    def __init__(self, trained: Trained, network: str | None = None, uint8: bool = False) -> None:
        self.trained, self.uint8 = trained, uint8
        self._players = trained._players
        two = isinstance(self._players, TwoPlayers)
        self._network = None if two and network == "generator" else network
        given = draw_inputs(trained, self._players)
        with self._players.use_averages():
            if self._network is not None:
                given = self._choose(self._network, given)
            if uint8:
                given = {port: to_unit(to_uint8(rows)) if port.is_image else rows for port, rows in given.items()}
            self.images = self._make_images(given)
        self.arrays = {
            port.name: to_uint8(rows) if port.is_image and uint8 else rows for port, rows in given.items()
        }
        self.inputs = tuple(describe_image(one.name, one.shape, uint8) if one.is_image else one for one in given)
        name = IMAGES if IMAGES not in self.arrays else "output"
        self.output = describe_image(name, self.images.shape[1:], uint8)

    @property
    def averaged(self) -> bool:
        """Whether weights are a moving average."""
        return bool(self._players.averages) and self._network in (None, *self._players.averages)

    def build(self, exact: bool = False) -> nn.Cell:
        """Return a new cell that makes the images, with the weights of the run, in evaluation mode.

        A file needs a new one: of a cell that was exported before, MindSpore exports the former graph.

        Args:
            exact: for comparisons: layers are as exact as those of other frameworks, and images are floats.
        """
        recipe = replace(self.trained.recipe, accelerate=False)
        players = build_players(recipe, recipe.generator, recipe.discriminator)
        with self._players.use_averages():
            weights = self._players.weights()
        for name, parameter in players.parameters().items():
            parameter.set_data(Tensor(weights[name]))  # it does not belong to a graph yet
        for cell in (*players.networks.values(), *(one.network for one in players.averages.values())):
            make_plain(cell)
            if exact:
                make_exact(cell)
        scaled = [place for place, port in enumerate(self.inputs) if port.is_image and self.uint8]
        for name, average in players.averages.items():
            setattr(players.game, name, average.network)
        return Exported(self._get_maker(players), scaled, self.uint8 and not exact).set_train(False)

    def compute_exactly(self) -> Floats:
        """Return ``images`` as computed with the exact layers of :meth:`build`."""
        return Forward(self.build(exact=True)).predict(*self.arrays.values())[0]

    def shorten(self, names: list[str]) -> dict[str, str]:
        """Return names of Parameters relative to their network, if there is only one, else to the game."""
        if isinstance(self._players, TwoPlayers):
            return {name: name.removeprefix("ema.").removeprefix("generator.") for name in names}
        short = {name: name.removeprefix("ema.") for name in names}
        heads = {name.partition(".")[0] for name in short.values()}
        if len(heads) == 1 and heads < self._players.networks.keys():
            return {name: one.partition(".")[2] for name, one in short.items()}
        return short

    def _get_maker(self, players: Players) -> nn.Cell:
        """Return the cell that makes images from the inputs."""
        if self._network is not None:
            return getattr(players.game, self._network)
        if isinstance(players, TwoPlayers):
            return players.game.generator
        names, game = list_inputs(players.game), players.game
        shown = Shown(game, bind(game, "make", names), bind(game, "select_images", names))
        return AtStep(shown, names.index(STEP), self.trained.step) if STEP in names else shown

    def _choose(self, network: str, given: Given) -> Given:
        """Return the inputs of a network of a game, from those of the game."""
        self._players.get_network(network)  # raises an error if there is none
        if isinstance(self._players, TwoPlayers):
            raise UsageError(
                f"the network {network!r} does not take part in making images; {suggest(network, ['generator'])}"
            )
        network_inputs = find_inputs(self._players.game, self._players.networks, given)
        if network not in network_inputs:
            raise UsageError(
                f"the network {network!r} does not take part in making images; {suggest(network, network_inputs)}"
            )
        return network_inputs[network]

    def _make_images(self, given: Given) -> Floats:
        """Return the images that the run's own networks make."""
        outputs = Forward(self._get_maker(self._players)).predict(*given.values())
        if len(outputs) != 1 or outputs[0].ndim != 4:
            shapes = ", ".join(str(one.shape[1:]) for one in outputs)
            raise UsageError(f"only images (C, H, W) can be exported, and the outputs have the shapes {shapes}")
        if not np.isfinite(outputs[0]).all():
            raise UsageError(
                "the generator returns NaN or infinite values: select an earlier one with --checkpoint"
            )
        return outputs[0]
