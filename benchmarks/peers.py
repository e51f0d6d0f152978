"""PyTorch as a contestant: the same two GANs, and the step from its usual to its strongest form."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from benchmarks import THREADS
from benchmarks.contestants import Entrant
from benchmarks.data import convolution_data, digits, feed
from benchmarks.pacing import Gate

NOISE_DIM = {"mlp": 128, "dcgan": 100}
BETAS = {"mlp": (0.9, 0.999), "dcgan": (0.5, 0.999)}
CROSS_ENTROPY = {
    "mlp": functional.binary_cross_entropy,
    "dcgan": functional.binary_cross_entropy_with_logits,
}


@dataclass(frozen=True)
class Form:
    """How the step is written.

    Attributes:
        best: one generator forward for both players, fused Adam, no gradients that nobody uses.
        joined: real and fake as one discriminator batch.
        compiled: both networks under ``torch.compile``.
    """

    best: bool = False
    joined: bool = False
    compiled: bool = False


def players(model: str, momentum: float = 0.1) -> tuple[nn.Module, nn.Module]:
    """Return generator and discriminator of ``mlp`` or ``dcgan``, initialised as ours are."""
    generator, discriminator = (_mlp if model == "mlp" else _dcgan)(momentum)
    if model == "dcgan":
        for module in [*generator.modules(), *discriminator.modules()]:
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, 0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return generator, discriminator


def _mlp(momentum: float) -> tuple[nn.Module, nn.Module]:
    layers: list[nn.Module] = []
    for narrow, wide in itertools.pairwise((NOISE_DIM["mlp"], 256, 512, 1024)):
        layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.BatchNorm1d(wide, momentum=momentum)]
    generator = nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
    hidden = (nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2))
    return generator, nn.Sequential(nn.Flatten(), *hidden, nn.Linear(256, 1), nn.Sigmoid())


def _dcgan(momentum: float) -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.Linear(NOISE_DIM["dcgan"], 128 * 7 * 7, bias=False),
        nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128, momentum=momentum),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
        nn.BatchNorm2d(64, momentum=momentum),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(128 * 7 * 7, 1),
    )
    return generator, discriminator


class GanStep:
    """One update of each player on one batch; arrays in, nothing out."""

    def __init__(self, model: str, form: Form) -> None:
        self.form = form
        self.g, self.d = players(model, momentum=0.19 if form.best else 0.1)
        self.cross_entropy = (
            functional.binary_cross_entropy if model == "mlp" else functional.binary_cross_entropy_with_logits
        )
        settings = {"lr": 2e-4, "betas": BETAS[model], **({"fused": True} if form.best else {})}
        self.g_optimizer = torch.optim.Adam(self.g.parameters(), **settings)
        self.d_optimizer = torch.optim.Adam(self.d.parameters(), **settings)
        if form.compiled:
            self.g, self.d = torch.compile(self.g), torch.compile(self.d)

    def loss(self, scores: torch.Tensor, label: float) -> torch.Tensor:
        """Return the cross entropy of scores that are all to be called ``label``."""
        return self.cross_entropy(scores, torch.full_like(scores, label))

    def __call__(self, real_images: NDArray, noise: NDArray) -> None:
        """Update both players."""
        real, latent = torch.from_numpy(real_images), torch.from_numpy(noise)
        fake = self.g(latent)
        self.d_optimizer.zero_grad()
        self.d_loss(real, fake.detach()).backward()
        self.d_optimizer.step()
        if self.form.best:
            self.d.requires_grad_(False)
        else:
            fake = self.g(latent)
        self.g_optimizer.zero_grad()
        self.loss(self.d(fake), 1.0).backward()
        self.g_optimizer.step()
        if self.form.best:
            self.d.requires_grad_(True)

    def d_loss(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's loss."""
        if self.form.joined:
            real_scores, fake_scores = self.d(torch.cat((real, fake))).chunk(2)
            return self.loss(real_scores, 1.0) + self.loss(fake_scores, 0.0)
        return self.loss(self.d(real), 1.0) + self.loss(self.d(fake), 0.0)


def train(entrant: Entrant, gate: Gate, form: Form) -> None:
    """Train without end."""
    torch.set_num_threads(THREADS)
    step = GanStep(entrant.model, form)
    for real, noise in gate.pace(feed(digits(entrant.count), entrant.batch, NOISE_DIM[entrant.model])):
        step(real, noise)


def plain(entrant: Entrant, gate: Gate) -> None:
    """As usually written."""
    train(entrant, gate, Form())


def best(entrant: Entrant, gate: Gate) -> None:
    """At its best."""
    train(entrant, gate, Form(best=True))


def joined(entrant: Entrant, gate: Gate) -> None:
    """At its best, real and fake in one batch."""
    train(entrant, gate, Form(best=True, joined=True))


def compiled(entrant: Entrant, gate: Gate) -> None:
    """As usually written, compiled."""
    train(entrant, gate, Form(compiled=True))


def layer(entrant: Entrant, gate: Gate) -> None:
    """Run the same convolutions, forward and backward, as :func:`benchmarks.ours.layer`."""
    torch.set_num_threads(THREADS)
    kind = nn.Conv2d if entrant.model == "conv" else nn.ConvTranspose2d
    convolution = kind(32, 64, 4, 2, 1, bias=False)
    batches = [
        torch.from_numpy(one).requires_grad_() for one in convolution_data((entrant.batch, 32, 14, 14), seed=0)
    ]
    outputs = tuple(convolution(batches[0]).shape)
    output_gradients = [torch.from_numpy(one) for one in convolution_data(outputs, seed=1)]
    for _ in gate.pace(itertools.repeat(None)):
        for images, output_gradient in zip(batches, output_gradients, strict=True):
            images.grad = convolution.weight.grad = None
            convolution(images).backward(output_gradient)
