"""Batch normalisation with the statistics of the whole batch, when a batch is divided among ranks.

MindSpore's ``SyncBatchNorm`` runs on Ascend only. These layers need only AllReduce, whose gradient is an
AllReduce, so that they also run on a CPU and support second derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.normalization import BatchNorm1d, BatchNorm2d, _BatchLastNorm
from ms_gan_callbacks.models.layers.plain import is_plain
from ms_gan_callbacks.models.mindspore_private import BatchNorm


class _Synchronised(_BatchLastNorm):
    """Normalises with the mean and the variance over all ranks; in evaluation, like MindSpore's layer.

    Attributes:
        reduce: the sum over all ranks.
        ranks_total: number of ranks.
    """

    reduce: Any
    ranks_total: int
    eps: float
    momentum: float  # the weight of the new statistics

    def construct(self, x: Tensor) -> Tensor:
        """Return x normalised, (N, C) or (N, C, ...)."""
        if not self.training:
            return self.infer(x, (x.shape[0], x.shape[1], 1, -1))
        rest = tuple(range(2, len(x.shape)))
        return self.normalise(x, (0, *rest), (1, -1, *[1 for _ in rest]))

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return normalised features (C, N) or images (C, H, W, N)."""
        if not self.training:
            return self.infer(x, (1, x.shape[0], 1, -1))
        rest = tuple(range(1, len(x.shape)))
        return self.normalise(x, rest, (-1, *[1 for _ in rest]))

    # The graph compiler does not find the methods of MindSpore's layer by super() from here.
    def infer(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return x normalised with the moving statistics; ``shape`` is that of images (N, C, 1, -1)."""
        image = x.reshape(shape)
        normal = self.bn_infer(image, self.gamma, self.beta, self.moving_mean, self.moving_variance)[0]
        return normal.reshape(x.shape)

    def normalise(self, x: Tensor, axes: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
        """Return x normalised over axes, and update the moving statistics; ``shape`` is that of the features."""
        count = self.ranks_total * x.size // x.shape[0 if axes[0] else 1]
        mean = self.reduce(x.sum(axes)) / count
        centred = x - mean.reshape(shape)
        variance = self.reduce(ops.square(centred).sum(axes)) / count
        scale = self.gamma * ops.rsqrt(variance + self.eps)
        normal = centred * scale.reshape(shape) + self.beta.reshape(shape)
        # The moving variance is unbiased, as MindSpore's.
        unbiased = ops.stop_gradient(variance) * (count / max(count - 1, 1))
        old = 1 - self.momentum
        means = ops.assign(self.moving_mean, old * self.moving_mean + self.momentum * ops.stop_gradient(mean))
        squares = ops.assign(self.moving_variance, old * self.moving_variance + self.momentum * unbiased)
        return ops.depend(ops.depend(normal, means), squares)


class SyncBatchNorm1d(_Synchronised, nn.BatchNorm1d):  # type: ignore[misc]
    """:class:`mindspore.nn.BatchNorm1d` over all ranks."""

    ranks = (2,)


class SyncBatchNorm2d(_Synchronised, nn.BatchNorm2d):  # type: ignore[misc]
    """:class:`mindspore.nn.BatchNorm2d` over all ranks."""

    ranks = (4,)

    @staticmethod
    def stands_for(layer: nn.BatchNorm2d) -> bool:
        return BatchNorm2d.stands_for(layer)


KINDS: dict[type[nn.Cell], type[nn.Cell]] = {
    nn.BatchNorm1d: SyncBatchNorm1d,
    nn.BatchNorm2d: SyncBatchNorm2d,
    BatchNorm1d: SyncBatchNorm1d,
    BatchNorm2d: SyncBatchNorm2d,
}


def list_unsynchronised(network: nn.Cell) -> list[str]:
    """Return the names of the layers of a network that use the statistics of one rank's part of a batch."""
    return [
        name
        for name, layer in network.cells_and_names()
        if isinstance(layer, BatchNorm)
        and not isinstance(layer, _Synchronised)
        and layer.use_batch_statistics is not False
    ]


def synchronise(networks: Iterable[nn.Cell], size: int) -> None:
    """Make the batch normalisations of networks use the statistics of all ranks in training.

    The class of a layer is changed in place. Not changed are subclasses of MindSpore's layers, layers with
    ``use_batch_statistics``, hooks or casts. Call it before the networks are compiled.

    Args:
        networks: the networks.
        size: number of ranks; with one, nothing is changed.
    """
    for layer in (layer for network in networks for _, layer in network.cells_and_names() if size > 1):
        kind = KINDS.get(type(layer))
        if kind is not None and layer.use_batch_statistics is None and layer.format == "NCHW" and is_plain(layer):
            layer.__class__ = kind
            layer.reduce, layer.ranks_total = ops.AllReduce("sum"), size
