"""Fully connected layers in the forms of the matrix product that a CPU is quick at."""

from __future__ import annotations

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.fast import Fast
from ms_gan_callbacks.models.layers.primitives import add_bias, times, times_transposed
from ms_gan_callbacks.models.layers.turn import AddColumn, transpose

FEW_ROWS = 128
"""Below this many rows, the product x w' takes up to three times as long as (w x')', both transposes included."""


class AddBias(nn.Cell):  # type: ignore[misc]
    """Adds a bias (C,) to rows (R, C); its gradient is one product, the stock one's a slow sum."""

    def construct(self, rows: Tensor, bias: Tensor) -> Tensor:
        """Return rows + bias."""
        return add_bias(rows, bias)

    def bprop(self, rows: Tensor, bias: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients with respect to the rows and the bias."""
        ones = ops.ones((1, grad.shape[0]), grad.dtype)
        return grad, times(ones, grad).reshape(-1)


class Dense(Fast, nn.Dense):  # type: ignore[misc]
    """:class:`mindspore.nn.Dense`; see there for its arguments."""

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
        """Return (out_channels, N), without the activation, for rows (N, in_channels)."""
        columns = times_transposed(self.weight, rows)
        return self.add_column(columns, self.bias) if self.has_bias else columns

    def turn(self, columns: Tensor) -> Tensor:
        """Return (out_channels, N), without the activation, for features (in_channels, N)."""
        columns = times(self.weight, columns)
        return self.add_column(columns, self.bias) if self.has_bias else columns
