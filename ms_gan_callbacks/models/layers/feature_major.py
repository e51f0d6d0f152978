"""Operations on features in feature-major layout, (C, N), which is faster for small batches on a CPU."""

from __future__ import annotations

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.primitives import add_bias, times


def transpose(x: Tensor) -> Tensor:
    """Return a matrix (R, C) as (C, R)."""
    rows, columns = x.shape
    return x.reshape(columns, rows) if rows == 1 or columns == 1 else ops.transpose(x, (1, 0))


class AddColumn(nn.Cell):  # type: ignore[misc]
    """Adds a bias (C,) to features (C, N), with a matrix product as gradient instead of MindSpore's slow sum."""

    def construct(self, columns: Tensor, bias: Tensor) -> Tensor:
        """Return features + bias."""
        return add_bias(columns.reshape(1, *columns.shape), bias).reshape(columns.shape)

    def bprop(self, columns: Tensor, bias: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients with respect to the features and the bias."""
        return grad, times(grad, ops.ones((grad.shape[1], 1), grad.dtype)).reshape(-1)
