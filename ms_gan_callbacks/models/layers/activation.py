"""A leaky ReLU with a fast gradient."""

from __future__ import annotations

from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.primitives import relu_grad

FLOATS = (ms.float16, ms.float32, ms.float64)


class Leak(nn.Cell):  # type: ignore[misc]
    """max(x, alpha x), the leaky ReLU for a slope alpha from 0 to 1."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def construct(self, x: Tensor) -> Tensor:
        """Return the activation."""
        return x * self.slope(x)

    def bprop(self, x: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        """Return the gradient: grad where x > 0, else alpha grad."""
        return (grad * self.slope(x),)

    def slope(self, x: Tensor) -> Tensor:
        """Return 1 where x > 0, else alpha; the compiler computes it once for both passes."""
        return relu_grad(ops.ones(x.shape, x.dtype) * (1 - self.alpha), x) + self.alpha


class LeakyReLU(Fast, nn.LeakyReLU):  # type: ignore[misc]
    """Fast equivalent of :class:`mindspore.nn.LeakyReLU`, with the same argument.

    MindSpore's implementation is used if alpha is not a number from 0 to 1, and for inputs that are not floats.
    """

    @staticmethod
    def stands_for(layer: nn.LeakyReLU) -> bool:
        return isinstance(layer.alpha, (int, float)) and 0 <= layer.alpha <= 1

    def refit(self) -> None:
        self.leaks = self.stands_for(self)
        if self.leaks:
            self.leak = Leak(self.alpha)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "alpha":
            self.refit()

    def construct(self, x: Tensor) -> Tensor:
        """Return x for positive x, else alpha x."""
        return self.leak(x) if self.leaks and x.dtype in FLOATS else super().construct(x)
