"""The networks of a run: access, generation of images and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mindspore import nn
from numpy.typing import ArrayLike, NDArray

from ms_gan_callbacks.data.arrays import convert_columns
from ms_gan_callbacks.data.protocol import LABELS, REAL
from ms_gan_callbacks.models.networks import Floats
from ms_gan_callbacks.models.players import Players


class GanModel:
    """Base class of objects with the players of a game."""

    _players: Players

    @property
    def generator(self) -> nn.Cell:
        """The generator's cell."""
        return self._players.get_network("generator")

    @property
    def discriminator(self) -> nn.Cell:
        """The discriminator's cell."""
        return self._players.get_network("discriminator")

    @property
    def networks(self) -> Mapping[str, nn.Cell]:
        """The cells of all networks by name."""
        return dict(self._players.networks)

    def sample(
        self,
        count: int,
        name: str = "preview",
        labels: ArrayLike | None = None,
        columns: Mapping[str, NDArray[Any]] | None = None,
    ) -> Floats:
        """Return ``count`` generated images, (count, C, H, W) in [-1, 1].

        If the generator uses batch statistics in evaluation mode, an image depends on its batch.

        Args:
            count: the number of images.
            name: the name of the noise; one name always gives the same noise.
            labels: the classes in a conditional run, (count,); by default 0, 1, 2 and so on, cyclically.
            columns: the columns from which a game makes images, by name, ``count`` rows or more each: images
                (N, C, H, W), uint8 or floats in [-1, 1].

        Raises:
            UsageError: labels do not fit, or columns are missing.
        """
        return self._players.sample(count, name, labels, convert_columns(columns or {}))

    def eval(
        self, images: NDArray[Any] | Mapping[str, NDArray[Any]], labels: ArrayLike | None = None
    ) -> dict[str, float]:
        """Return the scalars of a step, such as losses and D(x), on held-out data.

        As many images are generated; all networks are in evaluation mode, and the state of a game is not changed.
        The losses of a generator and a discriminator do not include the penalty.

        Args:
            images: (N, C, H, W), uint8 or floats in [-1, 1]; for a game its columns by name.
            labels: their labels, (N,), in a conditional run; the generated images use the same.

        Raises:
            UsageError: labels do not fit, or a column is missing.
        """
        columns = dict(images) if isinstance(images, Mapping) else {REAL: images}
        if labels is not None:
            columns[LABELS] = np.asarray(labels)
        return self._players.evaluate(convert_columns(columns))
