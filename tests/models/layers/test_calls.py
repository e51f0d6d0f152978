"""What a layer's call does beside its construct: casts, hooks, recomputation. Fast layers pass none of it by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from conftest import tiny_players, train_step
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import accelerate
from ms_gan_callbacks.models import layers
from ms_gan_callbacks.models.networks import graph_mode
from ms_gan_callbacks.testing.tiny import TinyDiscriminator, TinyGenerator

Change = Callable[[nn.Cell], Any]


class Network(nn.Cell):
    """Images (N, 1, 4, 4) to scores, through every kind of layer: called by name, and in rows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 2, 2, pad_mode="valid", has_bias=True)
        self.up = nn.Conv2dTranspose(2, 1, 2, 2, pad_mode="valid", has_bias=True)
        self.leak = nn.LeakyReLU(0.3)
        self.rows = nn.SequentialCell(
            nn.Dense(16, 5), nn.LeakyReLU(0.2), nn.Dense(5, 4), nn.ReLU(), nn.Dense(4, 3)
        )
        self.last = nn.Dense(3, 1)

    def construct(self, images: Tensor) -> Tensor:
        images = self.leak(self.up(self.conv(images)))
        return self.last(self.rows(images.reshape(images.shape[0], -1)))


class Slopes(nn.Cell):
    """The sum of a network's outputs, and its gradients for the images and all weights."""

    def __init__(self, network: nn.Cell) -> None:
        super().__init__()
        self.slopes = ms.value_and_grad(network, 0, network.trainable_params())

    def construct(self, images: Tensor) -> Any:
        return self.slopes(images)


def double(_: nn.Cell, inputs: Any, output: Tensor) -> Tensor:
    return output * 2


def halve(_: nn.Cell, inputs: Any) -> Tensor:
    return inputs[0] * 0.5


def steepen(_: nn.Cell, into: Any, out_of: Any) -> Any:
    return (into[0] * 3,)


def steepen_first(_: nn.Cell, out_of: Any) -> Any:
    return (out_of[0] * 3,)


def shrink(weight: Tensor) -> Tensor:
    return weight * 0.5


def hook_weights(network: nn.Cell) -> None:
    network.register_parameter_forward_hook([{"params": [network.last.weight], "hook": shrink}])


CHANGES: dict[str, Change] = {
    "all in half precision": lambda network: network.to_float(ms.float16),
    "all in half precision by amp": lambda network: ms.amp.auto_mixed_precision(network, "O2"),
    "all in single precision": lambda network: network.to_float(ms.float32),
    "the last layer in half precision": lambda network: network.last.to_float(ms.float16),
    "a hook": lambda network: network.last.register_forward_hook(double),
    "a hook in a row": lambda network: network.rows[2].register_forward_hook(double),
    "a hook of an activation in a row": lambda network: network.rows[1].register_forward_hook(double),
    "a hook of a convolution": lambda network: network.conv.register_forward_hook(double),
    "a hook before": lambda network: network.up.register_forward_pre_hook(halve),
    "a hook before, in a row": lambda network: network.rows[2].register_forward_pre_hook(halve),
    "a hook of gradients": lambda network: network.conv.register_backward_hook(steepen),
    "a hook of gradients in a row": lambda network: network.rows[2].register_backward_hook(steepen),
    "a hook of gradients before": lambda network: network.leak.register_backward_pre_hook(steepen_first),
    "a hook of the row": lambda network: network.rows.register_forward_hook(double),
    "recomputed": lambda network: network.recompute(),
    "a recomputed layer": lambda network: network.rows[0].recompute(),
    "a flag": lambda network: network.set_boost("less_bn"),
    "a frozen weight": lambda network: setattr(network.rows[0].weight, "requires_grad", False),
    "another slope": lambda network: setattr(network.rows[1], "alpha", 0.7),
    "a slope that no fast layer has": lambda network: setattr(network.leak, "alpha", 1.5),
    "a layer's name for another": lambda network: setattr(network, "leak", network.rows[1]),
}
ONLY_COMPILED: dict[str, Change] = {"a hook of a weight": hook_weights}
"""MindSpore calls it in graphs only."""

IMAGES = Tensor(np.random.default_rng(0).normal(size=(3, 1, 4, 4)).astype(np.float32))


def slopes(change: Change, compiled: bool, fast: bool, late: bool = False) -> list[np.ndarray]:
    """Return what a network with a change, made before or after it is accelerated, makes of the images."""
    network = Network()
    for seed, parameter in enumerate(network.get_parameters()):
        value = np.random.default_rng(seed).normal(size=parameter.shape)
        parameter.set_data(Tensor(np.abs(value).astype(np.float32)))
    if not late:
        change(network)
    if fast:
        accelerate(network)
    if late:
        change(network)
    network.set_train(True)
    if compiled:
        with graph_mode():
            value, gradients = Slopes(network)(IMAGES)
    else:
        value, gradients = ms.value_and_grad(network, 0, network.trainable_params())(IMAGES)
    return [one.asnumpy() for one in (value, gradients[0], *gradients[1])]


def check_alike(what: str, compiled: bool, late: bool) -> None:
    change = (CHANGES | ONLY_COMPILED)[what]
    ours, theirs = slopes(change, compiled, True, late), slopes(change, compiled, False)
    coarse = 1e-2 if "half" in what else 1e-5
    for fast, stock in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(fast, stock, rtol=coarse, atol=coarse * np.abs(stock).max())


@pytest.mark.parametrize("late", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["before", "after"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_the_same_change_of_a_fast_network(what: str, late: bool) -> None:
    check_alike(what, compiled=False, late=late)


@pytest.mark.parametrize(
    ("what", "late"),
    [
        pytest.param("all in half precision", True, marks=pytest.mark.slow),
        ("a hook of a weight", False),
    ],
)
def test_a_change_is_the_same_change_of_a_compiled_fast_network(what: str, late: bool) -> None:
    check_alike(what, compiled=True, late=late)


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("what", CHANGES)
def test_every_change_is_the_same_change_of_a_compiled_fast_network(what: str, late: bool) -> None:
    check_alike(what, compiled=True, late=late)


def test_only_what_is_changed_stays_stock() -> None:
    network = Network()
    network.rows[2].register_forward_hook(double).remove()  # a hook that is gone is none
    network.last.register_forward_hook(double)
    network.conv.to_float(ms.float16)
    assert accelerate(network) == {"Conv2dTranspose": 1, "Dense": 3, "LeakyReLU": 2, "SequentialCell": 1}
    assert (type(network.last), type(network.conv)) == (nn.Dense, nn.Conv2d)


def test_hooks_see_rows_as_often_as_those_of_a_stock_network() -> None:
    seen: dict[bool, list[Any]] = {}
    for fast in (False, True):
        network, shapes = Network(), []
        if fast:
            accelerate(network)
        for layer in network.rows:
            layer.register_forward_hook(
                lambda cell, inputs, output, shapes=shapes: shapes.append((inputs[0].shape, output.shape))
            )
        network(IMAGES)
        network(IMAGES)
        seen[fast] = shapes
    assert seen[True] == seen[False]
    assert len(seen[True]) == 10


def test_a_layer_that_was_given_a_construct_of_its_own_keeps_it() -> None:
    network = nn.SequentialCell(nn.Dense(3, 4), nn.ReLU(), nn.Dense(4, 2))
    network[2].construct = lambda x: x * 2
    accelerate(network)
    x = Tensor(np.ones((3, 3), np.float32))
    np.testing.assert_allclose(network(x).asnumpy(), 2 * network[1](network[0](x)).asnumpy(), rtol=1e-5)


class Doubled(nn.Dense):
    """A subclass of a stock layer with a gradient of its own."""

    def construct(self, x: Tensor) -> Tensor:
        return super().construct(x) * 2

    def bprop(self, x: Tensor, out: Tensor, grad: Tensor) -> tuple[Tensor]:
        return (ops.ones_like(x) * 7,)


def test_a_gradient_of_somebodys_own_stays() -> None:
    network = nn.SequentialCell(nn.Dense(3, 4), nn.ReLU(), Doubled(4, 2))
    assert accelerate(network) == {"Dense": 1}
    x = Tensor(np.ones((3, 4), np.float32))
    np.testing.assert_array_equal(ms.grad(network[2])(x).asnumpy(), np.full((3, 4), 7, np.float32))


def test_weights_that_are_tied_or_replaced_are_those_that_are_used() -> None:
    network = nn.SequentialCell(nn.Dense(4, 4), nn.ReLU(), nn.Dense(4, 4), nn.Dense(4, 5))
    shared = network[0]
    accelerate(network)
    network[2].weight = shared.weight
    network[3].weight = ms.Parameter(Tensor(np.ones((2, 4), np.float32)), name="narrower")
    network[3].bias = ms.Parameter(Tensor(np.zeros(2, np.float32)), name="narrower bias")
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    weight, first, second = (one.asnumpy() for one in (shared.weight, shared.bias, network[2].bias))
    hidden = np.maximum(x @ weight.T + first, 0) @ weight.T + second
    for shape in ((3, 4), (1, 3, 4)):
        found = network(Tensor(x.reshape(shape))).asnumpy()
        assert found.shape == (*shape[:-1], 2)
        np.testing.assert_allclose(found.reshape(3, 2), hidden.sum(1, keepdims=True).repeat(2, 1), atol=1e-5)


@pytest.mark.parametrize("alpha", [ms.Parameter(Tensor(0.2), name="alpha"), Tensor(0.2), np.float32(0.2)])
def test_a_slope_that_is_no_plain_number_stays_stock(alpha: Any) -> None:
    network = nn.SequentialCell(nn.LeakyReLU(alpha))
    before = [parameter.name for parameter in network.get_parameters()]
    assert accelerate(network) == {}
    assert [parameter.name for parameter in network.get_parameters()] == before
    assert len(list(layers.LeakyReLU(alpha).get_parameters())) == len(before)


def halved(network: nn.Cell) -> nn.Cell:
    network.to_float(ms.float16)
    return network


class HalfGenerator(TinyGenerator):
    """Layers in half precision, images in single."""

    def __init__(self) -> None:
        super().__init__()
        self.layers.to_float(ms.float16)

    def construct(self, noise: Tensor) -> Tensor:
        return super().construct(noise).astype(ms.float32)


class LastInHalf(TinyDiscriminator):
    """One layer in half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.layers[2].to_float(ms.float16)


def recomputed(network: nn.Cell) -> nn.Cell:
    network.recompute()
    return network


def hooked(network: nn.Cell) -> nn.Cell:
    network.layers.register_forward_hook(double)
    network.layers[0].register_backward_hook(steepen)
    return network


def train(fast: bool, **networks: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the scalars of two steps, and the weights after them."""
    players = tiny_players(**networks, optimizer=partial(nn.SGD, learning_rate=0.1), accelerate=fast)
    draw = np.random.default_rng(0)
    batches = [[draw.normal(size=s).astype(np.float32) for s in ((4, 1, 4, 4), (4, 3))] for _ in range(2)]
    players.compile_for(*batches[0])
    return np.array([train_step(players, *batch).asnumpy().copy() for batch in batches]), players.weights()


def check_training(networks: dict[str, Any]) -> None:
    (our_scalars, ours), (their_scalars, theirs) = train(True, **networks), train(False, **networks)
    np.testing.assert_allclose(our_scalars, their_scalars, atol=2e-3)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-3, err_msg=name)


@pytest.mark.slow
def test_a_discriminator_in_half_precision_trains_as_with_stock_layers() -> None:
    check_training({"discriminator": lambda: halved(TinyDiscriminator())})


@pytest.mark.slow
@pytest.mark.parametrize(
    "networks",
    [
        {"generator": HalfGenerator},
        {"generator": HalfGenerator, "discriminator": lambda: halved(TinyDiscriminator())},
        {"discriminator": LastInHalf},
        {"discriminator": lambda: hooked(TinyDiscriminator()), "generator": lambda: hooked(TinyGenerator())},
        {
            "discriminator": lambda: recomputed(TinyDiscriminator()),
            "generator": lambda: recomputed(TinyGenerator()),
        },
    ],
    ids=["half generator", "both half", "half a layer", "hooks", "recomputed"],
)
def test_changed_networks_train_as_with_stock_layers(networks: dict[str, Any]) -> None:
    check_training(networks)
