"""Instance normalisation, for which MindSpore has no kernel on a CPU, by mean and variance in both layouts."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import BatchLast
from ms_gan_callbacks.models.layers.primitives import times, times_each


class _Normalise(nn.Cell):  # type: ignore[misc]
    """Normalises along axis 1 to mean 0 and variance 1, and multiplies and shifts the result.

    The gradient is a formula too: those of ``scale`` and ``shift`` are among its intermediate results, and
    MindSpore's sums over an axis are slower than matrix products.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    @abstractmethod
    def average(self, x: Tensor) -> Tensor:
        """Return the means along axis 1, of size 1."""

    def construct(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return the normalised x; scale and shift have the shape of x, except for size 1 along axis 1."""
        centred = x - self.average(x)
        return centred * (ops.rsqrt(self.average(centred * centred) + self.eps) * scale) + shift

    def bprop(
        self, x: Tensor, scale: Tensor, shift: Tensor, out: Tensor, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients with respect to x, the scale and the shift."""
        centred = x - self.average(x)
        steepness = ops.rsqrt(self.average(centred * centred) + self.eps)
        normal = centred * steepness
        level, slope = self.average(grad), self.average(grad * normal)
        size = x.shape[1]
        return (grad - (normal * slope + level)) * (steepness * scale), size * slope, size * level


class NormaliseRows(_Normalise):
    """Normalises rows (R, P)."""

    def average(self, x: Tensor) -> Tensor:
        """Return the means (R, 1)."""
        return times(x, ops.ones((x.shape[1], 1), x.dtype)) * (1 / x.shape[1])


class NormaliseBatchLast(_Normalise):
    """Normalises images (C, P, N), each of P pixels per channel."""

    def average(self, x: Tensor) -> Tensor:
        """Return the means (C, 1, N)."""
        return times_each(ops.ones((x.shape[0], 1, x.shape[1]), x.dtype), x) * (1 / x.shape[1])


@ops.constexpr  # type: ignore[untyped-decorator]
def _check_images(channels: int, images: tuple[int, ...]) -> None:
    """Raise ValueError unless images have the shape (N, channels, H, W)."""
    if len(images) != 4 or images[1] != channels:
        raise ValueError(f"InstanceNorm2d takes images of shape (N, {channels}, H, W), not {images}")


class InstanceNorm2d(Fast, nn.InstanceNorm2d, BatchLast):  # type: ignore[misc]
    """:class:`mindspore.nn.InstanceNorm2d` for CPU, with the same arguments and parameters.

    Each channel of each image is normalised by its own mean and variance, in training and in evaluation. The
    parameters ``mean`` and ``variance``, which MindSpore's layer updates but does not use, do not change.
    """

    ranks = (4,)
    pays = False

    def refit(self) -> None:
        self.normalise_rows, self.normalise_batch_last = NormaliseRows(self.eps), NormaliseBatchLast(self.eps)

    def construct(self, x: Tensor) -> Tensor:
        """Return normalised images (N, C, H, W)."""
        _check_images(self.num_features, x.shape)
        batch, channels = x.shape[:2]
        scale, shift = self._repeat((1, channels), (batch, channels))
        rows = x.reshape(batch * channels, -1)
        return self.normalise_rows(rows, scale.reshape(-1, 1), shift.reshape(-1, 1)).reshape(x.shape)

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return normalised images (C, H, W, N)."""
        _check_images(self.num_features, (x.shape[3], *x.shape[:3]))
        channels, batch = x.shape[0], x.shape[3]
        scale, shift = self._repeat((channels, 1, 1), (channels, 1, batch))
        return self.normalise_batch_last(x.reshape(channels, -1, batch), scale, shift).reshape(x.shape)

    def _repeat(self, shape: tuple[int, ...], repeated: tuple[int, ...]) -> Any:
        """Return gamma and beta of a shape, repeated for each image of a batch."""
        gamma, beta = self.gamma.reshape(shape), self.beta.reshape(shape)
        return ops.broadcast_to(gamma, repeated), ops.broadcast_to(beta, repeated)
