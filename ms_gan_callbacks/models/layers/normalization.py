"""Batch normalisation in batch-last layout: along contiguous rows, instead of strided columns."""

from __future__ import annotations

from typing import Any

from mindspore import Parameter, Tensor, nn

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import BatchLast, transpose


class _BatchLastNorm(BatchLast):
    """Batch normalisation of features and of images in batch-last layout."""

    training: bool  # these are attributes of the MindSpore layer
    bn_train: Any
    bn_infer: Any
    gamma: Parameter
    beta: Parameter
    moving_mean: Parameter
    moving_variance: Parameter

    @staticmethod
    def stands_for(layer: nn.Cell) -> bool:
        return layer.use_batch_statistics is None

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return normalised features (C, N) or images (C, H, W, N)."""
        # One image with C contiguous channels.
        image = x.reshape(1, x.shape[0], 1, -1)
        normalise = self.bn_train if self.training else self.bn_infer
        normal = normalise(image, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        return normal.reshape(x.shape)


class BatchNorm1d(_BatchLastNorm, Fast, nn.BatchNorm1d):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.BatchNorm1d` in training, with the same arguments."""

    ranks = (2,)

    def construct(self, x: Tensor) -> Tensor:
        """Return normalised rows (N, C); in training, update the moving statistics."""
        if not self.training or not self.stands_for(self) or len(x.shape) != 2:
            return super().construct(x)
        return transpose(self.run_batch_last(transpose(x)))


class BatchNorm2d(_BatchLastNorm, Fast, nn.BatchNorm2d):  # type: ignore[misc]
    """:class:`mindspore.nn.BatchNorm2d`, which also takes images in batch-last layout."""

    ranks = (4,)

    @staticmethod
    def stands_for(layer: nn.BatchNorm2d) -> bool:
        return layer.use_batch_statistics is None and layer.format == "NCHW"
