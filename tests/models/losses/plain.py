"""A GAN small enough to be written out in NumPy, in double precision: what the compiled step is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from conftest import tiny_players
from mindspore import Tensor, nn

from ms_gan_callbacks.models.two_players import TwoPlayers

Doubles = np.ndarray
Weights = Mapping[str, Doubles]
COUNT = 5
sgd = partial(nn.SGD, learning_rate=1.0)
"""An update of which is the gradient itself."""


class Draws(nn.Cell):
    """Noise (N, 3) to images (N, 1, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Dense(3, 16)
        self.tanh = nn.Tanh()

    def construct(self, noise: Tensor) -> Tensor:
        return self.tanh(self.dense(noise)).reshape(-1, 1, 4, 4)


class Perceptron(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.leaky, self.last = nn.Dense(16, 6), nn.LeakyReLU(0.2), nn.Dense(6, 1)

    def construct(self, images: Tensor) -> Tensor:
        return self.last(self.leaky(self.first(images.reshape(-1, 16))))


class Convolutional(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        same = {"stride": 2, "pad_mode": "pad", "padding": 1, "has_bias": True}
        self.first, self.second = nn.Conv2d(1, 3, 3, **same), nn.Conv2d(3, 4, 3, **same)
        self.leaky, self.last = nn.LeakyReLU(0.2), nn.Dense(4, 1)

    def construct(self, images: Tensor) -> Tensor:
        return self.last(self.leaky(self.second(self.leaky(self.first(images)))).reshape(-1, 4))


def leaky(x: Doubles) -> Doubles:
    return np.where(x > 0, x, 0.2 * x)


def convolve(x: Doubles, weight: Doubles, bias: Doubles) -> Doubles:
    """Return the convolution, stride 2 and padding 1, of x (N, C, H, W)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    size = x.shape[2] // 2
    out = np.empty((len(x), len(weight), size, size))
    for row in range(size):
        for column in range(size):
            window = padded[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            out[:, :, row, column] = np.einsum("nchw,ochw->no", window, weight) + bias
    return out


def draw(w: Weights, noise: Doubles) -> Doubles:
    return np.tanh(noise @ w["generator.dense.weight"].T + w["generator.dense.bias"]).reshape(-1, 1, 4, 4)


def perceptron(w: Weights, images: Doubles) -> Doubles:
    hidden = leaky(images.reshape(-1, 16) @ w["discriminator.first.weight"].T + w["discriminator.first.bias"])
    return hidden @ w["discriminator.last.weight"][0] + w["discriminator.last.bias"]


def convolutional(w: Weights, images: Doubles) -> Doubles:
    x = leaky(convolve(images, w["discriminator.first.weight"], w["discriminator.first.bias"]))
    x = leaky(convolve(x, w["discriminator.second.weight"], w["discriminator.second.bias"]))
    return x.reshape(-1, 4) @ w["discriminator.last.weight"][0] + w["discriminator.last.bias"]


PLAIN: dict[type[nn.Cell], Callable[[Weights, Doubles], Doubles]] = {
    Perceptron: perceptron,
    Convolutional: convolutional,
}


def slope(score: Callable[[Doubles], Doubles], images: Doubles, by: float = 1e-5) -> Doubles:
    """Return the length (N,) of every score's gradient with respect to its image, by central differences."""
    flat = images.reshape(len(images), -1)
    moves = by * np.eye(flat.shape[1])
    many = np.concatenate([flat[:, None] + moves, flat[:, None] - moves], 1)
    scores = score(many.reshape(-1, *images.shape[1:])).reshape(len(images), 2, -1)
    return np.sqrt((((scores[:, 0] - scores[:, 1]) / (2 * by)) ** 2).sum(1))


def gradient(loss: Callable[[Weights], float], at: Weights, of: str, by: float = 1e-6) -> dict[str, Doubles]:
    """Return the gradient of a loss with respect to one player's weights, by central differences."""
    found = {}
    for name in at:
        if not name.startswith(of + "."):
            continue
        found[name] = np.empty_like(at[name])
        for place in np.ndindex(at[name].shape):
            moved = [at[name].copy(), at[name].copy()]
            moved[0][place] += by
            moved[1][place] -= by
            up, down = (loss({**at, name: one}) for one in moved)
            found[name][place] = (up - down) / (2 * by)
    return found


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Return real images (5, 1, 4, 4) and noise (5, 3)."""
    rng = np.random.default_rng(3)
    real = rng.uniform(-1, 1, (COUNT, 1, 4, 4)).astype(np.float32)
    return real, rng.standard_normal((COUNT, 3)).astype(np.float32)


def players(discriminator: type[nn.Cell], generator: type[nn.Cell] = Draws, **changes: object) -> TwoPlayers:
    """Return players whose weights are of the size that trained ones have, so that nothing is nearly 0."""
    made = tiny_players(generator, discriminator, **({"optimizer": sgd} | changes))
    rng = np.random.default_rng(7)
    weights = made.weights()
    for name, value in weights.items():
        if name.startswith(("generator.", "discriminator.")):
            weights[name] = rng.normal(0, 0.5, value.shape).astype(np.float32)
    made.load_weights(weights)
    made.compile_for(*batch())
    return made


def doubles(made: TwoPlayers) -> dict[str, Doubles]:
    """Return both networks' weights in double precision."""
    return {name: value.astype(np.float64) for name, value in made.weights().items() if "optimizer" not in name}
