"""Cross entropy of classes, for games with a classifier."""

from __future__ import annotations

from mindspore import Tensor, ops


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy of class logits (N, classes) with labels (N,), integers, as a scalar.

    ``mindspore.ops.cross_entropy`` has the same value except for rounding, which on a CPU depends on the memory
    address of its input: the losses that a resumed run logs may then differ in the last digit.
    """
    shifted = logits - ops.stop_gradient(logits.max(1, keepdims=True))
    # The rounding of ops.log depends on the memory address of its input; that of ops.log1p does not.
    logarithm = ops.log1p(ops.exp(shifted).sum(1) - 1)
    chosen = (shifted * ops.one_hot(labels, logits.shape[1], Tensor(1.0), Tensor(0.0))).sum(1)
    return (logarithm - chosen).mean()
