"""The networks of ``networks`` in PyTorch."""

from __future__ import annotations

import itertools
from functools import partial

import torch
from torch import nn

from benchmarks import THREADS
from benchmarks.contestants import Entrant
from benchmarks.data import network_data
from benchmarks.pacing import Gate

down = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1, bias=False)
up = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1, bias=False)
conv = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
WIDTHS = (32, 64, 128, 256)


class UNet(nn.Module):
    """Images (N, 3, 64, 64) to images of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Sequential(down(3, WIDTHS[0]), nn.LeakyReLU(0.2))])
        for narrow, wide in itertools.pairwise(WIDTHS):
            self.down.append(nn.Sequential(down(narrow, wide), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)))
        self.up, wide = nn.ModuleList(), WIDTHS[-1]
        for narrow in WIDTHS[-2::-1]:
            self.up.append(nn.Sequential(up(wide, narrow), nn.BatchNorm2d(narrow), nn.ReLU()))
            wide = 2 * narrow
        self.last = nn.Sequential(up(wide, 3), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images."""
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for number, block in enumerate(self.up):
            x = torch.cat((block(x), levels[-2 - number]), 1)
        return self.last(x)


class UpBlock(nn.Module):
    """Images at twice the size: two convolutions, and a shortcut past both."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            conv(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(), conv(outputs, outputs)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.enlarge = nn.Upsample(scale_factor=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, outputs, 2 H, 2 W)."""
        return self.body(self.enlarge(self.before(x))) + self.enlarge(self.shortcut(x))


class Residual(nn.Module):
    """Noise (N, 128) to images (N, 3, 64, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(128, 256 * 4 * 4)
        self.blocks = nn.Sequential(*(UpBlock(*pair) for pair in itertools.pairwise((256, 128, 64, 32, 32))))
        self.last = nn.Sequential(nn.BatchNorm2d(32), nn.ReLU(), conv(32, 3), nn.Tanh())

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Return images."""
        return self.last(self.blocks(self.dense(noise).reshape(-1, 256, 4, 4)))


def network(entrant: Entrant, gate: Gate) -> None:
    """Run a network forward and backward."""
    torch.set_num_threads(THREADS)
    made = UNet() if entrant.model == "unet" else Residual()
    inputs, output_gradient = map(torch.from_numpy, network_data(entrant.model, entrant.batch))
    for _ in gate.pace(itertools.repeat(None)):
        made.zero_grad()
        made(inputs).backward(output_gradient)
