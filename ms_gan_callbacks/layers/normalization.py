"""Batch normalisation of rows by matrix products and one pass each way (arXiv:1502.03167)."""

from __future__ import annotations

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.layers.dense import AddBias
from ms_gan_callbacks.layers.fast import Fast
from ms_gan_callbacks.layers.primitives import add_bias, times


class Normalize(nn.Cell):  # type: ignore[misc]
    """Rows (R, C) to (x - mean) / deviation, with the gradient in closed form."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the normalised rows, 1 / deviation (1, C), -mean (C,) and the biased variance (1, C)."""
        share = ops.ones((1, x.shape[0]), x.dtype) * (1 / x.shape[0])
        below_zero = times(-share, x).reshape(-1)
        centred = add_bias(x, below_zero)
        variance = times(share, centred * centred)
        spread = ops.rsqrt(variance + self.eps)
        return centred * spread, spread, below_zero, variance

    def bprop(self, x: Tensor, out: tuple[Tensor, ...], grad: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return the gradient with respect to x, of the first two outputs.

        The second matters where this gradient is differentiated again, as a gradient penalty does. The others are
        for the moving statistics and have no gradient.
        """
        normal, spread = out[0], out[1]
        share = ops.ones((1, x.shape[0]), x.dtype) * (1 / x.shape[0])
        along = times(share, grad[0] * normal) + grad[1] * spread * (1 / x.shape[0])
        return ((add_bias(grad[0], times(-share, grad[0]).reshape(-1)) - normal * along) * spread,)


class BatchNorm1d(Fast, nn.BatchNorm1d):  # type: ignore[misc]
    """:class:`mindspore.nn.BatchNorm1d`; see there for its arguments. In evaluation it is the stock layer."""

    @staticmethod
    def stands_for(layer: nn.BatchNorm1d) -> bool:
        return layer.use_batch_statistics is None

    def refit(self) -> None:
        self.normalize, self.add_bias = Normalize(self.eps), AddBias()

    def construct(self, x: Tensor) -> Tensor:
        """Return rows (R, C) normalised; in training, the moving statistics follow."""
        if not self.training or self.use_batch_statistics is not None or len(x.shape) != 2:
            return super().construct(x)
        normal, _, below_zero, variance = self.normalize(x)
        outputs = self.add_bias(normal * self.gamma, self.beta)
        below_zero, variance = ops.stop_gradient(below_zero), ops.stop_gradient(variance)
        unbiased = variance.reshape(-1) * (x.shape[0] / (x.shape[0] - 1))
        # self.momentum is the share of the new: the stock layer keeps it as one minus its argument.
        moved = ops.assign_sub(self.moving_mean, (self.moving_mean + below_zero) * self.momentum)
        outputs = ops.depend(outputs, moved)
        moved = ops.assign_sub(self.moving_variance, (self.moving_variance - unbiased) * self.momentum)
        return ops.depend(outputs, moved)
