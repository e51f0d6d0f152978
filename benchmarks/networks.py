"""Networks at 64 x 64 that are more than one sequence of layers: a U-Net and a residual generator."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import mindspore as ms
from mindspore import Tensor, nn, ops

from benchmarks.contestants import Entrant
from benchmarks.data import network_data
from benchmarks.pacing import Gate
from ms_gan_callbacks import accelerate
from ms_gan_callbacks.models.networks import graph_mode

down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1)
up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1)
conv = partial(nn.Conv2d, kernel_size=3, pad_mode="pad", padding=1)
WIDTHS = (32, 64, 128, 256)


class UNet(nn.Cell):
    """Images (N, 3, 64, 64) to images of the same shape, as in pix2pix (arXiv:1611.07004), four levels deep."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [nn.SequentialCell(down(3, WIDTHS[0]), nn.LeakyReLU(0.2))]
        for narrow, wide in itertools.pairwise(WIDTHS):
            blocks.append(nn.SequentialCell(down(narrow, wide), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)))
        self.down = nn.CellList(blocks)
        blocks, wide = [], WIDTHS[-1]
        for narrow in WIDTHS[-2::-1]:
            blocks.append(nn.SequentialCell(up(wide, narrow), nn.BatchNorm2d(narrow), nn.ReLU()))
            wide = 2 * narrow  # joined by what went down
        self.up = nn.CellList(blocks)
        self.last = nn.SequentialCell(up(wide, 3), nn.Tanh())

    def construct(self, x: Tensor) -> Tensor:
        """Return images."""
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for number, block in enumerate(self.up):
            x = ops.concat((block(x), levels[-2 - number]), 1)
        return self.last(x)


def double(x: Tensor) -> Tensor:
    """Return images (N, C, H, W) at twice the size, each pixel four times."""
    batch, channels, height, width = x.shape
    x = ops.broadcast_to(x.reshape(batch, channels, height, 1, width, 1), (batch, channels, height, 2, width, 2))
    return x.reshape(batch, channels, 2 * height, 2 * width)


class UpBlock(nn.Cell):
    """Images at twice the size: two convolutions, and a shortcut past both."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = nn.SequentialCell(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.SequentialCell(
            conv(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(), conv(outputs, outputs)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def construct(self, x: Tensor) -> Tensor:
        """Return (N, outputs, 2 H, 2 W)."""
        return self.body(double(self.before(x))) + double(self.shortcut(x))


class Residual(nn.Cell):
    """Noise (N, 128) to images (N, 3, 64, 64), as in SNGAN (arXiv:1802.05957), a quarter as wide."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Dense(128, 256 * 4 * 4)
        widths = (256, 128, 64, 32, 32)
        self.blocks = nn.SequentialCell(*(UpBlock(*pair) for pair in itertools.pairwise(widths)))
        self.last = nn.SequentialCell(nn.BatchNorm2d(32), nn.ReLU(), conv(32, 3), nn.Tanh())

    def construct(self, noise: Tensor) -> Tensor:
        """Return images."""
        return self.last(self.blocks(self.dense(noise).reshape(-1, 256, 4, 4)))


class Gradients(nn.Cell):
    """The gradients of a network's weights, for given gradients of its outputs."""

    def __init__(self, network: nn.Cell) -> None:
        super().__init__()
        self.network = network
        self.gradients = ms.value_and_grad(self.weigh, None, network.trainable_params())

    def weigh(self, inputs: Tensor, output_gradient: Tensor) -> Tensor:
        """Return a number whose gradient for the outputs is the given one."""
        return (self.network(inputs) * output_gradient).sum()

    def construct(self, inputs: Tensor, output_gradient: Tensor) -> Any:
        """Return the number and all gradients."""
        return self.gradients(inputs, output_gradient)


def network(entrant: Entrant, gate: Gate) -> None:
    """Run a network forward and backward."""
    made = UNet() if entrant.model == "unet" else Residual()
    accelerate(made)
    compiled = Gradients(made)
    compiled.set_train()
    inputs, output_gradient = map(Tensor.from_numpy, network_data(entrant.model, entrant.batch))
    with graph_mode():
        for _ in gate.pace(itertools.repeat(None)):
            compiled(inputs, output_gradient)[0].asnumpy()
