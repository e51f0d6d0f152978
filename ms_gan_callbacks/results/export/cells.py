"""Cells that are exported: the generator with its scaling, and inputs that are fixed."""

from __future__ import annotations

from collections.abc import Collection

import mindspore as ms
from mindspore import Tensor, nn, ops


class Exported(nn.Cell):  # type: ignore[misc]
    """Makes images from the inputs of a file.

    Args:
        inner: makes images, floats in [-1, 1], from the inputs.
        scaled: places of the inputs that are uint8 images, which are scaled to [-1, 1] before.
        quantise: whether the result is uint8 instead of floats in [-1, 1].
    """

    def __init__(self, inner: nn.Cell, scaled: Collection[int], quantise: bool) -> None:
        super().__init__(auto_prefix=False)
        self.inner, self.scaled, self.quantise = inner, tuple(scaled), quantise

    def construct(self, *inputs: Tensor) -> Tensor:
        """Return the images."""
        given: tuple[Tensor, ...] = ()
        for place, one in enumerate(inputs):
            given = (*given, ops.cast(one, ms.float32) / 127.5 - 1.0 if place in self.scaled else one)
        images = self.inner(*given)
        if self.quantise:
            # The nearest integer; the exporter to ONNX does not support rounding.
            images = ops.cast(ops.clamp(ops.floor(images * 127.5 + 128.0), 0.0, 255.0), ms.uint8)
        return images


class AtStep(nn.Cell):  # type: ignore[misc]
    """A cell with the number of a step as a fixed input.

    Args:
        inner: the cell.
        place: the place of the input.
        step: the number.
    """

    def __init__(self, inner: nn.Cell, place: int, step: int) -> None:
        super().__init__(auto_prefix=False)
        self.inner, self.place = inner, place
        self.step = Tensor(step, ms.float32)

    def construct(self, *inputs: Tensor) -> Tensor:
        """Return the outputs of the cell."""
        return self.inner(*inputs[: self.place], self.step, *inputs[self.place :])
