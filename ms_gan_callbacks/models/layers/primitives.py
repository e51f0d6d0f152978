"""MindSpore primitives shared by the fast layers.

Functional forms are not suitable: the gradient of ``ops.matmul`` transposes matrices in memory, and ``ops.gather``
and ``ops.bias_add`` contain conditions, which do not compile inside a custom ``bprop``.
"""

from __future__ import annotations

from collections.abc import Sequence

from mindspore import Tensor, ops

from ms_gan_callbacks.models.mindspore_private import ReluGrad

times = ops.MatMul()
times_transposed = ops.MatMul(transpose_b=True)
times_each = ops.BatchMatMul()
add_bias = ops.BiasAdd()
gather = ops.Gather()
take_slice = ops.Slice()
add_n = ops.AddN()
each = ops.HyperMap()
relu_grad = ReluGrad()


def append_zeros(rows: Tensor) -> Tensor:
    """Return (A, R, B) with a row of zeros appended, for gathers outside the image."""
    return ops.concat((rows, ops.zeros((rows.shape[0], 1, rows.shape[2]), rows.dtype)), 1)


def _pick(rows: Tensor, indices: Tensor) -> Tensor:
    return gather(rows, indices, 1)


def sum_gathered(rows: Tensor, indices: Sequence[Tensor]) -> Tensor:
    """Return the sum of (A, P, B), the rows of (A, R, B) at each of several indices (P,)."""
    return add_n(each(ops.partial(_pick, rows), indices))
