"""Fully connected layers with the fastest form of the matrix product on a CPU."""

from __future__ import annotations

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import AddColumn, BatchLast, transpose
from ms_gan_callbacks.models.layers.primitives import add_bias, times, times_transposed

FEW_ROWS = 128
"""Below this number of rows, x w' takes up to three times as long as (w x')' including both transposes."""


class AddBias(nn.Cell):  # type: ignore[misc]
    """Adds a bias (C,) to rows (R, C), with a matrix product as gradient instead of MindSpore's slow sum."""

    def construct(self, rows: Tensor, bias: Tensor) -> Tensor:
        """Return rows + bias."""
        return add_bias(rows, bias)

    def bprop(self, rows: Tensor, bias: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients with respect to the rows and the bias."""
        ones = ops.ones((1, grad.shape[0]), grad.dtype)
        return grad, times(ones, grad).reshape(-1)


class Dense(Fast, nn.Dense, BatchLast):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.Dense`, with the same arguments."""

    ranks = (2,)

    def refit(self) -> None:
        self.add_bias, self.add_column = AddBias(), AddColumn()

    def construct(self, x: Tensor) -> Tensor:
        """Return (..., out_channels) for (..., in_channels)."""
        shape = x.shape
        rows = x if len(shape) == 2 else x.reshape(-1, shape[-1])
        if rows.shape[0] < FEW_ROWS:
            rows = transpose(self.turn_rows(rows))
        else:
            rows = times_transposed(rows, self.weight)
            if self.has_bias:
                rows = self.add_bias(rows, self.bias)
        if self.activation_flag:
            rows = self.activation(rows)
        return rows if len(shape) == 2 else rows.reshape((*shape[:-1], rows.shape[1]))

    def turn_rows(self, rows: Tensor) -> Tensor:
        """Return (out_channels, N), before the activation, for rows (N, in_channels)."""
        columns = times_transposed(self.weight, rows)
        return self.add_column(columns, self.bias) if self.has_bias else columns

    def takes_batch_last(self) -> bool:
        return not self.activation_flag

    def run_batch_last(self, columns: Tensor) -> Tensor:
        """Return (out_channels, N), before the activation, for features (in_channels, N)."""
        columns = times(self.weight, columns)
        return self.add_column(columns, self.bias) if self.has_bias else columns
