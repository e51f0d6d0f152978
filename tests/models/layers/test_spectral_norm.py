"""SpectralNorm against NumPy: the norm, values, gradients and gradients of gradients, and whole runs with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from conftest import TinyDiscriminator, assert_same_weights, tiny_players, tiny_runner, train_step, weights_of
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import Checkpoint, Every, RecipeError, Runner, SpectralNorm
from ms_gan_callbacks.models import layers
from ms_gan_callbacks.models.networks import graph_mode
from ms_gan_callbacks.models.probe import probe_networks

RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def iterate(u: np.ndarray, matrix: np.ndarray, times: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 1 of the paper, as it stands there."""
    for _ in range(times):
        v = unit(matrix.T @ u)
        u = unit(matrix @ v)
    return u, v


CONV = {"kernel_size": 3, "stride": 2, "pad_mode": "pad", "padding": 1, "has_bias": True}
LAYERS: dict[str, tuple[type[nn.Cell], type[nn.Cell], dict[str, Any], Any]] = {
    "Dense": (nn.Dense, layers.Dense, {"in_channels": 5, "out_channels": 4}, draw(3, 5)),
    "Conv2d": (nn.Conv2d, layers.Conv2d, {"in_channels": 2, "out_channels": 4, **CONV}, draw(2, 2, 6, 6)),
    "Conv2dTranspose": (
        nn.Conv2dTranspose,
        layers.Conv2dTranspose,
        {"in_channels": 2, "out_channels": 4, **CONV},
        draw(2, 2, 3, 3),
    ),
    "Embedding": (
        nn.Embedding,
        nn.Embedding,
        {"vocab_size": 6, "embedding_size": 3},
        np.array([0, 2, 2, 5], np.int32),
    ),
}
each_layer = pytest.mark.parametrize("kind", LAYERS)


def matrix_of(layer: nn.Cell) -> np.ndarray:
    """Return a layer's weights in 64 bits, an output a row."""
    if isinstance(layer, nn.Embedding):
        return layer.embedding_table.asnumpy().astype(np.float64)
    weight = layer.weight.asnumpy().astype(np.float64)
    weight = weight.swapaxes(0, 1) if isinstance(layer, nn.Conv2dTranspose) else weight
    return weight.reshape(len(weight), -1)


def set_matrix(layer: nn.Cell, matrix: np.ndarray) -> None:
    parameter = layer.embedding_table if isinstance(layer, nn.Embedding) else layer.weight
    shape = parameter.shape
    if isinstance(layer, nn.Conv2dTranspose):
        matrix = matrix.reshape(shape[1], shape[0], *shape[2:]).swapaxes(0, 1)
    parameter.set_data(Tensor(matrix.reshape(shape).astype(np.float32)))


@each_layer
def test_sigma_converges_to_the_largest_singular_value(kind: str) -> None:
    stock, _, arguments, x = LAYERS[kind]
    layer = SpectralNorm(stock(**arguments))
    left, _, right = np.linalg.svd(RNG.normal(size=matrix_of(layer.layer).shape), full_matrices=False)
    set_matrix(layer.layer, left * (7.0, *[2.0] * (len(right) - 1)) @ right)
    layer.set_train(True)
    for _ in range(10):
        layer(Tensor(x))
    for training in (True, False):
        layer.set_train(training)
        assert layer.norm().asnumpy().item() == pytest.approx(7.0, rel=1e-5)


@each_layer
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    ("training", "iterations"), [(True, 1), pytest.param(True, 3, marks=pytest.mark.slow), (False, 1)]
)
def test_values_and_gradients_are_those_of_the_divided_weights(
    kind: str, fast: bool, training: bool, iterations: int
) -> None:
    stock, quick, arguments, inputs = LAYERS[kind]
    layer, divided = SpectralNorm((quick if fast else stock)(**arguments), iterations), stock(**arguments)
    matrix = RNG.normal(size=matrix_of(divided).shape)
    set_matrix(layer.layer, matrix)
    matrix = matrix_of(layer.layer)
    before = layer.u.asnumpy()[0].astype(np.float64)
    u, v = iterate(before, matrix, iterations)
    if not training:
        u, v = before, unit(matrix.T @ before)
    sigma = u @ matrix @ v
    set_matrix(divided, matrix / sigma)
    if kind != "Embedding":
        layer.layer.bias.set_data(Tensor(draw(4)))
        divided.bias.set_data(layer.layer.bias.value())
    x = Tensor(inputs)
    layer.set_train(training)
    outputs = layer(x).asnumpy()
    np.testing.assert_allclose(outputs, divided(x).asnumpy(), atol=1e-5)
    np.testing.assert_allclose(layer.u.asnumpy()[0], u, atol=1e-6)

    layer.u.set_data(Tensor(before[None].astype(np.float32)))
    out_grad = Tensor(draw(*outputs.shape))
    ours, theirs = (gradients(network, x, out_grad) for network in (layer, divided))
    for got, expected in zip(ours[1:], theirs[1:], strict=True):  # for the input, where it has one, and the bias
        np.testing.assert_allclose(got, expected, atol=1e-5)
    # Equation 12: what the divided weights would get, without its part along u v', over sigma.
    of_divided = as_matrix(divided, theirs[0])
    expected = (of_divided - (of_divided * matrix / sigma).sum() * np.outer(u, v)) / sigma
    np.testing.assert_allclose(as_matrix(divided, ours[0]), expected, atol=2e-5)


def as_matrix(layer: nn.Cell, gradient: np.ndarray) -> np.ndarray:
    gradient = gradient.swapaxes(0, 1) if isinstance(layer, nn.Conv2dTranspose) else gradient
    return gradient.reshape(matrix_of(layer).shape)


def gradients(network: nn.Cell, x: Tensor, out_grad: Tensor) -> list[np.ndarray]:
    """Return those for the weights, the bias and the input of a network, as far as it has them."""

    def total(inputs: Tensor) -> Tensor:
        return (network(inputs) * out_grad).sum()

    weights = network.trainable_params()
    if x.dtype != ms.float32:
        return [gradient.asnumpy() for gradient in ms.grad(total, None, weights)(x)]
    of_x, of_weights = ms.grad(total, 0, weights)(x)
    return [gradient.asnumpy() for gradient in (*of_weights, of_x)]


class Steep(nn.Cell):
    """The mean squared slope of a small network's scores, as a gradient penalty measures it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = SpectralNorm(nn.Dense(3, 4)), SpectralNorm(nn.Dense(4, 1))
        self.slope = ms.grad(self.total)

    def total(self, x: Tensor) -> Tensor:
        return self.second(ops.tanh(self.first(x))).sum()

    def construct(self, x: Tensor) -> Tensor:
        return ops.square(self.slope(x)).sum(axis=1).mean()


def test_gradients_of_gradients_in_a_compiled_step_are_finite_differences() -> None:
    network, x = Steep(), draw(5, 3)
    network.set_train(True)
    parameters = [network.first.layer.weight, network.first.layer.bias, network.second.layer.weight]
    values = [np.array(parameter.asnumpy(), np.float64) for parameter in parameters]
    starts = [cell.u.asnumpy()[0].astype(np.float64) for cell in (network.first, network.second)]
    pairs = [iterate(start, values[place]) for start, place in zip(starts, (0, 2), strict=True)]

    def penalty(w1: np.ndarray, b1: np.ndarray, w2: np.ndarray) -> float:
        (u1, v1), (u2, v2) = pairs
        w1, w2 = w1 / (u1 @ w1 @ v1), w2 / (u2 @ w2 @ v2)
        hidden = np.tanh(x @ w1.T + b1)
        return float(np.square(((1 - hidden**2) * w2) @ w1).sum(axis=1).mean())

    with graph_mode():
        value, found = ms.value_and_grad(network, None, parameters)(Tensor(x))
    assert float(value.asnumpy()) == pytest.approx(penalty(*values), rel=1e-5)
    for place, gradient in enumerate(found):
        for index in np.ndindex(values[place].shape):
            moved = []
            for step in (1e-5, -1e-5):
                changed = [one.copy() for one in values]
                changed[place][index] += step
                moved.append(penalty(*changed))
            expected = (moved[0] - moved[1]) / 2e-5
            assert float(gradient.asnumpy()[index]) == pytest.approx(expected, abs=1e-5), (place, index)
    for cell, (u, _) in zip((network.first, network.second), pairs, strict=True):
        np.testing.assert_allclose(cell.u.asnumpy()[0], u, atol=1e-6)


class Normalised(TinyDiscriminator):
    """Images (N, 1, 4, 4) to logits (N, 1), every layer of it normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            SpectralNorm(nn.Conv2d(1, 4, 4, 2, pad_mode="pad", padding=1, has_bias=True)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            SpectralNorm(nn.Dense(16, 1)),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, images: np.ndarray) -> Runner:
    """Return the runner of a finished run of two epochs, which has kept the checkpoint of step 3 of 10."""
    runner = tiny_runner(tmp_path_factory.mktemp("spectral") / "whole", discriminator=Normalised)
    runner.train(2, images, [Checkpoint(Every.steps(3), keep=None)], batch_size=4, quiet=True)
    return runner


@pytest.mark.slow
def test_a_run_resumed_in_mid_epoch_ends_in_the_same_bytes(whole: Runner, images: np.ndarray) -> None:
    shutil.copytree(whole.out_dir, "parts")
    parts = tiny_runner("parts", discriminator=Normalised, resume=3)
    parts.train(2, images, [Checkpoint(Every.steps(3), keep=None)], batch_size=4, quiet=True)
    assert_same_weights(weights_of(whole), weights_of(parts))
    kept = [
        (folder / "checkpoints/step-00000009/weights.safetensors").read_bytes()
        for folder in (whole.out_dir, Path("parts"))
    ]
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_each_call_of_the_discriminator_in_a_step_iterates_once() -> None:
    players = tiny_players(discriminator=Normalised)
    real, noise = draw(4, 1, 4, 4).clip(-1, 1), draw(4, 3)
    players.compile_for(real, noise)
    before = players.weights()
    train_step(players, real, noise)
    after = players.weights()
    weight, u = "discriminator.layers.0.layer.weight", "discriminator.layers.0.u"
    # Real and fake as one batch with the weights as they were; then the generator's turn, with the new ones.
    expected = before[u][0].astype(np.float64)
    for weights in (before, after):
        expected, _ = iterate(expected, weights[weight].reshape(4, -1).astype(np.float64))
    np.testing.assert_allclose(after[u][0], expected, atol=1e-6)
    players.score(real)
    np.testing.assert_array_equal(players.weights()[u], after[u])  # nothing moves in evaluation
    assert players.accelerated == {"BatchNorm1d": 1, "Conv2d": 1, "Dense": 3, "LeakyReLU": 1, "SequentialCell": 2}


def test_real_and_fake_still_share_a_batch_where_the_norm_is_far_from_found() -> None:
    players = tiny_players(discriminator=Normalised)
    for name, parameter in players.parameters().items():
        if name.endswith(".u"):  # between the smallest singular vector and the largest, where it turns fastest
            matrix = players.weights()[name.replace(".u", ".layer.weight")].reshape(parameter.shape[1], -1)
            left = np.linalg.svd(matrix)[0]
            parameter.set_data(Tensor(unit(left[:, -1:] + 0.5 * left[:, :1]).T))
    before = players.weights()
    real, noise = draw(4, 1, 4, 4).clip(-1, 1), draw(4, 3)
    assert probe_networks(players.generator, players.discriminator, real, noise).joined
    assert_same_weights(before, players.weights())


@pytest.mark.slow
def test_the_start_follows_from_the_seed() -> None:
    one, again, other = (tiny_players(discriminator=Normalised, seed=seed).weights() for seed in (0, 0, 1))
    assert_same_weights(one, again)
    assert not np.array_equal(one["discriminator.layers.0.u"], other["discriminator.layers.0.u"])


def test_weights_that_become_zero_give_zero_and_not_nan() -> None:
    layer = SpectralNorm(nn.Dense(3, 2, has_bias=False))
    layer.layer.weight.set_data(Tensor(np.zeros((2, 3), np.float32)))
    for training in (True, False):
        layer.set_train(training)
        np.testing.assert_array_equal(layer(Tensor(draw(4, 3))).asnumpy(), 0)


@pytest.mark.parametrize(
    "compiled", [pytest.param(False, marks=pytest.mark.slow), True], ids=["eager", "compiled"]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: SpectralNorm(nn.Conv2dTranspose(2, 3, 2)).to_float(ms.float16),
        lambda: SpectralNorm(nn.Dense(4, 3, dtype=ms.float16)),
        lambda: SpectralNorm(nn.Dense(4, 3).to_float(ms.float16)),
    ],
    ids=["to_float", "half weights", "to_float of the layer"],
)
def test_half_precision_has_the_norm_of_single_precision(make: Any, compiled: bool) -> None:
    layer = make()
    weight = layer.layer.weight
    small = 1e-3 * draw(*weight.shape)  # whose squares half precision does not hold
    weight.set_data(Tensor(small, weight.dtype))
    half = weight.dtype == ms.float16
    x = Tensor(draw(2, 4) if weight.ndim == 2 else draw(2, 2, 3, 3), ms.float16 if half else ms.float32)
    layer.set_train(True)
    if compiled:
        with graph_mode():
            made = [layer(x).asnumpy() for _ in range(30)][-1]
    else:
        made = [layer(x).asnumpy() for _ in range(30)][-1]
    matrix = small.transpose(1, 0, 2, 3).reshape(3, -1) if weight.ndim == 4 else small
    plain = type(layer.layer)(*((2, 3, 2) if weight.ndim == 4 else (4, 3)))
    plain.weight.set_data(Tensor(small))
    if weight.ndim == 2:
        plain.bias.set_data(layer.layer.bias.astype(ms.float32))
    expected = plain(Tensor(x.asnumpy().astype(np.float32) / np.linalg.norm(matrix, 2))).asnumpy()
    assert made.dtype == np.float16
    np.testing.assert_allclose(made, expected, atol=0.05 * np.abs(expected).max())


KINDS = "SpectralNorm requires a layer of type Dense, Conv2d, Conv2dTranspose, Embedding, not "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpectralNorm(nn.ReLU()), KINDS + "a ReLU"),
        (lambda: SpectralNorm(nn.BatchNorm2d(3)), KINDS + "a BatchNorm2d"),
        (lambda: SpectralNorm(nn.SequentialCell(nn.Dense(3, 3))), KINDS + "a SequentialCell"),
        (lambda: SpectralNorm(SpectralNorm(nn.Dense(3, 3))), KINDS + "a SpectralNorm"),
        (lambda: SpectralNorm(nn.Dense), KINDS + "the class Dense"),
        (lambda: SpectralNorm(None), KINDS + "a NoneType"),
        (lambda: SpectralNorm(nn.Dense(3, 3, weight_init="zeros")), "the weights of Dense .*: all are zero"),
        (lambda: SpectralNorm(nn.Dense(3, 3), 0), "takes a whole number of at least 1, not 0"),
        (lambda: SpectralNorm(nn.Dense(3, 3), iterations=1.5), "takes a whole number of at least 1, not 1.5"),
        (lambda: SpectralNorm(nn.Dense(3, 3), iterations=True), "takes a whole number of at least 1, not True"),
    ],
)
def test_what_cannot_be_normalised_is_one_line(make: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
