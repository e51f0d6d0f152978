"""MindSpore's primitives as the layers here use them.

Not their functional forms: the gradient of ``ops.matmul`` transposes matrices in memory, and several functions
(``ops.gather``, ``ops.bias_add``) hold conditions, which do not compile inside a gradient written by hand.
"""

from __future__ import annotations

from mindspore import ops

from ms_gan_callbacks.models.mindspore_private import ReluGrad

times = ops.MatMul()
times_transposed = ops.MatMul(transpose_b=True)
add_bias = ops.BiasAdd()
gather = ops.Gather()
slice_of = ops.Slice()
add_n = ops.AddN()
each = ops.HyperMap()
relu_grad = ReluGrad()
