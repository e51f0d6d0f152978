"""Batch normalisation along rows, where the stock layer walks down columns one number at a time."""

from __future__ import annotations

from mindspore import Tensor, nn

from ms_gan_callbacks.models.layers.fast import Fast
from ms_gan_callbacks.models.layers.turn import transpose


class BatchNorm1d(Fast, nn.BatchNorm1d):  # type: ignore[misc]
    """:class:`mindspore.nn.BatchNorm1d`; see there for its arguments. In evaluation it is the stock layer."""

    @staticmethod
    def stands_for(layer: nn.BatchNorm1d) -> bool:
        return layer.use_batch_statistics is None

    def refit(self) -> None:
        """Nothing to derive: the stock layer's operators are used, on another view of the data."""

    def construct(self, x: Tensor) -> Tensor:
        """Return rows (N, C) normalised; in training, the moving statistics follow."""
        if not self.training or not self.stands_for(self) or len(x.shape) != 2:
            return super().construct(x)
        return transpose(self.turn(transpose(x)))

    def turn(self, columns: Tensor) -> Tensor:
        """Return features (C, N), one a row, normalised."""
        # To the kernel that is one image of C channels, each of which lies together.
        image = columns.reshape(1, columns.shape[0], 1, columns.shape[1])
        normalise = self.bn_train if self.training else self.bn_infer
        normal = normalise(image, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        return normal.reshape(columns.shape)
