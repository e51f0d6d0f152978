"""A semi-supervised GAN (Salimans et al., 2016, arXiv:1606.03498, section 5) on MNIST with 100 labels.

Run it:      ms-gan run recipes/mnist_sgan.py
Change it:   ms-gan run recipes/mnist_sgan.py --set labels_per_class=2
Compare it:  ms-gan run recipes/mnist_sgan.py --set unlabelled=0
See it:      ms-gan show recipes/mnist_sgan.py
Time:        see docs/gallery.md, which also shows results

The discriminator classifies digits: it has ten logits, and D(x) = Z / (Z + 1), with Z the sum of their
exponentials. It minimizes the cross entropy of the labelled digits, ten per class, and distinguishes all training
digits from generated ones. The generator maximizes log D(G(z)), as in Odena, 2016 (arXiv:1606.01583).

Beyond the papers: the penalty R1 (Mescheder et al., 2018, arXiv:1801.04406) of log Z in every fourth step, a
learning rate that decays to 0, and a moving average of the generator, which makes the images.

``accuracy``, logged after every epoch, is that of the test digits. With ``unlabelled=0`` the discriminator is
trained with the labelled digits only.
"""

from collections.abc import Collection
from functools import partial

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
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
LAZY = 4  # the penalty is computed in every fourth step
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
            down(1, channels),
            nn.LeakyReLU(0.2),
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

    terms = {"r1": LAZY}

    def __init__(self, noise_dim: int, unlabelled: float, gamma: float) -> None:
        super().__init__()
        self.chance = {"noise": Normal(noise_dim)}
        self.unlabelled, self.gamma = unlabelled, gamma

    def get_loss(self, player: str, idle: Collection[str]) -> str:
        penalized = player == "discriminator" and "r1" not in idle
        return "penalized_loss" if penalized else super().get_loss(player, idle)

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

    def penalized_loss(
        self, made: Tensor, real: Tensor, labelled: Tensor, digits: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss, scalars = self.discriminator_loss(made, real, labelled, digits)
        slopes = ms.grad(self.evidence)(real)
        # Multiplied by the number of steps that it stands for.
        return loss + LAZY * self.unlabelled * self.gamma / 2 * ops.square(slopes).sum((1, 2, 3)).mean(), scalars

    def evidence(self, images: Tensor) -> Tensor:
        return logsumexp(self.discriminator(images)).sum()

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
    gamma: float = 0.5,
    noise_dim: int = 64,
    channels: int = 32,
    hidden: int = 256,
    batch_size: int = 64,
    learning_rate: float = 4e-4,
    epochs: int = 6,
    seed: int = 0,
) -> Recipe:
    """Return the recipe; every parameter can be set with ``--set``."""
    steps = max(1, epochs * (60_000 // max(1, batch_size)))  # the data source reports an invalid size

    def adam(weights: list[Parameter]) -> nn.Adam:
        # Karras et al., 2019 (arXiv:1812.04948) set beta1 to 0, which MindSpore does not accept.
        return nn.Adam(weights, nn.CosineDecayLR(0.0, learning_rate, steps), 0.01, 0.99)

    return Recipe(
        game=partial(SemiSupervised, noise_dim, unlabelled, gamma),
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
            ImageGrid(Every.epochs(1), rows=8, columns=12),
            Accuracy(data_dir),
            CollapseGuard(),
            Checkpoint(Every.epochs(1), keep=3),
        ],
    )
