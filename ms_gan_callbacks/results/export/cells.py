"""Cells that are exported: the generator with its scaling, and layers that all formats support."""

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


class PlainInstanceNorm2d(nn.InstanceNorm2d):  # type: ignore[misc]
    """:class:`mindspore.nn.InstanceNorm2d`, which has no kernel on a CPU, from operations of all formats.

    ``graph_edits`` replaces these operations by one node.
    """

    def construct(self, x: Tensor) -> Tensor:
        """Return normalised images (N, C, H, W)."""
        centred = x - ops.mean(x, (2, 3), True)
        deviation = ops.sqrt(ops.mean(centred * centred, (2, 3), True) + self.eps)
        scale, shift = self.gamma.reshape(1, -1, 1, 1), self.beta.reshape(1, -1, 1, 1)
        return centred / deviation * scale + shift


class ExactTanh(nn.Tanh):  # type: ignore[misc]
    """:class:`mindspore.nn.Tanh` to float32 precision.

    MindSpore's kernel for CPUs returns +-1 for values beyond +-5, an error of up to 1e-4. Those of
    onnxruntime and PyTorch are exact.
    """

    def construct(self, x: Tensor) -> Tensor:
        """Return the hyperbolic tangent."""
        small = ops.exp(-2 * ops.abs(x))
        return ops.sign(x) * (1 - small) / (1 + small)


def make_exact(network: nn.Cell) -> None:
    """Replace the layers of a network that are less exact than in other frameworks, in place."""
    for _, layer in network.cells_and_names():
        if type(layer) is nn.Tanh:
            layer.__class__ = ExactTanh


def make_plain(network: nn.Cell) -> None:
    """Replace the layers of a network that cannot be exported, in place."""
    for _, layer in network.cells_and_names():
        if type(layer) is nn.InstanceNorm2d:
            layer.__class__ = PlainInstanceNorm2d
