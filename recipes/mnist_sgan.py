"""A semi-supervised GAN (Salimans et al., 2016, arXiv:1606.03498, section 5) on MNIST with 100 labels.

Run it:      ms-gan run recipes/mnist_sgan.py
Change it:   ms-gan run recipes/mnist_sgan.py --set labels_per_class=2
Compare it:  ms-gan run recipes/mnist_sgan.py --set unlabelled=0
See it:      ms-gan show recipes/mnist_sgan.py
Time:        see docs/gallery.md, which also shows results

The discriminator classifies digits: it has ten logits, and D(x) = Z / (Z + 1), with Z the sum of their
exponentials. It minimizes the cross entropy of the labelled digits, ten per class, and distinguishes all training
digits from generated ones. The generator maximizes log D(G(z)), as in Odena, 2016 (arXiv:1606.01583).

``accuracy``, logged after every epoch, is that of the test digits. With ``unlabelled=0`` the discriminator is
trained with the labelled digits only.
"""

from functools import partial

import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Normal as Weights

from ms_gan_callbacks import (
    Callback,
    Checkpoint,
    CollapseGuard,
    Every,
    Game,
    ImageGrid,
    Normal,
    Player,
    Recipe,
    Run,
    Source,
    TensorBoard,
    cross_entropy,
    fld,
    mnist,
    pairs,
)

CLASSES = 10
up = partial(nn.Conv2dTranspose, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Weights(0.02))
down = partial(nn.Conv2d, kernel_size=4, stride=2, pad_mode="pad", padding=1, weight_init=Weights(0.02))


class Generator(nn.Cell):
    """Noise (N, noise_dim) to images (N, 1, 28, 28) in [-1, 1]."""

    def __init__(self, noise_dim: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(noise_dim, 2 * channels * 7 * 7, weight_init=Weights(0.02), has_bias=False),
            nn.Unflatten(1, (2 * channels, 7, 7)),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            up(2 * channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            up(channels, 1),
            nn.Tanh(),
        )

    def construct(self, noise: Tensor) -> Tensor:
        return self.layers(noise)


class Discriminator(nn.Cell):
    """Images (N, 1, 28, 28) to logits of the digits (N, 10); dropout, because few images have labels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dropout(p=0.2),
            down(1, channels),
            nn.LeakyReLU(0.2),
            nn.Dropout(p=0.3),
            down(channels, 2 * channels),
            nn.LeakyReLU(0.2),
            nn.Dropout(p=0.3),
            nn.Flatten(),
            nn.Dense(2 * channels * 7 * 7, hidden, weight_init=Weights(0.02)),
            nn.LeakyReLU(0.2),
            nn.Dense(hidden, CLASSES, weight_init=Weights(0.02)),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def softplus(scores: Tensor) -> Tensor:
    """Return log(1 + exp(scores))."""
    return ops.relu(scores) + ops.log1p(ops.exp(-ops.abs(scores)))


def logsumexp(logits: Tensor) -> Tensor:
    """Return log(sum(exp(logits))) of each row, (N,)."""
    top = ops.stop_gradient(ops.amax(logits, 1, keepdims=True))
    # ops.log and ops.logsumexp of MindSpore round differently after a resume on a CPU; log1p does not.
    return top.squeeze(1) + ops.log1p(ops.exp(logits - top).sum(1) - 1)


class SemiSupervised(Game):
    """A classifier that also distinguishes digits from generated images, and a generator."""

    def __init__(self, noise_dim: int, unlabelled: float) -> None:
        super().__init__()
        self.chance = {"noise": Normal(noise_dim)}
        self.unlabelled = unlabelled

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def discriminator_loss(
        self, made: Tensor, real: Tensor, labelled: Tensor, digits: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.discriminator(ops.concat((labelled, real, made)))
        of_labelled, of_real, of_made = ops.split(logits, real.shape[0])
        supervised = cross_entropy(of_labelled, digits)
        # The log-odds of an image to be real is the logsumexp of its logits.
        z_real, z_made = logsumexp(of_real), logsumexp(of_made)
        unsupervised = (softplus(-z_real).mean() + softplus(z_made).mean()) / 2
        scalars = {"supervised": supervised, "unsupervised": unsupervised}
        return supervised + self.unlabelled * unsupervised, scalars

    def generator_loss(self, made: Tensor) -> Tensor:
        return softplus(-logsumexp(self.discriminator(made))).mean()


class Accuracy(Callback):
    """Logs ``accuracy`` of the test digits after every epoch."""

    publishes = ("accuracy",)

    def __init__(self, data_dir: str | None) -> None:
        self.data_dir = data_dir

    def on_train_epoch_end(self, run: Run) -> None:
        test = mnist(self.data_dir, split="test", batch_size=500)
        correct = 0
        for batch in test.batches(seed=0, epoch=1):
            logits = run.networks["discriminator"](Tensor(batch["real"]))
            correct += int((logits.asnumpy().argmax(1) == batch["labels"]).sum())
        run.log(accuracy=correct / (test.steps_per_epoch * test.batch_size))


def few_labels(data_dir: str | None, batch_size: int, labels_per_class: int, seed: int) -> Source:
    """Return all digits as the column real, next to some that are repeated, with labels: labelled and digits."""
    source = mnist(data_dir)
    order = np.random.default_rng(seed).permutation(source.count)
    chosen = [order[source.labels[order] == digit][:labels_per_class] for digit in range(CLASSES)]
    rows = np.resize(np.concatenate(chosen), source.count)
    return pairs(
        real=source.images,
        labelled=source.images[rows],
        digits=source.labels[rows].astype(np.int32),
        batch_size=batch_size,
        name=f"{source.name}, {labels_per_class * CLASSES} labels",
    )


def recipe(
    data_dir: str | None = None,
    labels_per_class: int = 10,
    unlabelled: float = 1.0,
    noise_dim: int = 100,
    channels: int = 32,
    hidden: int = 256,
    batch_size: int = 64,
    learning_rate: float = 3e-4,
    epochs: int = 4,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    adam = partial(nn.Adam, learning_rate=learning_rate, beta1=0.5)
    return Recipe(
        game=partial(SemiSupervised, noise_dim, unlabelled),
        networks={
            "generator": partial(Generator, noise_dim, channels),
            "discriminator": partial(Discriminator, channels, hidden),
        },
        players={
            "discriminator": Player("discriminator", adam),
            "generator": Player("generator", adam, ema=0.999),
        },
        data=partial(few_labels, data_dir, batch_size, labels_per_class, seed),
        epochs=epochs,
        seed=seed,
        metrics={"fld": fld},
        test_data=partial(mnist, data_dir, split="test", batch_size=100),  # a divisor of 10,000
        callbacks=[
            TensorBoard(Every.steps(50)),
            ImageGrid(Every.epochs(1), rows=5),
            Accuracy(data_dir),
            CollapseGuard(),
            Checkpoint(Every.epochs(1), keep=3),
        ],
    )
