"""The GAN of Goodfellow et al., 2014 (arXiv:1406.2661), as multilayer perceptrons on MNIST.

Run it:      ms-gan run recipes/mnist_mlp.py
Change it:   ms-gan run recipes/mnist_mlp.py --set epochs=3 --set learning_rate=1e-4
See it:      ms-gan show recipes/mnist_mlp.py
Time:        about five minutes on two cores; see docs/gallery.md for results
"""

from functools import partial

from mindspore import Tensor, nn

from ms_gan_callbacks import (
    Checkpoint,
    CollapseGuard,
    EarlyStopping,
    Every,
    ImageGrid,
    NonSaturating,
    Recipe,
    TensorBoard,
    fld,
    mnist,
)

# A step runs the generator once for both players instead of twice on the same noise, so BatchNorm's running
# averages are updated once by 0.9 * 0.9 instead of twice by 0.9, with the same result.
MOMENTUM = 0.9**2


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, noise_dim: int) -> None:
        super().__init__()
        layers: list[nn.Cell] = []
        width = noise_dim
        for units in (256, 512, 1024):
            layers += [nn.Dense(width, units), nn.ReLU(), nn.BatchNorm1d(units, momentum=MOMENTUM)]
            width = units
        self.layers = nn.SequentialCell(*layers, nn.Dense(width, 28 * 28), nn.Tanh())

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(noise).reshape(-1, 1, 28, 28)


class Discriminator(nn.Cell):
    """Images (N, 1, 28, 28) to the probability, (N, 1), that they are real."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(28 * 28, 512),
            nn.LeakyReLU(0.2),
            nn.Dense(512, 256),
            nn.LeakyReLU(0.2),
            nn.Dense(256, 1),
            nn.Sigmoid(),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images.reshape(-1, 28 * 28))


def recipe(
    data_dir: str | None = None,
    noise_dim: int = 128,
    batch_size: int = 32,
    learning_rate: float = 2e-4,
    epochs: int = 10,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    return Recipe(
        generator=partial(Generator, noise_dim),
        discriminator=Discriminator,
        objective=NonSaturating(from_logits=False),
        optimizer=partial(nn.Adam, learning_rate=learning_rate),
        data=partial(mnist, data_dir, batch_size=batch_size),
        noise_dim=noise_dim,
        epochs=epochs,
        seed=seed,
        metrics={"fld": fld},
        test_data=partial(mnist, data_dir, split="test", batch_size=100),  # a divisor of 10,000
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=5, columns=5),
            EarlyStopping("fld", patience=5, warm_up=3),  # fld may increase in the first epochs
            CollapseGuard(),
            Checkpoint(Every.epochs(1), keep=3, best="fld"),
        ],
    )
