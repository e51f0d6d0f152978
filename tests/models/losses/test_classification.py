"""The cross entropy of classes, against its formula in NumPy."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from scipy.special import log_softmax, softmax

from ms_gan_callbacks import cross_entropy


class Loss(nn.Cell):
    """The loss and its gradient for the logits, in one graph."""

    def construct(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return ms.value_and_grad(cross_entropy)(logits, labels)


# With a wide spread, as in a classifier that has learned its data, the probability of a class is rounded to 1.
@pytest.mark.parametrize("spread", [0.01, 1.0, 10.0, 17.0, 30.0, 100.0])
def test_cross_entropy_and_its_gradient_are_those_of_the_formula(spread: float) -> None:
    drawn = np.random.default_rng(0)
    logits = (drawn.normal(size=(64, 10)) * spread).astype(np.float32)
    labels = np.where(drawn.random(64) < 0.5, logits.argmax(1), drawn.integers(0, 10, 64)).astype(np.int32)
    value, gradient = Loss()(Tensor(logits), Tensor(labels))
    exact = logits.astype(np.float64)
    wanted = -log_softmax(exact, axis=1)[np.arange(64), labels].mean()
    assert float(value) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(gradient.asnumpy(), (softmax(exact, axis=1) - np.eye(10)[labels]) / 64, atol=1e-8)
