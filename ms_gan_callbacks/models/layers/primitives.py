"""MindSpore primitives shared by the fast layers.

Functional forms are not suitable: the gradient of ``ops.matmul`` transposes matrices in memory, and ``ops.gather``
and ``ops.bias_add`` contain conditions, which do not compile inside a custom ``bprop``.
"""

from __future__ import annotations

from mindspore import ops

from ms_gan_callbacks.models.mindspore_private import ReluGrad

times = ops.MatMul()
times_transposed = ops.MatMul(transpose_b=True)
add_bias = ops.BiasAdd()
gather = ops.Gather()
take_slice = ops.Slice()
add_n = ops.AddN()
each = ops.HyperMap()
relu_grad = ReluGrad()
