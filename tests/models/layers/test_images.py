"""Instance normalisation, upsampling and padding by reflection: against stock layers, or against formulas."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
import pytest
from conftest import tiny_players, train_step
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor, nn, ops

from models.layers.test_equality import Alone, BatchLast, draw, flat, many_shapes, same
from ms_gan_callbacks import GradientPenalty
from ms_gan_callbacks.models import layers
from ms_gan_callbacks.models.networks import graph_mode


class ByFormula(nn.InstanceNorm2d):  # type: ignore[misc]
    """The stock layer's parameters with the formula (arXiv:1607.08022), whose derivatives MindSpore finds."""

    def construct(self, x: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), True)
        normal = centred / ops.sqrt((centred * centred).mean((2, 3), True) + self.eps)
        return normal * self.gamma.reshape(1, -1, 1, 1) + self.beta.reshape(1, -1, 1, 1)


class ByBroadcast(nn.Cell):  # type: ignore[misc]
    """Upsampling by 2 vertically and 3 horizontally."""

    def construct(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        copies = ops.broadcast_to(x.reshape(batch, channels, height, 1, width, 1), (-1, -1, -1, 2, -1, 3))
        return copies.reshape(batch, channels, 2 * height, 3 * width)


class BySlices(nn.Cell):  # type: ignore[misc]
    """Reflection of 2 columns on the left, none on the right, 1 row at the top and 3 at the bottom, of 5 x 4."""

    def construct(self, x: Tensor) -> Tensor:
        x = ops.concat((x[:, :, 1:2], x, x[:, :, 3:4], x[:, :, 2:3], x[:, :, 1:2]), 2)
        return ops.concat((x[:, :, :, 2:3], x[:, :, :, 1:2], x), 3)


@pytest.mark.slow
@many_shapes
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), st.floats(1e-5, 1e-1), st.booleans())
def test_instance_norm_2d(batch: int, channels: int, size: int, eps: float, training: bool) -> None:
    fast, formula = layers.InstanceNorm2d(channels, eps), ByFormula(channels, eps)
    same(fast, formula, (batch, channels, size, size + 1), training)
    same(BatchLast(fast), Alone(formula), (batch, channels, size, size + 1), training)


@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm_2d_begins_with_the_stock_parameters(affine: bool) -> None:
    fast, stock = (kind(3, affine=affine, beta_init=0.5) for kind in (layers.InstanceNorm2d, nn.InstanceNorm2d))
    ours, theirs = ([*one.get_parameters()] for one in (fast, stock))
    assert [p.name for p in ours] == [p.name for p in theirs] == ["mean", "variance", "gamma", "beta"]
    assert [p.requires_grad for p in ours] == [p.requires_grad for p in theirs]
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.asnumpy(), its.asnumpy())
    x = 3 + 2 * np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    made = fast(Tensor(x)).asnumpy()
    np.testing.assert_allclose(made.mean((2, 3)), 0.5, atol=1e-5)
    np.testing.assert_allclose(made.std((2, 3)), 1, atol=1e-4)


def test_an_image_is_normalised_whatever_the_others_of_its_batch_are() -> None:
    layer, x = layers.InstanceNorm2d(2), draw((9, 2, 4, 4), 1)
    for each in (layer, BatchLast(layer)):
        np.testing.assert_allclose(each(x).asnumpy()[:2], each(x[:2]).asnumpy(), atol=1e-6)


factors = st.integers(1, 3).map(float)


@many_shapes
@given(st.one_of(factors, st.tuples(factors, factors)), st.tuples(*[st.integers(1, 9)] * 4))
def test_upsample(factor: Any, shape: tuple[int, ...]) -> None:
    arguments = {"scale_factor": factor, "mode": "nearest", "recompute_scale_factor": True}
    fast, stock = layers.Upsample(**arguments), nn.Upsample(**arguments)
    same_without_weights(fast, stock, shape)
    same_without_weights(BatchLast(fast), stock, shape)


@many_shapes
@given(
    st.tuples(*[st.integers(0, 3)] * 4), st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(4, 6)] * 2)
)
def test_reflection_pad_2d(sides: Any, channels: tuple[int, int], size: tuple[int, int]) -> None:
    fast, stock = layers.ReflectionPad2d(sides), nn.ReflectionPad2d(sides)
    same_without_weights(fast, stock, (*channels, *size))
    same_without_weights(fast, stock, (*channels[:1], *size))
    same_without_weights(BatchLast(fast), stock, (*channels, *size))


def same_without_weights(fast: nn.Cell, stock: nn.Cell, shape: tuple[int, ...]) -> None:
    """Check the output, to the bit, and the gradient for the input."""
    x = draw(shape, 1)
    gradient = ops.GradOperation(sens_param=True)
    expected = stock(x)
    np.testing.assert_array_equal(fast(x).asnumpy(), expected.asnumpy())
    sensitivity = draw(expected.shape, 2)
    slopes = [gradient(one)(x, sensitivity).asnumpy() for one in (fast, stock)]
    np.testing.assert_allclose(*slopes, rtol=1e-5, atol=1e-5)


class Penalty(nn.Cell):  # type: ignore[misc]
    """The squared gradient of a sum of curved outputs, and its gradients, which are second derivatives."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer, self.slope = layer, ops.GradOperation()
        self.gradient = ms.value_and_grad(self.penalty, 0, layer.trainable_params() or None)

    def score(self, x: Tensor) -> Tensor:
        return ops.tanh(self.layer(x)) ** 3

    def penalty(self, x: Tensor) -> Tensor:
        return ops.square(self.slope(self.score)(x)).sum()

    def construct(self, x: Tensor) -> Any:
        return self.gradient(x)


TWICE = {
    "InstanceNorm2d": (layers.InstanceNorm2d, ByFormula, (3,)),
    "Upsample": (layers.Upsample, lambda *_: ByBroadcast(), (None, (2.0, 3.0), "nearest", None, True)),
    "ReflectionPad2d": (layers.ReflectionPad2d, lambda *_: BySlices(), ((2, 0, 1, 3),)),
}


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [Alone, BatchLast], ids=["batch first", "batch last"])
@pytest.mark.parametrize("kind", TWICE)
def test_second_derivatives(kind: str, wrap: type[Alone]) -> None:
    fast, formula, arguments = TWICE[kind]
    x, found = draw((9, 3, 5, 4), 1), []
    for layer in (wrap(fast(*arguments)), formula(*arguments)):
        for seed, parameter in enumerate(layer.trainable_params()):
            parameter.set_data(draw(parameter.shape, 10 + seed))
        with graph_mode():
            found.append([*flat(layer(x)), *flat(Penalty(layer)(x))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def stack(kinds: list[str], channels: int, size: int, norm: type[nn.Cell]) -> nn.SequentialCell:
    """Return stock layers for images (N, channels, size, size)."""
    cells: list[nn.Cell] = []
    for number, kind in enumerate(kinds):
        wide = number % 3 + 1
        if kind == "Conv2d":
            stride = 2 if size > 5 else 1
            cells.append(nn.Conv2d(channels, wide, 3, stride, pad_mode="pad", padding=1, has_bias=number % 2 == 0))
            channels, size = wide, -(-size // stride)
        elif kind == "Conv2dTranspose":
            cells.append(nn.Conv2dTranspose(channels, wide, 4, 2, pad_mode="pad", padding=1))
            channels, size = wide, 2 * size
        elif kind == "BatchNorm2d":
            cells.append(nn.BatchNorm2d(channels))
        elif kind == "InstanceNorm2d":
            cells.append(norm(channels, affine=number % 2 == 0))
        elif kind == "Upsample":
            cells.append(nn.Upsample(scale_factor=2.0, recompute_scale_factor=True))
            size *= 2
        elif kind == "ReflectionPad2d":
            cells += [nn.ReflectionPad2d((1, 2, 2, 1)), nn.LeakyReLU(0.2)]
            size += 3
    return nn.SequentialCell(*cells)


KINDS = ["Conv2d", "Conv2dTranspose", "BatchNorm2d", "InstanceNorm2d", "Upsample", "ReflectionPad2d"]
ENDS = ["Conv2d", "ReflectionPad2d", "Conv2d"]


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(KINDS), max_size=3), st.integers(1, 3), st.sampled_from([3, 8, 13]))
@pytest.mark.slow
def test_chains(kinds: list[str], channels: int, batch: int) -> None:
    kinds = ["Conv2d", "Upsample", "InstanceNorm2d", *kinds, *ENDS]
    fast, stock = (stack(kinds, channels, 6, norm) for norm in (nn.InstanceNorm2d, ByFormula))
    layers.accelerate(fast)
    assert type(fast) is layers.SequentialCell
    assert all(last or plain for last, plain in zip(fast.batch_last, fast.elementwise, strict=True))
    same(fast, stock, (batch, channels, 6, 6), chain=True)


@pytest.mark.slow
def test_a_compiled_chain() -> None:
    kinds = ["Conv2d", "InstanceNorm2d", "Upsample", "Conv2d"]
    fast, stock = (stack(kinds, 2, 6, norm) for norm in (nn.InstanceNorm2d, ByFormula))
    layers.accelerate(fast)
    with graph_mode():
        same(fast, stock, (8, 2, 6, 6), chain=True)


def test_accelerate_replaces_the_forms_it_can_reproduce() -> None:
    up = {"mode": "nearest", "recompute_scale_factor": True}
    network = nn.SequentialCell(
        nn.InstanceNorm2d(3),
        nn.Upsample(scale_factor=2.0, **up),
        nn.Upsample(scale_factor=(1.0, 3.0), **up),
        nn.Upsample(scale_factor=[4.0, 2.0], **up),
        nn.ReflectionPad2d(2),
    )
    counts = {"InstanceNorm2d": 1, "ReflectionPad2d": 1, "Upsample": 3}
    assert layers.accelerate(network) == counts


@pytest.mark.parametrize(
    "layer",
    [
        nn.Upsample(scale_factor=2.5, recompute_scale_factor=True),
        nn.Upsample(scale_factor=0.5, recompute_scale_factor=True),
        nn.Upsample(scale_factor=2.0),
        nn.Upsample(scale_factor=2, recompute_scale_factor=True),
        nn.Upsample(scale_factor=(2.0, 2.0, 2.0), recompute_scale_factor=True),
        nn.Upsample(scale_factor=2.0, mode="bilinear", recompute_scale_factor=True),
        nn.Upsample(scale_factor=2.0, align_corners=False, recompute_scale_factor=True),
        nn.Upsample(size=(8, 8)),
        nn.ReflectionPad2d((1, 2)),
        ByFormula(3),
    ],
)
def test_accelerate_leaves_other_forms(layer: nn.Cell) -> None:
    kind = type(layer)
    assert layers.accelerate(nn.SequentialCell(layer)) == {}
    assert type(layer) is kind


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 4, 4)])
def test_upsample_of_other_ranks_is_the_stock_layers(shape: tuple[int, ...]) -> None:
    arguments = {"scale_factor": 2.0, "mode": "nearest", "recompute_scale_factor": True}
    x = draw(shape, 1)
    made, expected = (kind(**arguments)(x).asnumpy() for kind in (layers.Upsample, nn.Upsample))
    np.testing.assert_array_equal(made, expected)


def test_upsample_copies_infinities() -> None:
    x = np.array([[[[1, np.inf], [np.nan, -np.inf]]]], np.float32)
    layer = layers.Upsample(scale_factor=2.0, recompute_scale_factor=True)
    for each in (layer, BatchLast(layer)):
        np.testing.assert_array_equal(each(Tensor(x)).asnumpy(), x.repeat(2, 2).repeat(2, 3))


@pytest.mark.parametrize("wrap", [Alone, BatchLast], ids=["batch first", "batch last"])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.InstanceNorm2d(1), (9, 3, 4, 4)),
        (layers.InstanceNorm2d(3), (9, 1, 4, 4)),
        (layers.ReflectionPad2d((0, 0, 4, 0)), (9, 3, 4, 9)),
        (layers.ReflectionPad2d((0, 4, 0, 0)), (9, 3, 9, 4)),
    ],
)
def test_images_that_do_not_fit_are_refused(layer: nn.Cell, shape: tuple[int, ...], wrap: type[Alone]) -> None:
    with pytest.raises(ValueError, match=r"InstanceNorm2d takes images of shape \(N, |[Pp]adding"):
        wrap(layer)(draw(shape, 1)).asnumpy()


class Critic(nn.Cell):  # type: ignore[misc]
    """Images (N, 1, 4, 4) to scores, by layers that have no second derivative in MindSpore."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.ReflectionPad2d(1),
            nn.Conv2d(1, 2, 3, 2, pad_mode="valid"),
            nn.InstanceNorm2d(2),
            nn.Upsample(scale_factor=2.0, recompute_scale_factor=True),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Dense(32, 1),
        )

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [4, 9])
def test_a_critic_of_them_trains_with_a_penalty(batch: int) -> None:
    players = tiny_players(discriminator=Critic, penalty=GradientPenalty())
    rng = np.random.default_rng(0)
    real, noise = rng.uniform(-1, 1, (batch, 1, 4, 4)).astype(np.float32), rng.normal(size=(batch, 3))
    noise = noise.astype(np.float32)
    before = players.weights()
    players.compile_for(real, noise)
    share = rng.uniform(size=(batch, 1, 1, 1)).astype(np.float32)
    assert np.isfinite(train_step(players, real, noise, drawn=share).asnumpy()).all()
    after = players.weights()
    for name in ("discriminator.layers.1.weight", "discriminator.layers.2.gamma"):
        assert not np.array_equal(before[name], after[name])
