"""Batch-last layout: features (C, N) and images (C, H, W, N), which fast layers process without transposes.

Matrix products then use weights as they lie in memory, and gathers of pixels move the N numbers of a whole batch
at a time. Only :class:`SequentialCell` changes the layout, between two layers that differ in it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.plain import is_plain
from ms_gan_callbacks.models.layers.primitives import add_bias, times, times_transposed

FEW_COLUMNS = 256
"""Up to this number of columns, and four times as many rows, a matrix is transposed by a product."""


class BatchLast:
    """A layer that also takes its input in batch-last layout, and then returns its output in it.

    Attributes:
        ranks: the ranks of inputs it takes in this layout; empty for all.
        pays: whether it is faster in this layout, so that a change of the layout can be worthwhile.
    """

    ranks: tuple[int, ...] = ()
    pays: bool = True

    stands_for: Callable[..., bool]

    def takes_batch_last(self) -> bool:
        """Return whether the layer, with its present settings, takes this layout."""
        return self.stands_for(self)

    @abstractmethod
    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return what ``construct`` does, for an input in batch-last layout and in it."""


def supports_batch_last(layer: nn.Cell) -> bool:
    """Return whether a layer takes inputs in batch-last layout; layers with hooks or casts do not."""
    return isinstance(layer, BatchLast) and is_plain(layer) and layer.takes_batch_last()


@ops.constexpr  # type: ignore[untyped-decorator]
def _make_identity(size: int, dtype: Any) -> Tensor:
    return Tensor(np.eye(size), dtype)


def transpose(x: Tensor) -> Tensor:
    """Return a matrix (R, C) as (C, R).

    A tall matrix of few columns is multiplied by the identity, which is exact for finite numbers and four times as
    fast as MindSpore's transpose. An infinite or NaN entry makes the other entries of its row NaN, too.
    """
    rows, columns = x.shape
    if rows == 1 or columns == 1:
        return x.reshape(columns, rows)
    if columns <= FEW_COLUMNS and rows >= 4 * columns and x.dtype == ms.float32:
        return times_transposed(_make_identity(columns, x.dtype), x)
    return ops.transpose(x, (1, 0))


def move_batch_last(x: Tensor) -> Tensor:
    """Return (N, ...) as (..., N)."""
    shape = x.shape
    return transpose(x.reshape(shape[0], -1)).reshape((*shape[1:], shape[0]))


def move_batch_first(x: Tensor) -> Tensor:
    """Return (..., N) as (N, ...)."""
    shape = x.shape
    return transpose(x.reshape(-1, shape[-1])).reshape((shape[-1], *shape[:-1]))


class AddColumn(nn.Cell):  # type: ignore[misc]
    """Adds a bias (C,) to features (C, N), with a matrix product as gradient instead of MindSpore's slow sum."""

    def construct(self, columns: Tensor, bias: Tensor) -> Tensor:
        """Return features + bias."""
        return add_bias(columns.reshape(1, *columns.shape), bias).reshape(columns.shape)

    def bprop(self, columns: Tensor, bias: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients with respect to the features and the bias."""
        return grad, times(grad, ops.ones((grad.shape[1], 1), grad.dtype)).reshape(-1)
