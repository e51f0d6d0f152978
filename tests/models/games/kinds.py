"""The kinds of GAN of the public zoo that need a game, each as small as it can be."""

from __future__ import annotations

from functools import partial

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import Categorical, Game, Normal, Player, Uniform, cross_entropy, freeze

from .zoo import SHAPE, Coded, Heads, Patches, adam, towards


def absolute(images: Tensor, others: Tensor) -> Tensor:
    return ops.abs(images - others).mean()


def one_hot(classes: Tensor, count: int) -> Tensor:
    return ops.one_hot(classes, count, Tensor(1.0), Tensor(0.0))


class Encoder(nn.Cell):
    """Images to ``heads`` outputs (N, length) each, or one."""

    def __init__(self, length: int, heads: int = 1) -> None:
        super().__init__()
        self.trunk = nn.SequentialCell(nn.Dense(64, 16), nn.LeakyReLU(0.2))
        self.heads = nn.CellList([nn.Dense(16, length) for _ in range(heads)])

    def construct(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        seen = self.trunk(images.reshape(-1, 64))
        told = [head(seen) for head in self.heads]
        return told[0] if len(told) == 1 else tuple(told)


class Scores(nn.Cell):
    """Rows of numbers (N, ...) to one score each, without normalization."""

    def __init__(self, length: int = 64) -> None:
        super().__init__()
        self.length = length
        self.layers = nn.SequentialCell(nn.Dense(length, 16), nn.LeakyReLU(0.2), nn.Dense(16, 1))

    def construct(self, values: Tensor) -> Tensor:
        return self.layers(values.reshape(-1, self.length))


class Features(nn.Cell):
    """Images to maps of features, as a pretrained network has them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Conv2d(1, 4, 3, pad_mode="same"), nn.BatchNorm2d(4), nn.ReLU())

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Translator(nn.Cell):
    """Images (N, channels, 8, 8) to images (N, 1, 8, 8)."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Conv2d(channels, 4, 3, pad_mode="same", has_bias=True),
            nn.ReLU(),
            nn.Conv2d(4, 1, 3, pad_mode="same", has_bias=True),
            nn.Tanh(),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class AAE(Game):
    """Adversarial autoencoder: the discriminator sees codes. ``make`` draws; training does not use its result."""

    chance = {"noise": Normal(4)}

    def make(self, noise: Tensor) -> Tensor:
        return self.decoder(noise)

    def encode(self, real: Tensor, noise: Tensor) -> Tensor:
        mean, log_variance = self.encoder(real)
        return mean + ops.exp(log_variance / 2) * noise

    def discriminator_loss(self, real: Tensor, noise: Tensor) -> Tensor:
        codes = self.encode(real, noise)
        return (towards(self.discriminator(noise), 1.0) + towards(self.discriminator(codes), 0.0)) / 2

    def autoencoder_loss(self, real: Tensor, noise: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        codes = self.encode(real, noise)
        distance = absolute(self.decoder(codes), real)
        return 0.001 * towards(self.discriminator(codes), 1.0) + 0.999 * distance, {"l1": distance}


class BicycleGAN(Game):
    chance = {"noise": Normal(3), "code": Normal(3)}

    def draw(self, source: Tensor, code: Tensor) -> Tensor:
        planes = ops.broadcast_to(code.reshape(-1, 3, 1, 1), (-1, -1, 8, 8))
        return self.generator(ops.concat((source, planes), 1))

    def make(self, source: Tensor, target: Tensor, noise: Tensor, code: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = self.encoder(target)
        encoded = mean + ops.exp(log_variance / 2) * noise
        return self.draw(source, code), self.draw(source, encoded), mean, log_variance

    def d_vae_loss(self, made: tuple[Tensor, ...], target: Tensor) -> Tensor:
        return towards(self.d_vae(target), 1.0) + towards(self.d_vae(made[1]), 0.0)

    def d_lr_loss(self, made: tuple[Tensor, ...], target: Tensor) -> Tensor:
        return towards(self.d_lr(target), 1.0) + towards(self.d_lr(made[0]), 0.0)

    def both(self, made: tuple[Tensor, ...], target: Tensor) -> tuple[Tensor, Tensor]:
        pixel = absolute(made[1], target)
        divergence = 0.5 * (ops.exp(made[3]) + ops.square(made[2]) - made[3] - 1).sum(1).mean()
        adversarial = towards(self.d_vae(made[1]), 1.0) + towards(self.d_lr(made[0]), 1.0)
        return adversarial + 10 * pixel + 0.01 * divergence, pixel

    def encoder_loss(self, made: tuple[Tensor, ...], target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss, pixel = self.both(made, target)
        return loss, {"pixel": pixel}

    def generator_loss(self, made: tuple[Tensor, ...], target: Tensor, code: Tensor) -> Tensor:
        found, _ = self.encoder(made[0])
        return self.both(made, target)[0] + 0.5 * absolute(found, code)


def draw_masks(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return masks (count, 1, 8, 8): 0 in a square of 4 x 4 pixels at a random position, else 1."""
    masks = np.ones((count, *SHAPE), np.float32)
    for mask, (top, left) in zip(masks, rng.integers(0, 5, (count, 2)), strict=True):
        mask[:, top : top + 4, left : left + 4] = 0
    return masks


class CCGAN(Game):
    """Context-conditional GAN: the holes are random inputs."""

    chance = {"mask": draw_masks}

    def make(self, real: Tensor, mask: Tensor) -> Tensor:
        return self.generator(ops.concat((real * mask, mask), 1))

    def discriminator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        return (towards(self.discriminator(real), 1.0) + towards(self.discriminator(made), 0.0)) / 2

    def generator_loss(self, made: Tensor) -> Tensor:
        return towards(self.discriminator(made), 1.0)

    def picture(self, made: Tensor, real: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return real * mask, made, real


class ContextEncoder(Game):
    """The middle 4 x 4 pixels from the others; the discriminator sees the middle only."""

    def make(self, real: Tensor) -> Tensor:
        hole = ops.pad(ops.ones_like(real[:, :, 2:6, 2:6]), (2, 2, 2, 2))
        drawn = self.generator(real * (1 - hole) + hole)
        return real * (1 - hole) + drawn * hole

    def discriminator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        fake = towards(self.discriminator(made[:, :, 2:6, 2:6]), 0.0)
        return (towards(self.discriminator(real[:, :, 2:6, 2:6]), 1.0) + fake) / 2

    def generator_loss(self, made: Tensor, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        pixel = absolute(made[:, :, 2:6, 2:6], real[:, :, 2:6, 2:6])
        adversarial = towards(self.discriminator(made[:, :, 2:6, 2:6]), 1.0)
        return 0.001 * adversarial + 0.999 * pixel, {"pixel": pixel}


class ClusterGAN(Game):
    """Noise and a class to images and back; the critic has a gradient penalty."""

    chance = {"noise": Normal(4), "cluster": Categorical(3), "between": Uniform(1, 1, 1, low=0.0)}

    def make(self, noise: Tensor, cluster: Tensor) -> Tensor:
        return self.generator(ops.concat((noise, one_hot(cluster, 3)), 1))

    def critic_loss(self, made: Tensor, real: Tensor, between: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        slopes = ms.grad(self.critic)(made + between * (real - made))
        lengths = ops.sqrt(ops.square(slopes).reshape(made.shape[0], -1).sum(1) + 1e-12)
        penalty = ops.square(lengths - 1).mean()
        return self.critic(made).mean() - self.critic(real).mean() + 10 * penalty, {"penalty": penalty}

    def generator_loss(self, made: Tensor, noise: Tensor, cluster: Tensor) -> Tensor:
        codes, logits = self.encoder(made)
        found = ops.square(codes[:, :4] - noise).mean() + cross_entropy(logits[:, :3], cluster)
        return found - self.critic(made).mean()


class Tail(nn.Cell):
    """Hidden values to images; ``trunk`` is shared with another network."""

    def __init__(self, trunk: nn.Cell) -> None:
        super().__init__()
        self.trunk, self.last = trunk, nn.SequentialCell(nn.Dense(16, 64), nn.Tanh())

    def construct(self, noise: Tensor) -> Tensor:
        return self.last(self.trunk(noise)).reshape(-1, *SHAPE)


class CoGAN(Game):
    """Two generators with one trunk, two discriminators; the columns are unpaired."""

    chance = {"noise": Normal(4)}
    compared = "b"

    def make(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.g_a(noise), self.g_b(noise)

    def discriminators_loss(self, made: tuple[Tensor, Tensor], a: Tensor, b: Tensor) -> Tensor:
        real = towards(self.d_a(a), 1.0) + towards(self.d_b(b), 1.0)
        return (real + towards(self.d_a(made[0]), 0.0) + towards(self.d_b(made[1]), 0.0)) / 4

    def generators_loss(self, made: tuple[Tensor, Tensor]) -> Tensor:
        return (towards(self.d_a(made[0]), 1.0) + towards(self.d_b(made[1]), 1.0)) / 2


class SharedTrunk:
    """Builds two generators that share a trunk: the first call makes it, the second uses it."""

    def __init__(self) -> None:
        self.trunk: nn.Cell | None = None

    def __call__(self) -> nn.Cell:
        if self.trunk is None:
            self.trunk = nn.SequentialCell(nn.Dense(4, 16), nn.ReLU())
            return Tail(self.trunk)
        trunk, self.trunk = self.trunk, None
        return Tail(trunk)


class Coupled(nn.Cell):
    """Both generators of a CoGAN as one network with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        trunk = nn.SequentialCell(nn.Dense(4, 16), nn.ReLU())
        self.a, self.b = Tail(trunk), Tail(trunk)

    def construct(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.a(noise), self.b(noise)


class CoupledGAN(CoGAN):
    def make(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        return self.generators(noise)


class DiscoGAN(Game):
    compared = "b"

    def make(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.g_ba(b), self.g_ab(a)

    def generators_loss(
        self, made: tuple[Tensor, Tensor], a: Tensor, b: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        adversarial = towards(self.d_a(made[0]), 1.0) + towards(self.d_b(made[1]), 1.0)
        pixel = absolute(made[0], a) + absolute(made[1], b)
        cycle = absolute(self.g_ba(made[1]), a) + absolute(self.g_ab(made[0]), b)
        return adversarial + pixel + cycle, {"pixel": pixel, "cycle": cycle}

    def d_a_loss(self, made: tuple[Tensor, Tensor], a: Tensor) -> Tensor:
        return (towards(self.d_a(a), 1.0) + towards(self.d_a(made[0]), 0.0)) / 2

    def d_b_loss(self, made: tuple[Tensor, Tensor], b: Tensor) -> Tensor:
        return (towards(self.d_b(b), 1.0) + towards(self.d_b(made[1]), 0.0)) / 2

    def select_images(self, made: tuple[Tensor, Tensor]) -> Tensor:
        return made[1]


class DualGAN(Game):
    """Two critics with gradient penalties; the translators are updated every second step."""

    chance = {"between": Uniform(1, 1, 1, low=0.0)}
    compared = "b"

    def make(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.g_ba(b), self.g_ab(a)

    def penalize(self, critic: nn.Cell, real: Tensor, fake: Tensor, between: Tensor) -> Tensor:
        slopes = ms.grad(critic)(fake + between * (real - fake))
        lengths = ops.sqrt(ops.square(slopes).reshape(real.shape[0], -1).sum(1) + 1e-12)
        return critic(fake).mean() - critic(real).mean() + 10 * ops.square(lengths - 1).mean()

    def d_a_loss(self, made: tuple[Tensor, Tensor], a: Tensor, between: Tensor) -> Tensor:
        return self.penalize(self.d_a, a, made[0], between)

    def d_b_loss(self, made: tuple[Tensor, Tensor], b: Tensor, between: Tensor) -> Tensor:
        return self.penalize(self.d_b, b, made[1], between)

    def generators_loss(self, made: tuple[Tensor, Tensor], a: Tensor, b: Tensor) -> Tensor:
        cycle = absolute(self.g_ba(made[1]), a) + absolute(self.g_ab(made[0]), b)
        return 10 * cycle - self.d_a(made[0]).mean() - self.d_b(made[1]).mean()

    def select_images(self, made: tuple[Tensor, Tensor]) -> Tensor:
        return made[1]


class EBGAN(Game):
    """The discriminator is an autoencoder; the pull-away term sees its codes."""

    chance = {"noise": Normal(4)}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def d_loss(self, made: Tensor, real: Tensor) -> Tensor:
        fake = ops.square(self.decoder(self.encoder(made)) - made).mean()
        return ops.square(self.decoder(self.encoder(real)) - real).mean() + ops.relu(0.5 - fake)

    def g_loss(self, made: Tensor) -> Tensor:
        codes = self.encoder(made)
        directions = codes / (ops.sqrt(ops.square(codes).sum(1, keepdims=True)) + 1e-6)
        similarity = ops.square(ops.matmul(directions, directions.T))
        count = codes.shape[0]
        pull_away = (similarity.sum() - count) / (count * (count - 1))
        return ops.square(self.decoder(codes) - made).mean() + 0.1 * pull_away


class ESRGAN(Game):
    """Relativistic losses, a frozen extractor of features, and a warm-up on pixels."""

    compared = "hr"

    def __init__(self, warm_up: int = 2) -> None:
        super().__init__()
        self.warm_up = warm_up

    def make(self, lr: Tensor) -> Tensor:
        return self.generator(lr)

    def compare(self, images: Tensor, others: Tensor) -> Tensor:
        return towards(self.discriminator(images) - self.discriminator(others).mean(), 1.0)

    def discriminator_loss(self, made: Tensor, hr: Tensor, step: Tensor) -> Tensor:
        started = (step > self.warm_up).astype(ms.float32)
        return started * (self.compare(hr, made) - self.compare(made, hr))

    def generator_loss(self, made: Tensor, hr: Tensor, step: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        pixel = absolute(made, hr)
        content = absolute(self.features(made), self.features(hr))
        started = (step > self.warm_up).astype(ms.float32)
        full = content + 0.005 * self.compare(made, hr) + 0.01 * pixel
        return (1 - started) * pixel + started * full, {"pixel": pixel, "content": content}


class SRGAN(Game):
    compared = "hr"

    def make(self, lr: Tensor) -> Tensor:
        return self.generator(lr)

    def discriminator_loss(self, made: Tensor, hr: Tensor) -> Tensor:
        return (towards(self.discriminator(hr), 1.0) + towards(self.discriminator(made), 0.0)) / 2

    def generator_loss(self, made: Tensor, hr: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        content = absolute(self.features(made), self.features(hr))
        return content + 0.001 * towards(self.discriminator(made), 1.0), {"content": content}


class Enlarger(nn.Cell):
    """Images (N, 1, 4, 4) to (N, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Conv2dTranspose(1, 1, 4, 2, pad_mode="same"), nn.Tanh())

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class MUNIT(Game):
    """Contents and styles; the style of a translation is a random input."""

    chance = {"style_a": Normal(2), "style_b": Normal(2)}
    compared = "b"

    def make(self, a: Tensor, b: Tensor, style_a: Tensor, style_b: Tensor) -> tuple[Tensor, ...]:
        content_a, own_a = self.e_a(a)
        content_b, own_b = self.e_b(b)
        drawn = (self.g_b(ops.concat((content_a, style_b), 1)), self.g_a(ops.concat((content_b, style_a), 1)))
        again = (self.g_a(ops.concat((content_a, own_a), 1)), self.g_b(ops.concat((content_b, own_b), 1)))
        return (*drawn, *again, content_a, content_b)

    def discriminators_loss(self, made: tuple[Tensor, ...], a: Tensor, b: Tensor) -> Tensor:
        fakes = towards(self.d_b(made[0]), 0.0) + towards(self.d_a(made[1]), 0.0)
        return fakes + towards(self.d_a(a), 1.0) + towards(self.d_b(b), 1.0)

    def translators_loss(
        self, made: tuple[Tensor, ...], a: Tensor, b: Tensor, style_a: Tensor, style_b: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        image_b, image_a, again_a, again_b, content_a, content_b = made
        found_a, s_b = self.e_b(image_b)
        found_b, s_a = self.e_a(image_a)
        adversarial = towards(self.d_b(image_b), 1.0) + towards(self.d_a(image_a), 1.0)
        identity = absolute(again_a, a) + absolute(again_b, b)
        styles = absolute(s_b, style_b) + absolute(s_a, style_a)
        contents = absolute(found_a, ops.stop_gradient(content_a)) + absolute(
            found_b, ops.stop_gradient(content_b)
        )
        return adversarial + 10 * identity + styles + contents, {"identity": identity, "styles": styles}


class ContentStyle(nn.Cell):
    """Images to (content (N, 6), style (N, 2))."""

    def __init__(self) -> None:
        super().__init__()
        self.content, self.style = Encoder(6), Encoder(2)

    def construct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.content(images), self.style(images)


class UNIT(Game):
    """Two variational autoencoders with one shared block; noise in the shape of the codes."""

    chance = {"noise_a": Normal(6), "noise_b": Normal(6)}
    compared = "b"

    def make(self, a: Tensor, b: Tensor, noise_a: Tensor, noise_b: Tensor) -> tuple[Tensor, ...]:
        mean_a, mean_b = self.e_a(a), self.e_b(b)
        code_a, code_b = mean_a + noise_a, mean_b + noise_b
        return self.g_b(code_a), self.g_a(code_b), self.g_a(code_a), self.g_b(code_b), mean_a, mean_b

    def d_a_loss(self, made: tuple[Tensor, ...], a: Tensor) -> Tensor:
        return towards(self.d_a(a), 1.0) + towards(self.d_a(made[1]), 0.0)

    def d_b_loss(self, made: tuple[Tensor, ...], b: Tensor) -> Tensor:
        return towards(self.d_b(b), 1.0) + towards(self.d_b(made[0]), 0.0)

    def translators_loss(
        self, made: tuple[Tensor, ...], a: Tensor, b: Tensor, noise_a: Tensor, noise_b: Tensor
    ) -> Tensor:
        image_b, image_a, again_a, again_b, mean_a, mean_b = made
        cycle = absolute(self.g_a(self.e_b(image_b) + noise_a), a) + absolute(
            self.g_b(self.e_a(image_a) + noise_b), b
        )
        divergence = ops.square(mean_a).mean() + ops.square(mean_b).mean()
        adversarial = towards(self.d_b(image_b), 1.0) + towards(self.d_a(image_a), 1.0)
        return 10 * adversarial + 100 * (absolute(again_a, a) + absolute(again_b, b) + cycle) + 0.1 * divergence


class PixelDA(Game):
    """Images of the labelled domain a in the style of b, with a classifier of both."""

    chance = {"noise": Normal(1, 8, 8)}
    compared = "b"

    def make(self, a: Tensor, noise: Tensor) -> Tensor:
        return self.generator(ops.concat((a, noise), 1))

    def discriminator_loss(self, made: Tensor, b: Tensor) -> Tensor:
        return (towards(self.discriminator(b), 1.0) + towards(self.discriminator(made), 0.0)) / 2

    def task_loss(self, made: Tensor, a: Tensor, classes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.classifier(made)
        task = (cross_entropy(logits, classes) + cross_entropy(self.classifier(a), classes)) / 2
        accuracy = (logits.argmax(1).astype(ms.int32) == classes).astype(ms.float32).mean()
        return towards(self.discriminator(made), 1.0) + 0.1 * task, {"task": task, "accuracy": accuracy}


class SGAN(Game):
    """Semi-supervised: the classes of real images, and one more for generated ones."""

    chance = {"noise": Normal(4)}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def discriminator_loss(self, made: Tensor, real: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        score, logits, _ = self.discriminator(real)
        fake_score, fake_logits, _ = self.discriminator(made)
        classes = cross_entropy(logits, labels)
        fakes = cross_entropy(fake_logits, ops.full_like(labels, 2))
        return (towards(score, 1.0) + towards(fake_score, 0.0) + classes + fakes) / 4, {"classes": classes}

    def generator_loss(self, made: Tensor) -> Tensor:
        return towards(self.discriminator(made)[0], 1.0)


def draw_attributes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return random attributes (count, 2), 0 or 1."""
    return rng.integers(0, 2, (count, 2)).astype(np.float32)


class Attributed(nn.Cell):
    """Images to (scores (N, 1), logits of attributes (N, 2))."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.SequentialCell(nn.Dense(64, 16), nn.LeakyReLU(0.2))
        self.score, self.attributes = nn.Dense(16, 1), nn.Dense(16, 2)

    def construct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.trunk(images.reshape(-1, 64))
        return self.score(seen), self.attributes(seen)


class StarGAN(Game):
    """Attributes of the data and wanted ones; the critic has a gradient penalty and a classifier."""

    chance = {"wanted": draw_attributes, "between": Uniform(1, 1, 1, low=0.0)}

    def translate(self, images: Tensor, attributes: Tensor) -> Tensor:
        planes = ops.broadcast_to(attributes.reshape(-1, 2, 1, 1), (-1, -1, 8, 8))
        return self.generator(ops.concat((images, planes), 1))

    def make(self, real: Tensor, wanted: Tensor) -> Tensor:
        return self.translate(real, wanted)

    def score(self, images: Tensor) -> Tensor:
        return self.discriminator(images)[0]

    def discriminator_loss(
        self, made: Tensor, real: Tensor, attributes: Tensor, between: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        slopes = ms.grad(self.score)(made + between * (real - made))
        lengths = ops.sqrt(ops.square(slopes).reshape(made.shape[0], -1).sum(1) + 1e-12)
        scores, logits = self.discriminator(real)
        classes = ops.binary_cross_entropy_with_logits(
            logits, attributes, ops.ones_like(logits), ops.ones_like(logits)
        )
        adversarial = self.score(made).mean() - scores.mean()
        return adversarial + 10 * ops.square(lengths - 1).mean() + classes, {"classes": classes}

    def generator_loss(
        self, made: Tensor, real: Tensor, attributes: Tensor, wanted: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        scores, logits = self.discriminator(made)
        classes = ops.binary_cross_entropy_with_logits(
            logits, wanted, ops.ones_like(logits), ops.ones_like(logits)
        )
        cycle = absolute(self.translate(made, attributes), real)
        return classes + 10 * cycle - scores.mean(), {"cycle": cycle}


class WGANDiv(Game):
    chance = {"noise": Normal(4)}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def critic_loss(self, made: Tensor, real: Tensor) -> Tensor:
        of_real = ops.square(ms.grad(self.critic)(real)).reshape(real.shape[0], -1).sum(1)
        of_fake = ops.square(ms.grad(self.critic)(made)).reshape(real.shape[0], -1).sum(1)
        divergence = (ops.pow(of_real + 1e-12, 3.0) + ops.pow(of_fake + 1e-12, 3.0)).mean()
        return self.critic(made).mean() - self.critic(real).mean() + divergence

    def generator_loss(self, made: Tensor) -> Tensor:
        return -self.critic(made).mean()


class SoftmaxGAN(Game):
    chance = {"noise": Normal(4)}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def compare(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        on_real, on_fake = self.discriminator(real), self.discriminator(made)
        return on_real, on_fake, ops.logsumexp(-ops.concat((on_real, on_fake), 0), (0, 1))

    def discriminator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        on_real, _, total = self.compare(made, real)
        return on_real.mean() + total

    def generator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        on_real, on_fake, total = self.compare(made, real)
        return (on_real.mean() + on_fake.mean()) / 2 + total


def pair(first: object, second: object, **settings: object) -> dict[str, Player]:
    """Return a player for each of two groups of networks, each with Adam."""
    return {"first": Player(first, adam), "second": Player(second, adam, **settings)}


SHARED = SharedTrunk()
KINDS = {
    "aae": (
        AAE,
        {"encoder": partial(Encoder, 4, 2), "decoder": partial(Coded, 4), "discriminator": partial(Scores, 4)},
        {"discriminator": Player("discriminator", adam), "autoencoder": Player(("encoder", "decoder"), adam)},
        "real",
    ),
    "bicyclegan": (
        BicycleGAN,
        {
            "generator": partial(Translator, 4),
            "encoder": partial(Encoder, 3, 2),
            "d_vae": Patches,
            "d_lr": Patches,
        },
        {name: Player(name, adam) for name in ("encoder", "generator", "d_vae", "d_lr")},
        "source target",
    ),
    "ccgan": (
        CCGAN,
        {"generator": partial(Translator, 2), "discriminator": Patches},
        {"discriminator": Player("discriminator", adam), "generator": Player("generator", adam)},
        "real",
    ),
    "cluster_gan": (
        ClusterGAN,
        {"generator": partial(Coded, 7), "encoder": partial(Encoder, 4, 2), "critic": Scores},
        {"critic": Player("critic", adam), "generator": Player(("generator", "encoder"), adam, every=2)},
        "real",
    ),
    "cogan": (
        CoGAN,
        {"g_a": SHARED, "g_b": SHARED, "d_a": Scores, "d_b": Scores},
        {"discriminators": Player(("d_a", "d_b"), adam), "generators": Player(("g_a", "g_b"), adam, ema=0.9)},
        "a b",
    ),
    "cogan as one network": (
        CoupledGAN,
        {"generators": Coupled, "d_a": Patches, "d_b": Patches},
        {"generators": Player("generators", adam, ema=0.9), "discriminators": Player(("d_a", "d_b"), adam)},
        "a b",
    ),
    "context_encoder": (
        ContextEncoder,
        {"generator": Translator, "discriminator": partial(Scores, 16)},
        {"generator": Player("generator", adam), "discriminator": Player("discriminator", adam)},
        "real",
    ),
    "discogan": (
        DiscoGAN,
        {"g_ab": Translator, "g_ba": Translator, "d_a": Patches, "d_b": Patches},
        {"generators": Player(("g_ab", "g_ba"), adam), "d_a": Player("d_a", adam), "d_b": Player("d_b", adam)},
        "a b",
    ),
    "dualgan": (
        DualGAN,
        {"g_ab": Translator, "g_ba": Translator, "d_a": Scores, "d_b": Scores},
        {
            "d_a": Player("d_a", adam),
            "d_b": Player("d_b", adam),
            "generators": Player(("g_ab", "g_ba"), adam, every=2),
        },
        "a b",
    ),
    "ebgan": (
        EBGAN,
        {"generator": partial(Coded, 4), "encoder": partial(Encoder, 6), "decoder": partial(Coded, 6)},
        {"g": Player("generator", adam), "d": Player(("encoder", "decoder"), adam)},
        "real",
    ),
    "esrgan": (
        partial(ESRGAN, 1),
        {"generator": Enlarger, "discriminator": Scores, "features": freeze(Features)},
        {"discriminator": Player("discriminator", adam), "generator": Player("generator", adam)},
        "lr hr",
    ),
    "munit": (
        MUNIT,
        {
            "e_a": ContentStyle,
            "e_b": ContentStyle,
            "g_a": partial(Coded, 8),
            "g_b": partial(Coded, 8),
            "d_a": Patches,
            "d_b": Patches,
        },
        {
            "translators": Player(("e_a", "e_b", "g_a", "g_b"), adam),
            "discriminators": Player(("d_a", "d_b"), adam),
        },
        "a b",
    ),
    "pixelda": (
        PixelDA,
        {"generator": partial(Translator, 2), "discriminator": Patches, "classifier": partial(Encoder, 3)},
        {"discriminator": Player("discriminator", adam), "task": Player(("generator", "classifier"), adam)},
        "a b classes",
    ),
    "sgan": (
        SGAN,
        {"generator": partial(Coded, 4), "discriminator": Heads},
        {"generator": Player("generator", adam), "discriminator": Player("discriminator", adam)},
        "real labels",
    ),
    "softmax_gan": (
        SoftmaxGAN,
        {"generator": partial(Coded, 4), "discriminator": Scores},
        {"generator": Player("generator", adam), "discriminator": Player("discriminator", adam)},
        "real",
    ),
    "srgan": (
        SRGAN,
        {"generator": Enlarger, "discriminator": Patches, "features": freeze(Features)},
        {"generator": Player("generator", adam), "discriminator": Player("discriminator", adam)},
        "lr hr",
    ),
    "stargan": (
        StarGAN,
        {"generator": partial(Translator, 3), "discriminator": Attributed},
        {"discriminator": Player("discriminator", adam), "generator": Player("generator", adam, every=2)},
        "real attributes",
    ),
    "unit": (
        UNIT,
        {
            "e_a": partial(Encoder, 6),
            "e_b": partial(Encoder, 6),
            "g_a": partial(Coded, 6),
            "g_b": partial(Coded, 6),
            "d_a": Patches,
            "d_b": Patches,
        },
        {
            "translators": Player(("e_a", "e_b", "g_a", "g_b"), adam),
            "d_a": Player("d_a", adam),
            "d_b": Player("d_b", adam),
        },
        "a b",
    ),
    "wgan_div": (
        WGANDiv,
        {"generator": partial(Coded, 4), "critic": Scores},
        {"critic": Player("critic", adam), "generator": Player("generator", adam, every=2)},
        "real",
    ),
}
