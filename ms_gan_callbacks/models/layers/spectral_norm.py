"""Spectral normalisation, which limits the spectral norm of a linear layer to 1."""

from __future__ import annotations

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal, initializer

from ms_gan_callbacks.errors import RecipeError, is_whole
from ms_gan_callbacks.models.layers.batch_last import BatchLast, supports_batch_last
from ms_gan_callbacks.models.layers.primitives import times, times_transposed

KINDS = (nn.Dense, nn.Conv2d, nn.Conv2dTranspose, nn.Embedding)

WARM_UP = 15
"""Power iterations on the initial weights, for an accurate norm at the first step."""

LEAST = 1e-12
"""Lower bound of norms in divisions."""


class SpectralNorm(nn.Cell, BatchLast):  # type: ignore[misc]
    """A layer with weights W divided by their largest singular value (Miyato et al., 2018, arXiv:1802.05957).

    For a convolution, W is the kernel as a matrix, (outputs, inputs * taps), as in the paper. The singular value
    sigma = u' W v is estimated by power iteration (algorithm 1); u is updated at each forward pass in training and
    saved in checkpoints. Gradients flow through the W in sigma, but not through u and v (equation 12).

    The layer keeps its Parameters, bias and activation. Because it is linear, its input is divided by sigma.

    Args:
        layer: a Dense, Conv2d, Conv2dTranspose or Embedding.
        iterations: power iterations per forward pass in training, at least 1.

    Raises:
        RecipeError: the layer has another type, its weights are all zero, or ``iterations`` is not a whole number
            of at least 1.
    """

    def __init__(self, layer: nn.Cell, iterations: int = 1) -> None:
        super().__init__()
        _check(layer, iterations)
        self.layer, self.iterations = layer, iterations
        self.looks_up = isinstance(layer, nn.Embedding)
        self.transposed = isinstance(layer, nn.Conv2dTranspose)
        matrix = self.matrix()
        u = initializer(Normal(1.0), (1, matrix.shape[0]), ms.float32).init_data()
        for _ in range(WARM_UP):
            u = normalize(times_transposed(normalize(times(u, matrix)), matrix))
        self.u = Parameter(u, name="u", requires_grad=False)

    def matrix(self) -> Tensor:
        """Return the weights as W, (outputs, inputs per output), in single precision.

        Half precision, of the weights or by ``to_float``, cannot represent the squares of small weights.
        """
        if self.looks_up:
            return self.layer.embedding_table.astype(ms.float32)
        weight = self.layer.weight.astype(ms.float32)
        if self.transposed:
            weight = ops.transpose(weight, (1, 0, 2, 3))
        return weight.reshape(weight.shape[0], -1)

    def norm(self) -> Tensor:
        """Return the estimate of sigma, the largest singular value, (1, 1); in training, update u."""
        matrix = self.matrix()
        fixed = ops.stop_gradient(matrix)
        u = self.u.astype(ms.float32)  # to_float() reduces its precision
        v = normalize(times(u, fixed))
        if self.training:
            for _ in range(self.iterations - 1):
                v = normalize(times(normalize(times_transposed(v, fixed)), fixed))
            u = normalize(times_transposed(v, fixed))
            u = ops.depend(u, ops.assign(self.u, u))
        return ops.maximum(times_transposed(times_transposed(v, matrix), u), LEAST)

    def divide(self, x: Tensor) -> Tensor:
        """Return an input or output of the layer divided by sigma."""
        return x * (1 / self.norm().reshape(())).astype(x.dtype)

    def construct(self, x: Tensor) -> Tensor:
        """Return the output of the layer with its weights divided by sigma."""
        return self.divide(self.layer(x)) if self.looks_up else self.layer(self.divide(x))

    @property
    def ranks(self) -> tuple[int, ...]:  # type: ignore[override]
        """The ranks of its layer's inputs."""
        return getattr(self.layer, "ranks", ())

    def takes_batch_last(self) -> bool:
        return supports_batch_last(self.layer)

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return the output of the layer in batch-last layout."""
        return self.layer.run_batch_last(self.divide(x))


def normalize(row: Tensor) -> Tensor:
    """Return a row (1, N) scaled to length 1."""
    return row / ops.maximum(ops.sqrt(times_transposed(row, row)), LEAST)


def _check(layer: object, iterations: object) -> None:
    if not isinstance(layer, KINDS):
        found = f"the class {layer.__name__}" if isinstance(layer, type) else f"a {type(layer).__name__}"
        raise RecipeError(
            f"SpectralNorm requires a layer of type {', '.join(kind.__name__ for kind in KINDS)}, not {found}"
        )
    if not is_whole(iterations, 1):
        raise RecipeError(f"SpectralNorm(iterations=...) takes a whole number of at least 1, not {iterations!r}")
    weights = layer.embedding_table if isinstance(layer, nn.Embedding) else layer.weight
    if not weights.asnumpy().any():
        raise RecipeError(
            f"SpectralNorm cannot divide the weights of {type(layer).__name__} by their norm: all are zero"
        )
