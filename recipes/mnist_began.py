"""BEGAN (Berthelot et al., 2017, arXiv:1703.10717) on MNIST: the discriminator is an autoencoder.

Run it:      ms-gan run recipes/mnist_began.py
Change it:   ms-gan run recipes/mnist_began.py --set gamma=0.7 --set code=64
See it:      ms-gan show recipes/mnist_began.py
Time:        see docs/gallery.md, which also shows results

The autoencoder minimizes its error for real images, and k times less strongly maximizes that for generated images,
which the generator minimizes. k is state of the game: proportional control holds the ratio of both errors at
``gamma``; a lower gamma results in clearer and less diverse images. ``measure``, the paper's global measure of
convergence, decreases as images improve.

Images that are easy to encode have small errors: with further training the generator prefers thin digits such as 1
and 9, so ``fld`` increases although single digits become clearer.
"""

from functools import partial

import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import Normal as Weights

from ms_gan_callbacks import (
    Checkpoint,
    CollapseGuard,
    Every,
    Game,
    ImageGrid,
    Normal,
    Player,
    Recipe,
    TensorBoard,
    fld,
    mnist,
)

half = {"kernel_size": 4, "stride": 2, "pad_mode": "pad", "padding": 1}
up = partial(nn.Conv2dTranspose, **half, weight_init=Weights(0.02))
# The initial weights of DCGANs are too small for an autoencoder: it would return black images for long.
enlarge = partial(nn.Conv2dTranspose, **half)
shrink = partial(nn.Conv2d, **half)


class Decoder(nn.Cell):
    """Codes or noise (N, length) to images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, length: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(length, 2 * channels * 7 * 7, weight_init=Weights(0.02), has_bias=False),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            up(2 * channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            up(channels, 1),
            nn.Tanh(),
        )

    def construct(self, codes: Tensor) -> Tensor:
        return self.layers(codes)


class Autoencoder(nn.Cell):
    """Images (N, 1, 28, 28) to images, through codes (N, code); with wider initial weights."""

    def __init__(self, code: int, channels: int) -> None:
        super().__init__()
        self.encoder = nn.SequentialCell(
            shrink(1, channels),
            nn.LeakyReLU(0.2),
            shrink(channels, 2 * channels),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Dense(2 * channels * 7 * 7, code),
        )
        self.decoder = nn.SequentialCell(
            nn.Dense(code, 2 * channels * 7 * 7),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            enlarge(2 * channels, channels),
            nn.LeakyReLU(0.2),
            enlarge(channels, 1),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images))


class BEGAN(Game):
    """Autoencoder and generator, in the balance that k keeps."""

    def __init__(self, noise_dim: int, gamma: float, lambda_k: float) -> None:
        super().__init__()
        self.chance = {"noise": Normal(noise_dim)}
        self.gamma, self.lambda_k = gamma, lambda_k
        self.k = Parameter(Tensor(np.zeros((), np.float32)), name="k", requires_grad=False)

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def error(self, images: Tensor) -> Tensor:
        return ops.abs(self.discriminator(images) - images).mean()

    def discriminator_loss(self, made: Tensor, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        of_real, of_made = self.error(real), self.error(made)
        loss = of_real - self.k * of_made
        balance = ops.stop_gradient(self.gamma * of_real - of_made)
        k = ops.clip_by_value(self.k + self.lambda_k * balance, 0.0, 1.0)
        loss = ops.depend(loss, ops.assign(self.k, k))
        return loss, {"measure": of_real + ops.abs(balance), "k": k}

    def generator_loss(self, made: Tensor) -> Tensor:
        return self.error(made)


def recipe(
    data_dir: str | None = None,
    noise_dim: int = 64,
    code: int = 32,
    channels: int = 32,
    gamma: float = 0.95,
    lambda_k: float = 0.005,
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    epochs: int = 4,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    adam = partial(nn.Adam, learning_rate=learning_rate, beta1=0.5)
    return Recipe(
        game=partial(BEGAN, noise_dim, gamma, lambda_k),
        networks={
            "generator": partial(Decoder, noise_dim, channels),
            "discriminator": partial(Autoencoder, code, channels),
        },
        players={
            "discriminator": Player("discriminator", adam),
            "generator": Player("generator", adam, ema=0.999),
        },
        data=partial(mnist, data_dir, batch_size=batch_size),
        epochs=epochs,
        seed=seed,
        metrics={"fld": fld},
        test_data=partial(mnist, data_dir, split="test", batch_size=100),  # a divisor of 10,000
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=8, columns=12),
            CollapseGuard(),
            Checkpoint(Every.epochs(1), keep=3),
        ],
    )
