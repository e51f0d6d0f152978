"""Batch normalisation along contiguous rows, instead of strided columns."""

from __future__ import annotations

from mindspore import Tensor, nn

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.feature_major import transpose


class BatchNorm1d(Fast, nn.BatchNorm1d):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.BatchNorm1d` in training, with the same arguments."""

    @staticmethod
    def stands_for(layer: nn.BatchNorm1d) -> bool:
        return layer.use_batch_statistics is None

    def refit(self) -> None:
        """Do nothing: the operators of the MindSpore layer are used."""

    def construct(self, x: Tensor) -> Tensor:
        """Return normalised rows (N, C); in training, update the moving statistics."""
        if not self.training or not self.stands_for(self) or len(x.shape) != 2:
            return super().construct(x)
        return transpose(self.turn(transpose(x)))

    def turn(self, columns: Tensor) -> Tensor:
        """Return normalised features (C, N)."""
        # One image with C contiguous channels.
        image = columns.reshape(1, columns.shape[0], 1, columns.shape[1])
        normalise = self.bn_train if self.training else self.bn_infer
        normal = normalise(image, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        return normal.reshape(columns.shape)
