"""InfoGAN (Chen et al., 2016, arXiv:1606.03657) on MNIST: codes for classes and styles, learned without labels.

Run it:      ms-gan run recipes/mnist_infogan.py
Change it:   ms-gan run recipes/mnist_infogan.py --set channels=64 --set code=1.0
See it:      ms-gan show recipes/mnist_infogan.py
Time:        see docs/gallery.md, which also shows results

In addition to noise, the generator receives a categorical code with ten values and two continuous codes. A second
head of the discriminator recognizes them in the generated images, and the third player, ``info``, trains both
networks so that it can. Each row of an image grid shows one value of the categorical code and one noise vector,
with one continuous code from -2 on the left to 2 on the right.

``code_accuracy``, logged after every epoch, is the share of the test digits that the recognition head assigns to
the value of the categorical code that stands for their class, with the best assignment of values to classes.
"""

from functools import partial
from typing import Any

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Normal as Weights
from scipy.optimize import linear_sum_assignment

from ms_gan_callbacks import (
    Callback,
    Categorical,
    Checkpoint,
    CollapseGuard,
    EarlyStopping,
    Every,
    Game,
    ImageGrid,
    Normal,
    Player,
    Recipe,
    Run,
    TensorBoard,
    Uniform,
    cross_entropy,
    fld,
    mnist,
)

DIGITS, CODES = 10, 2
up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Weights(0.02))
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Weights(0.02))


class Generator(nn.Cell):
    """Noise (N, noise_dim), values (N,) of the categorical code and codes (N, 2) to images (N, 1, 28, 28)."""

    def __init__(self, noise_dim: int, channels: int) -> None:
        super().__init__()
        inputs = noise_dim + DIGITS + CODES
        self.layers = nn.SequentialCell(
            nn.Dense(inputs, 2 * channels * 7 * 7, weight_init=Weights(0.02), has_bias=False),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            up(2 * channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            up(channels, 1),
            nn.Tanh(),
        )

    def construct(self, noise: Tensor, digit: Tensor, code: Tensor) -> Tensor:
        one_hot = ops.one_hot(digit, DIGITS, Tensor(1.0), Tensor(0.0))
        return self.layers(ops.concat((noise, one_hot, code), 1))


class Discriminator(nn.Cell):
    """Images (N, 1, 28, 28) to real/fake logits (N, 1), logits of the digit code (N, 10) and codes (N, 2)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            down(1, channels),
            nn.LeakyReLU(0.2),
            down(channels, 2 * channels),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Dense(2 * channels * 7 * 7, hidden, weight_init=Weights(0.02)),
            nn.LeakyReLU(0.2),
        )
        self.real = nn.Dense(hidden, 1, weight_init=Weights(0.02))
        self.recognition = nn.SequentialCell(
            nn.Dense(hidden, 128, weight_init=Weights(0.02)),
            nn.LeakyReLU(0.2),
        )
        self.digit = nn.Dense(128, DIGITS, weight_init=Weights(0.02))
        self.code = nn.Dense(128, CODES, weight_init=Weights(0.02))

    def construct(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self.layers(images)
        recognized = self.recognition(seen)
        return self.real(seen), self.digit(recognized), self.code(recognized)


def softplus(logits: Tensor) -> Tensor:
    """Return the mean of log(1 + exp(logits))."""
    return (ops.relu(logits) + ops.log1p(ops.exp(-ops.abs(logits)))).mean()


class InfoGAN(Game):
    """Generator and discriminator with the losses of a GAN, and the recognition of the codes."""

    def __init__(self, noise_dim: int, code_weight: float) -> None:
        super().__init__()
        self.chance = {"noise": Normal(noise_dim), "digit": Categorical(DIGITS), "code": Uniform(CODES)}
        self.code_weight = code_weight

    def make(self, noise: Tensor, digit: Tensor, code: Tensor) -> Tensor:
        return self.generator(noise, digit, code)

    def discriminator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        return softplus(-self.discriminator(real)[0]) + softplus(self.discriminator(made)[0])

    def generator_loss(self, made: Tensor) -> Tensor:
        return softplus(-self.discriminator(made)[0])

    def info_loss(self, made: Tensor, digit: Tensor, code: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        _, logits, guess = self.discriminator(made)
        digit_error = cross_entropy(logits, digit)
        code_error = ops.square(guess - code).mean()
        return digit_error + self.code_weight * code_error, {"digit_error": digit_error, "code_error": code_error}

    def arrange(self, inputs: dict[str, np.ndarray], columns: int) -> dict[str, np.ndarray]:
        count = len(inputs["digit"])
        row, column = np.divmod(np.arange(count), columns)
        code = np.zeros((count, CODES), np.float32)
        code[:, 0] = np.linspace(-2, 2, columns)[column]
        return {"noise": inputs["noise"][row * columns], "digit": np.int32(row % DIGITS), "code": code}


class CodeAccuracy(Callback):
    """Logs ``code_accuracy`` of the test digits after every epoch."""

    publishes = ("code_accuracy",)

    def __init__(self, data_dir: str | None) -> None:
        self.data_dir = data_dir

    def on_train_epoch_end(self, run: Run) -> None:
        test = mnist(self.data_dir, split="test", batch_size=500)
        counts = np.zeros((DIGITS, DIGITS))
        for batch in test.batches(seed=0, epoch=1):
            logits: Any = run.networks["discriminator"](Tensor(batch["real"]))[1]
            np.add.at(counts, (logits.asnumpy().argmax(1), batch["labels"]), 1)
        run.log(code_accuracy=counts[linear_sum_assignment(-counts)].sum() / counts.sum())


def recipe(
    data_dir: str | None = None,
    noise_dim: int = 16,
    channels: int = 32,
    hidden: int = 512,
    batch_size: int = 64,
    learning_rate: float = 5e-4,
    code: float = 0.5,
    epochs: int = 4,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    adam = partial(nn.Adam, learning_rate=learning_rate, beta1=0.5)
    return Recipe(
        game=partial(InfoGAN, noise_dim, code),
        networks={
            "generator": partial(Generator, noise_dim, channels),
            "discriminator": partial(Discriminator, channels, hidden),
        },
        players={
            "discriminator": Player("discriminator", adam),
            "generator": Player("generator", partial(adam, learning_rate=2 * learning_rate)),
            "info": Player(("generator", "discriminator"), adam),
        },
        data=partial(mnist, data_dir, batch_size=batch_size),
        epochs=epochs,
        seed=seed,
        metrics={"fld": fld},
        test_data=partial(mnist, data_dir, split="test", batch_size=100),  # a divisor of 10,000
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=DIGITS, columns=DIGITS),
            CodeAccuracy(data_dir),
            EarlyStopping("fld", patience=3),
            CollapseGuard(),
            Checkpoint(Every.epochs(1), keep=3, best="fld"),
        ],
    )
