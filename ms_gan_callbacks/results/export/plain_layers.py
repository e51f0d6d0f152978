"""Layers that replace those of MindSpore and of this package in a cell that is exported."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models.layers.padding import map_to_source
from ms_gan_callbacks.models.layers.spectral_norm import SpectralNorm
from ms_gan_callbacks.models.layers.upsampling import find_factors


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


@ops.constexpr  # type: ignore[untyped-decorator]
def _index_copies(size: int, factor: int) -> Tensor:
    """Return the source of each row of images that are enlarged by a factor."""
    return Tensor(np.arange(size, dtype=np.int32).repeat(factor))


@ops.constexpr  # type: ignore[untyped-decorator]
def _index_reflection(size: int, before: int, after: int) -> Tensor:
    """Return the source of each row of images that are padded by reflection."""
    return Tensor(map_to_source((0, 0, before, after), (1, size)))


class PlainUpsample(nn.Upsample):  # type: ignore[misc]
    """Nearest-neighbour :class:`mindspore.nn.Upsample` by integer factors, for ONNX and an open batch."""

    def construct(self, x: Tensor) -> Tensor:
        """Return enlarged images."""
        rows = ops.gather(x, _index_copies(x.shape[2], self.down), 2)
        return ops.gather(rows, _index_copies(x.shape[3], self.right), 3)


class PlainReflectionPad2d(nn.ReflectionPad2d):  # type: ignore[misc]
    """:class:`mindspore.nn.ReflectionPad2d` for ONNX."""

    def construct(self, x: Tensor) -> Tensor:
        """Return padded images."""
        rows = ops.gather(x, _index_reflection(x.shape[2], self.sides[0], self.sides[1]), 2)
        return ops.gather(rows, _index_reflection(x.shape[3], self.sides[2], self.sides[3]), 3)


class PlainSpectralNorm(SpectralNorm):
    """:class:`SpectralNorm` whose layer has the normalised weights, which are constant after the training."""

    def construct(self, x: Tensor) -> Tensor:
        """Return the output of the layer."""
        return self.layer(x)


class ExactTanh(nn.Tanh):  # type: ignore[misc]
    """:class:`mindspore.nn.Tanh` to float32 precision.

    MindSpore's kernel for CPUs returns +-1 for values beyond +-5, an error of up to 1e-4. Those of
    onnxruntime and PyTorch are exact.
    """

    def construct(self, x: Tensor) -> Tensor:
        """Return the hyperbolic tangent."""
        small = ops.exp(-2 * ops.abs(x))
        return ops.sign(x) * (1 - small) / (1 + small)


def make_plain(network: nn.Cell) -> None:
    """Replace the layers of a network that not all formats support, in place; its weights must be final."""
    for _, layer in network.cells_and_names():
        kind = type(layer)
        if kind is nn.InstanceNorm2d:
            layer.__class__ = PlainInstanceNorm2d
        elif kind is nn.Upsample and (factors := find_factors(layer)) is not None:
            layer.down, layer.right = factors[0], factors[-1]
            layer.__class__ = PlainUpsample
        elif kind is nn.ReflectionPad2d and len(layer.padding) == 2:
            layer.sides = tuple(int(side) for pair in layer.padding for side in pair)
            layer.__class__ = PlainReflectionPad2d
        elif kind is SpectralNorm:
            _normalise(layer)
            layer.__class__ = PlainSpectralNorm


def _normalise(layer: Any) -> None:
    """Divide the weights of the layer of a SpectralNorm by their norm."""
    weight = layer.layer.embedding_table if layer.looks_up else layer.layer.weight
    layer.set_train(False)
    sigma = float(layer.norm().asnumpy().item())
    weight.set_data(Tensor(weight.asnumpy() / np.array(sigma, weight.asnumpy().dtype)))


def make_exact(network: nn.Cell) -> None:
    """Replace the layers of a network that are less exact than in other frameworks, in place."""
    for _, layer in network.cells_and_names():
        if type(layer) is nn.Tanh:
            layer.__class__ = ExactTanh
