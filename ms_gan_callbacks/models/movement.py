"""Finds networks that the first update of their player does not change."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping

from mindspore import nn

from ms_gan_callbacks.errors import warn
from ms_gan_callbacks.models.games.player import Player
from ms_gan_callbacks.models.optimizers import read_rates


class Movement:
    """Compares the weights of trained networks before and after the first update of each player.

    If no gradient of a loss reaches a network, for example because of ``ops.stop_gradient``, the network keeps its
    initial weights, and MindSpore does not report an error.

    Args:
        networks: the networks by name.
        players: the players by name.
        optimizers: their optimizers by name.

    Attributes:
        waiting: names of the players that have not been updated yet.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Cell],
        players: Mapping[str, Player],
        optimizers: Mapping[str, nn.Optimizer],
    ) -> None:
        self._networks, self._players, self._optimizers = networks, players, optimizers
        self._before: dict[str, dict[str, int]] = {}
        self.waiting = set(players)

    def begin(self, due: Collection[str]) -> None:
        """Remember the weights of players before their first update with a learning rate above 0."""
        for player in sorted(self.waiting.intersection(due)):
            if any(read_rates(player, self._optimizers[player]).values()):
                names = self._players[player].trains
                self._before[player] = {name: _sum_weights(self._networks[name]) for name in names}
                self.waiting.remove(player)

    def end(self) -> None:
        """Warn of networks that have not changed since :meth:`begin`."""
        for player, sums in self._before.items():
            for name, before in sums.items():
                if _sum_weights(self._networks[name]) == before:
                    warn(
                        f"the first update of the player {player!r} did not change the network {name!r}: the "
                        "gradient of its loss is zero (an ops.stop_gradient, or a saturated loss)"
                    )
        self._before.clear()


def _sum_weights(network: nn.Cell) -> int:
    """Return a checksum of the trainable weights of a network."""
    total = 0
    for parameter in network.trainable_params():
        total = zlib.crc32(parameter.asnumpy().tobytes(), total)
    return total
