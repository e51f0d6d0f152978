"""Every fast layer against the stock one with the same weights: values and all gradients, over many shapes."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor, nn, ops

from ms_gan_callbacks.models import layers
from ms_gan_callbacks.models.layers import convolution
from ms_gan_callbacks.models.layers.batch_last import move_batch_first, move_batch_last, transpose
from ms_gan_callbacks.models.layers.correlation import SpreadTiles
from ms_gan_callbacks.models.networks import graph_mode

# Eager, so that a shape costs milliseconds; compiled graphs have tests of their own below.
many_shapes = settings(max_examples=8, deadline=None, derandomize=True)


class Both(nn.Cell):  # type: ignore[misc]
    """A layer's output, and its gradients for the input and the weights, for a given gradient of the output."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer = layer
        self.gradient = ops.GradOperation(get_all=True, get_by_list=True, sens_param=True)
        self.weights = ms.ParameterTuple(layer.trainable_params())

    def construct(self, x: Tensor, sensitivity: Tensor) -> tuple[Any, ...]:
        return self.gradient(self.layer, self.weights)(x, sensitivity)


def flat(values: Any) -> list[np.ndarray]:
    if isinstance(values, (tuple, list)):
        return [array for value in values for array in flat(value)]
    return [values.asnumpy()]


def draw(shape: tuple[int, ...], seed: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def same(
    fast: nn.Cell, stock: nn.Cell, shape: tuple[int, ...], training: bool = True, chain: bool = False
) -> None:
    """Check outputs, gradients and what else the layers keep, 1e-5 of the largest entry; of all in a chain.

    A gradient before a BatchNorm can be nothing but rounding.
    """
    assert [p.name for p in fast.get_parameters()] == [p.name for p in stock.get_parameters()]
    for seed, (ours, theirs) in enumerate(zip(fast.get_parameters(), stock.get_parameters(), strict=True)):
        assert ours.shape == theirs.shape
        value = draw(theirs.shape, 100 + seed)
        ours.set_data(abs(value))
        theirs.set_data(abs(value))
    x = draw(shape, 1)
    fast.set_train(training)
    stock.set_train(training)
    expected = stock(x)
    sensitivity = draw(expected.shape, 2)
    pairs = [(fast(x).asnumpy(), expected.asnumpy())]
    pairs += zip(flat(Both(fast)(x, sensitivity)), flat(Both(stock)(x, sensitivity)), strict=True)
    pairs += [
        (a.asnumpy(), b.asnumpy()) for a, b in zip(fast.get_parameters(), stock.get_parameters(), strict=True)
    ]
    largest = max(np.abs(theirs).max() for _, theirs in pairs)
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        scale = largest if chain else np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * max(scale, 1.0))


class Alone(nn.Cell):  # type: ignore[misc]
    """A layer."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer = layer

    def construct(self, x: Tensor) -> Tensor:
        return self.layer(x)


class BatchLast(Alone):
    """A fast layer with its batch moved to the last axis and back."""

    def construct(self, x: Tensor) -> Tensor:
        return move_batch_first(self.layer.run_batch_last(move_batch_last(x)))


@st.composite
def convolutions(draw_: Any, transposed: bool) -> tuple[dict[str, Any], tuple[int, ...]]:
    kernel = draw_(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw_(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw_(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    mode = draw_(st.sampled_from(["pad", "same", "valid"]))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    # A stock convolution takes no more padding than its kernel reaches.
    sides = [draw_(st.integers(0, reach[axis] - 1)) for axis in (0, 0, 1, 1)]
    padding: Any = draw_(st.sampled_from([tuple(sides), min(sides)])) if mode == "pad" else 0
    size = [draw_(st.integers(reach[axis], reach[axis] + 6)) for axis in (0, 1)]
    if transposed:
        size = [draw_(st.integers(2, 6)) for _ in (0, 1)]
    channels, outputs, batch = draw_(st.integers(1, 4)), draw_(st.integers(1, 4)), draw_(st.integers(1, 3))
    settings_ = {
        "in_channels": channels,
        "out_channels": outputs,
        "kernel_size": kernel,
        "stride": stride,
        "pad_mode": mode,
        "padding": padding,
        "dilation": dilation,
        "has_bias": draw_(st.booleans()),
    }
    return settings_, (batch, channels, *size)


@many_shapes
@given(convolutions(transposed=False))
def test_conv2d(case: tuple[dict[str, Any], tuple[int, ...]]) -> None:
    arguments, shape = case
    same(layers.Conv2d(**arguments), nn.Conv2d(**arguments), shape)
    same(BatchLast(layers.Conv2d(**arguments)), Alone(nn.Conv2d(**arguments)), shape)


@many_shapes
@given(convolutions(transposed=True))
def test_conv2d_transpose(case: tuple[dict[str, Any], tuple[int, ...]]) -> None:
    arguments, shape = case
    same(layers.Conv2dTranspose(**arguments), nn.Conv2dTranspose(**arguments), shape)
    same(BatchLast(layers.Conv2dTranspose(**arguments)), Alone(nn.Conv2dTranspose(**arguments)), shape)


@st.composite
def tiles(draw_: Any) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Draw a transposed convolution that is done in tiles: a kernel of whole strides, many channels out of few."""
    stride = draw_(st.tuples(st.integers(2, 3), st.integers(1, 3)))
    kernel = tuple(one * draw_(st.integers(2, 3)) for one in stride)
    mode = draw_(st.sampled_from(["pad", "same", "valid"]))
    size = [draw_(st.integers(1, 5)) for _ in (0, 1)]
    # So that the padding leaves something of the image.
    sides = tuple(draw_(st.integers(0, kernel[axis] // 2 - (size[axis] == 1))) for axis in (0, 0, 1, 1))
    settings_ = {
        "in_channels": draw_(st.integers(1, 2)),
        "out_channels": draw_(st.integers(4, 6)),
        "kernel_size": kernel,
        "stride": stride,
        "pad_mode": mode,
        "padding": sides if mode == "pad" else 0,
        "has_bias": draw_(st.booleans()),
    }
    return settings_, (draw_(st.integers(1, 3)), settings_["in_channels"], *size)


@many_shapes
@given(tiles())
def test_conv2d_transpose_in_tiles(case: tuple[dict[str, Any], tuple[int, ...]]) -> None:
    arguments, shape = case
    fast = layers.Conv2dTranspose(**arguments)
    assert fast.in_tiles
    assert type(fast.spread) is SpreadTiles
    same(fast, nn.Conv2dTranspose(**arguments), shape)
    same(BatchLast(fast), Alone(nn.Conv2dTranspose(**arguments)), shape)


@pytest.mark.parametrize("kept", [0, 2**24], ids=["windows gathered twice", "windows kept"])
@pytest.mark.parametrize("size", [(4, 6), (5, 7)], ids=["even", "with pixels that no window reaches"])
def test_conv2d_whose_gradient_is_in_tiles_where_windows_end_at_the_border(
    size: tuple[int, int], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "MOST_KEPT", kept)
    arguments: dict[str, Any] = {"in_channels": 5, "out_channels": 2, "kernel_size": 4, "stride": 2}
    fast = layers.Conv2d(**arguments, pad_mode="pad", padding=1)
    assert type(fast.correlate.spread) is type(fast.correlate_lean.spread) is SpreadTiles
    same(BatchLast(fast), Alone(nn.Conv2d(**arguments, pad_mode="pad", padding=1)), (3, 5, *size))


@many_shapes
@given(st.integers(1, 3), st.integers(1, 3), st.integers(3, 7), st.integers(3, 7), st.integers(2, 9))
def test_avg_pool_2d_in_batch_last_layout(kernel: int, stride: int, height: int, width: int, batch: int) -> None:
    fast, stock = layers.AvgPool2d(kernel, stride), nn.AvgPool2d(kernel, stride)
    same(BatchLast(fast), Alone(stock), (batch, 2, height, width))


@many_shapes
@given(st.integers(2, 9), st.integers(1, 4), st.integers(1, 4), st.floats(0, 1))
def test_batch_norm_2d_in_batch_last_layout(batch: int, channels: int, size: int, momentum: float) -> None:
    fast, stock = (kind(channels, momentum=momentum) for kind in (layers.BatchNorm2d, nn.BatchNorm2d))
    same(BatchLast(fast), Alone(stock), (batch, channels, size + 1, size))


@many_shapes
@given(st.lists(st.integers(1, 140), min_size=1, max_size=2), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_dense(batch: list[int], inputs: int, outputs: int, bias: bool) -> None:
    fast, stock = (kind(inputs, outputs, has_bias=bias) for kind in (layers.Dense, nn.Dense))
    same(fast, stock, (*batch[:1], *(size % 5 + 1 for size in batch[1:]), inputs))


@many_shapes
@given(st.integers(2, 140), st.integers(1, 9), st.floats(0, 1), st.floats(1e-5, 1e-1), st.booleans())
def test_batch_norm_1d(rows: int, features: int, momentum: float, eps: float, training: bool) -> None:
    fast, stock = (kind(features, eps=eps, momentum=momentum) for kind in (layers.BatchNorm1d, nn.BatchNorm1d))
    if training:
        same(fast, stock, (rows, features))
    else:
        for ours, theirs in zip(fast.get_parameters(), stock.get_parameters(), strict=True):
            ours.set_data(theirs)
        fast.set_train(False)
        stock.set_train(False)
        x = draw((rows, features), 1)
        np.testing.assert_array_equal(fast(x).asnumpy(), stock(x).asnumpy())


@pytest.mark.parametrize("batch", [True, False])
def test_batch_norm_1d_that_is_told_which_statistics_to_use(batch: bool) -> None:
    fast, stock = (kind(4, use_batch_statistics=batch) for kind in (layers.BatchNorm1d, nn.BatchNorm1d))
    same(fast, stock, (6, 4))
    fast, stock = (
        of_cells(of_dense(5, 4), of_norm(4, use_batch_statistics=batch), nn.ReLU())
        for of_cells, of_dense, of_norm in (
            (layers.SequentialCell, layers.Dense, layers.BatchNorm1d),
            (nn.SequentialCell, nn.Dense, nn.BatchNorm1d),
        )
    )
    same(fast, stock, (6, 5))


@many_shapes
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.floats(-0.5, 1.5))
def test_leaky_relu(shape: list[int], alpha: float) -> None:
    same(layers.LeakyReLU(alpha), nn.LeakyReLU(alpha), tuple(shape))


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_leaky_relu_at_zero_has_the_stock_gradient_of_a_tie(alpha: float) -> None:
    x = Tensor(np.zeros((2, 2), np.float32))
    ours, theirs = (ms.grad(kind(alpha))(x).asnumpy() for kind in (layers.LeakyReLU, nn.LeakyReLU))
    assert ((ours >= alpha - 1e-6) & (ours <= 1)).all()  # a subgradient, as is the stock one
    assert ((theirs >= alpha - 1e-6) & (theirs <= 1)).all()


def stack(kinds: list[str], widths: list[int]) -> nn.SequentialCell:
    """Return stock layers in a row, the first for rows of ``widths[0]``."""
    cells: list[nn.Cell] = []
    sizes = iter(widths)
    width = next(sizes)
    for kind in kinds:
        if kind == "Dense":
            narrow, width = width, next(sizes)
            cells.append(nn.Dense(narrow, width, has_bias=width % 2 == 0))
        elif kind == "activated Dense":
            cells.append(nn.Dense(width, width, activation="tanh"))
        elif kind == "BatchNorm1d":
            cells.append(nn.BatchNorm1d(width))
        else:
            cells.append(nn.LeakyReLU(0.2) if kind == "LeakyReLU" else getattr(nn, kind)())
    return nn.SequentialCell(*cells)


@many_shapes
@given(
    st.lists(
        st.sampled_from(
            ["Dense", "BatchNorm1d", "ReLU", "LeakyReLU", "Tanh", "Softmax", "activated Dense", "Identity"]
        ),
        max_size=4,
    ),
    st.lists(st.integers(1, 9), min_size=7, max_size=7),
    st.integers(8, 140),
)
def test_sequential_cell(kinds: list[str], widths: list[int], rows: int) -> None:
    kinds = ["Dense", "Tanh", "Dense", *kinds]
    fast, stock = stack(kinds, widths), stack(kinds, widths)
    layers.accelerate(fast)
    assert type(fast) is layers.SequentialCell
    same(fast, stock, (rows, widths[0]))


def stack_images(kinds: list[str], channels: int, size: int) -> nn.SequentialCell:
    """Return stock layers in a row for images (N, channels, size, size), ending in a Dense of features."""
    cells: list[nn.Cell] = []
    for number, kind in enumerate(kinds):
        wide = number % 3 + 1
        if kind == "down":
            cells.append(nn.Conv2d(channels, wide, 3, 2, pad_mode="pad", padding=1, has_bias=number % 2 == 0))
            channels, size = wide, (size + 1) // 2
        elif kind == "up":
            cells.append(nn.Conv2dTranspose(channels, wide, 4, 2, pad_mode="pad", padding=1))
            channels, size = wide, 2 * size
        elif kind == "sequence":
            inner = nn.SequentialCell(nn.Conv2d(channels, wide, 1), nn.BatchNorm2d(wide), nn.ReLU())
            cells.append(inner)
            channels = wide
        elif kind == "AvgPool2d" and size > 1:
            cells.append(nn.AvgPool2d(2, 1))
            size -= 1
        elif kind == "SpectralNorm":
            cells.append(layers.SpectralNorm(nn.Conv2d(channels, channels, 3)))
        elif kind == "there and back":
            cells += [nn.Flatten(), nn.Dense(channels * size**2, channels * size**2)]
            cells.append(nn.Unflatten(1, (channels, size, size)))
        else:
            cells.append(nn.BatchNorm2d(channels) if kind == "BatchNorm2d" else nn.Softmax(1))
    return nn.SequentialCell(*cells, nn.LeakyReLU(0.2), nn.Flatten(), nn.Dense(channels * size**2, 2))


KINDS = ["down", "up", "sequence", "AvgPool2d", "there and back", "BatchNorm2d", "Softmax"]


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(KINDS), max_size=5), st.integers(1, 3), st.integers(4, 9), st.sampled_from([3, 8, 13])
)
def test_sequential_cell_of_images(kinds: list[str], channels: int, size: int, batch: int) -> None:
    fast, stock = (stack_images(["down", "BatchNorm2d", *kinds], channels, size) for _ in range(2))
    layers.accelerate(fast)
    assert type(fast) is layers.SequentialCell
    same(fast, stock, (batch, channels, size, size), chain=True)


def test_sequential_cell_passes_through_spectral_norm() -> None:
    kinds = ["down", "SpectralNorm", "SpectralNorm"]
    fast, stock = (stack_images(kinds, 2, 6) for _ in range(2))
    layers.accelerate(fast)
    assert fast.batch_last[1] and fast.batch_last[2]
    same(fast, stock, (8, 2, 6, 6))


class Residual(nn.Cell):  # type: ignore[misc]
    """Images (N, 2, 6, 6) through two blocks x + f(x), and a branch joined by its channels, as in a U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.CellList(
            [nn.SequentialCell(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3)) for _ in range(2)]
        )
        self.down = nn.SequentialCell(
            nn.Conv2d(2, 3, 4, 2, pad_mode="pad", padding=1), nn.BatchNorm2d(3), nn.ReLU()
        )
        self.up = nn.SequentialCell(nn.Conv2dTranspose(3, 2, 4, 2, pad_mode="pad", padding=1), nn.BatchNorm2d(2))
        self.last = nn.Conv2d(4, 1, 3, has_bias=True)

    def construct(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return self.last(ops.concat((x, self.up(self.down(x))), 1))


@pytest.mark.parametrize("batch", [pytest.param(2, marks=pytest.mark.slow), 9])
def test_networks_that_branch(batch: int) -> None:
    fast, stock = Residual(), Residual()
    counts = layers.accelerate(fast)
    assert counts["SequentialCell"] == 4
    same(fast, stock, (batch, 2, 6, 6))


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (5, 1), (3, 2), (40, 3), (1100, 257), (3, 40)])
def test_a_transpose_is_exact(rows: int, columns: int) -> None:
    x = draw((rows, columns), 1)
    np.testing.assert_array_equal(transpose(x).asnumpy(), x.asnumpy().T)


def test_an_infinite_entry_makes_the_others_of_its_row_nan_where_a_product_transposes() -> None:
    values = np.ones((40, 3), np.float32)
    values[7, 1] = np.inf
    turned = transpose(Tensor(values)).asnumpy()
    assert np.isinf(turned[1, 7])
    assert np.isnan(turned[[0, 2], 7]).all()
    assert (np.delete(turned, 7, 1) == 1).all()


def test_sequential_cell_of_more_than_rows_leaves_them_as_they_lie() -> None:
    fast, stock = (stack(["Dense", "Tanh", "Dense"], [4, 3, 2]) for _ in range(2))
    layers.accelerate(fast)
    same(fast, stock, (5, 6, 4))


def test_a_sequential_cell_that_is_changed_changes_what_it_hands_on_to_whom() -> None:
    fast, stock = (stack(["Dense", "Tanh", "Dense"], [4, 3, 2]) for _ in range(2))
    layers.accelerate(fast)
    for cell in (fast, stock):
        cell.append(nn.Softmax())
    same(fast, stock, (9, 4))
    for cell in (fast, stock):
        cell[1] = nn.Softmax()
    same(fast, stock, (9, 4))
    for cell in (fast, stock):
        del cell[1:]
    same(fast, stock, (9, 4))


COMPILED = [
    (layers.Conv2d, nn.Conv2d, (2, 5, 4, 2, "pad", 1), (3, 2, 8, 8)),
    (layers.Conv2dTranspose, nn.Conv2dTranspose, (2, 5, 4, 2, "pad", 1), (3, 2, 4, 4)),
    pytest.param(
        layers.Conv2dTranspose,
        nn.Conv2dTranspose,
        (5, 2, 4, 2, "pad", 1),
        (3, 5, 4, 4),
        marks=pytest.mark.slow,
    ),
    (layers.Dense, nn.Dense, (6, 5), (3, 6)),
    (layers.BatchNorm1d, nn.BatchNorm1d, (6,), (5, 6)),
    (layers.LeakyReLU, nn.LeakyReLU, (0.2,), (5, 6)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fast", "stock", "arguments", "shape"), COMPILED, ids=lambda value: str(value)[-30:])
def test_compiled(fast: Any, stock: Any, arguments: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    with graph_mode():
        same(fast(*arguments), stock(*arguments), shape)


@pytest.mark.parametrize(
    ("kind", "arguments", "shape"),
    [
        ("Conv2d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "group": 2}, (2, 4, 5, 5)),
        (
            "Conv2dTranspose",
            {
                "in_channels": 3,
                "out_channels": 2,
                "kernel_size": 3,
                "stride": 2,
                "pad_mode": "pad",
                "padding": 1,
                "output_padding": 1,
            },
            (2, 3, 4, 4),
        ),
    ],
)
def test_what_no_fast_layer_does_is_the_stock_layers(kind: str, arguments: dict[str, int], shape: Any) -> None:
    same(getattr(layers, kind)(**arguments), getattr(nn, kind)(**arguments), shape)
