"""Small games for the tests, and plain loops that train them: every loss with a forward pass of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from ms_gan_callbacks import Categorical, Game, Normal, Player, ReplayPool, Uniform, cross_entropy
from ms_gan_callbacks.models.players import Players

SHAPE = (1, 8, 8)
adam = partial(nn.Adam, learning_rate=1e-2, beta1=0.5)
sgd = partial(nn.SGD, learning_rate=0.1)


class Translator(nn.Cell):
    """Images to images, (N, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Conv2d(1, 4, 3, pad_mode="pad", padding=1, has_bias=True),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 1, 3, pad_mode="pad", padding=1, has_bias=True),
            nn.Tanh(),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Patches(nn.Cell):
    """Images to a map of scores (N, 1, 4, 4)."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Conv2d(channels, 4, 4, 2, pad_mode="pad", padding=1, has_bias=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4, 1, 3, pad_mode="pad", padding=1, has_bias=True),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Coded(nn.Cell):
    """Codes (N, length) to images (N, 1, 8, 8)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(length, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dense(16, 64), nn.Tanh()
        )

    def construct(self, codes: Tensor) -> Tensor:
        return self.layers(codes).reshape(-1, *SHAPE)


class Heads(nn.Cell):
    """Images to (scores (N, 1), logits of a class (N, 3), codes (N, 2))."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.SequentialCell(nn.Dense(64, 16), nn.LeakyReLU(0.2))
        self.score, self.classes, self.codes = nn.Dense(16, 1), nn.Dense(16, 3), nn.Dense(16, 2)

    def construct(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self.trunk(images.reshape(-1, 64))
        return self.score(seen), self.classes(seen), self.codes(seen)


class Autoencoder(nn.Cell):
    """Images to images, (N, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(64, 8), nn.LeakyReLU(0.2), nn.Dense(8, 64))

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images.reshape(-1, 64)).reshape(-1, *SHAPE)


def towards(scores: Tensor, label: float) -> Tensor:
    return ops.square(scores - label).mean()


class Pix2Pix(Game):
    def make(self, source: Tensor) -> Tensor:
        return self.generator(source)

    def discriminator_loss(self, made: Tensor, source: Tensor, target: Tensor) -> Tensor:
        real = towards(self.discriminator(ops.concat((source, target), 1)), 1.0)
        return (real + towards(self.discriminator(ops.concat((source, made), 1)), 0.0)) / 2

    def generator_loss(self, made: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        distance = ops.abs(made - target).mean()
        scores = self.discriminator(ops.concat((source, made), 1))
        return towards(scores, 1.0) + 10 * distance, {"distance": distance}

    def picture(self, made: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return source, made, target


class CycleGAN(Game):
    compared = "b"

    def __init__(self, size: int = 6) -> None:
        super().__init__()
        self.pool_a, self.pool_b = ReplayPool(size, SHAPE), ReplayPool(size, SHAPE)
        self.chance = {"draws_a": self.pool_a.draws, "draws_b": self.pool_b.draws}

    def make(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.g_ba(b), self.g_ab(a)

    def d_a_loss(self, made: tuple[Tensor, Tensor], a: Tensor, draws_a: Tensor) -> Tensor:
        return (towards(self.d_a(a), 1.0) + towards(self.d_a(self.pool_a(made[0], draws_a)), 0.0)) / 2

    def d_b_loss(self, made: tuple[Tensor, Tensor], b: Tensor, draws_b: Tensor) -> Tensor:
        return (towards(self.d_b(b), 1.0) + towards(self.d_b(self.pool_b(made[1], draws_b)), 0.0)) / 2

    def generators_loss(
        self, made: tuple[Tensor, Tensor], a: Tensor, b: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        cycle = ops.abs(self.g_ba(made[1]) - a).mean() + ops.abs(self.g_ab(made[0]) - b).mean()
        adversarial = towards(self.d_a(made[0]), 1.0) + towards(self.d_b(made[1]), 1.0)
        return adversarial + 10 * cycle, {"cycle": cycle}

    def select_images(self, made: tuple[Tensor, Tensor]) -> Tensor:
        return made[1]


class InfoGAN(Game):
    chance = {"noise": Normal(4), "digit": Categorical(3), "code": Uniform(2)}

    def make(self, noise: Tensor, digit: Tensor, code: Tensor) -> Tensor:
        one_hot = ops.one_hot(digit, 3, Tensor(1.0), Tensor(0.0))
        return self.generator(ops.concat((noise, one_hot, code), 1))

    def discriminator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        return (towards(self.discriminator(real)[0], 1.0) + towards(self.discriminator(made)[0], 0.0)) / 2

    def generator_loss(self, made: Tensor) -> Tensor:
        return towards(self.discriminator(made)[0], 1.0)

    def info_loss(self, made: Tensor, digit: Tensor, code: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        _, logits, guess = self.discriminator(made)
        distance = ops.square(guess - code).mean()
        return cross_entropy(logits, digit) + 0.1 * distance, {"code": distance}


class BEGAN(Game):
    chance = {"noise": Normal(4)}

    def __init__(self) -> None:
        super().__init__()
        self.k = Parameter(Tensor(np.zeros((), np.float32)), name="k", requires_grad=False)

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def distance(self, images: Tensor) -> Tensor:
        return ops.abs(self.autoencoder(images) - images).mean()

    def d_loss(self, made: Tensor, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        of_real, of_fake = self.distance(real), self.distance(made)
        balance = 0.5 * ops.stop_gradient(of_real) - ops.stop_gradient(of_fake)
        loss = of_real - self.k * of_fake
        moved = ops.assign(self.k, ops.clip_by_value(self.k + 0.01 * balance, 0.0, 1.0))
        return ops.depend(loss, moved), {"measure": of_real + ops.abs(balance)}

    def g_loss(self, made: Tensor) -> Tensor:
        return self.distance(made)


GAMES: Mapping[str, tuple[object, dict[str, object], dict[str, Player]]] = {
    "pix2pix": (
        Pix2Pix,
        {"generator": Translator, "discriminator": partial(Patches, 2)},
        {"discriminator": Player("discriminator", adam), "generator": Player("generator", adam, ema=0.9)},
    ),
    "cyclegan": (
        CycleGAN,
        {"g_ab": Translator, "g_ba": Translator, "d_a": Patches, "d_b": Patches},
        {"d_a": Player("d_a", adam), "d_b": Player("d_b", adam), "generators": Player(("g_ab", "g_ba"), adam)},
    ),
    "infogan": (
        InfoGAN,
        {"generator": partial(Coded, 9), "discriminator": Heads},
        {
            "discriminator": Player("discriminator", adam),
            "generator": Player("generator", adam),
            "info": Player(("generator", "discriminator"), adam),
        },
    ),
    "began": (
        BEGAN,
        {"generator": partial(Coded, 4), "autoencoder": Autoencoder},
        {"d": Player("autoencoder", adam), "g": Player("generator", adam)},
    ),
}
COLUMNS = {"pix2pix": ("source", "target"), "cyclegan": ("a", "b"), "infogan": ("real",), "began": ("real",)}


def make_players(name: str, **changes: object) -> Players:
    game, networks, players = GAMES[name]
    return Players(game, networks, players, **changes)


class Columns:
    """A source of random images in columns, which yields dicts."""

    def __init__(self, columns: tuple[str, ...], count: int = 20, batch_size: int = 4) -> None:
        self.name, self.columns, self.count, self.batch_size = "columns", columns, count, batch_size
        self.image_shape, self.steps_per_epoch = SHAPE, count // batch_size
        draw = np.random.default_rng(5)
        self.images = {one: draw.uniform(-1, 1, (count, *SHAPE)).astype(np.float32) for one in columns}

    def sha256(self) -> None:
        return None

    def batches(self, seed: int, epoch: int, start: int = 0):
        order = np.random.default_rng((seed, epoch)).permutation(self.count)
        for step in range(start, self.steps_per_epoch):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield {one: images[rows] for one, images in self.images.items()}


class PlainLoop:
    """Updates the players of a game one after another in eager mode: each makes its images for itself.

    All see what was made before the first update, as the compiled step defines it, except players that come after
    another player has updated what makes images.
    """

    def __init__(self, players: Players) -> None:
        self.players, self.game = players, players.game
        for network in players.networks.values():
            network.set_train(True)

    def step(self, inputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        game, told, moved = self.game, {}, False
        tensors = {name: Tensor(value) for name, value in inputs.items()}
        makers = {name for name in self.players.networks if name.startswith("g")}
        made = game.make(*(tensors[name] for name in game.get_inputs("make")))
        fixed = (
            tuple(ops.stop_gradient(one) for one in made) if isinstance(made, tuple) else ops.stop_gradient(made)
        )
        for name, player in self.players.players.items():
            trains_maker = not makers.isdisjoint(player.trains)

            def loss(name: str = name, again: bool = trains_maker) -> tuple[Tensor, ...]:
                images = game.make(*(tensors[one] for one in game.get_inputs("make"))) if again else fixed
                returned = getattr(game, f"{name}_loss")(
                    images, *(tensors[one] for one in game.get_inputs(f"{name}_loss"))
                )
                return (
                    (returned[0], *returned[1].values()) if isinstance(returned, tuple) else (returned, returned)
                )

            optimizer = self.players.optimizers[name]
            values, gradients = ms.value_and_grad(loss, None, optimizer.parameters, has_aux=True)()
            optimizer(gradients)
            told[f"{name}_loss"] = float(values[0].asnumpy())
            moved = moved or trains_maker
        return told
