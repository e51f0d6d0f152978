"""Whatever a stock layer refuses, its fast equal refuses; what both take, they make equal things of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tiny_players
from hypothesis import given, settings
from hypothesis import strategies as st
from mindspore import Tensor, nn

from ms_gan_callbacks import RecipeError
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.models import layers
from ms_gan_callbacks.models.networks import graph_mode

few = settings(max_examples=40, deadline=None, derandomize=True)
many = settings(max_examples=500, deadline=None)


def answer(layer: nn.Cell, x: Tensor) -> np.ndarray | Exception:
    """Return what a layer makes of an input, or what it refuses it with."""
    with contextlib.suppress(Exception):
        ms.runtime.synchronize()  # or an error of the input before may be raised by this one
    for seed, parameter in enumerate(layer.get_parameters()):
        value = np.random.default_rng(seed).normal(size=parameter.shape)
        parameter.set_data(Tensor(np.abs(value), parameter.dtype))
    layer.set_train(True)
    try:
        made: np.ndarray = layer(x).asnumpy()
    except Exception as error:
        return error
    return made


def check_alike(fast: nn.Cell, stock: nn.Cell, x: Tensor) -> None:
    """Fail where the fast layer takes what the stock one refuses, or makes something else of what both take."""
    ours, theirs = answer(fast, x), answer(stock, x)
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), f"{x.shape} {x.dtype}: {theirs}"
    elif theirs.size or not x.size:
        assert not isinstance(ours, Exception), f"{x.shape} {x.dtype}: {ours}"
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        coarse = 1e-2 if theirs.dtype == np.float16 else 1e-5
        np.testing.assert_allclose(ours, theirs, rtol=coarse, atol=coarse * max(abs(theirs).max(initial=0), 1))
    else:  # something becomes nothing at all
        assert isinstance(ours, ValueError)


@st.composite
def inputs(draw: Any, *shape: int) -> Tensor:
    """Draw an input of a shape, or of one near it, of some type or other."""
    sizes = list(shape)
    change = draw(st.sampled_from(["none"] * 8 + ["width"] * 2 + ["more dimensions", "fewer dimensions", "empty"]))
    at = draw(st.integers(0, len(sizes) - 1))
    if change == "width":
        sizes[at] = draw(st.integers(1, 7))
    elif change == "more dimensions":
        sizes.insert(at, draw(st.integers(1, 2)))
    elif change == "fewer dimensions":
        del sizes[at]
    elif change == "empty":
        sizes[at] = 0
    dtype = draw(st.sampled_from([np.float32] * 5 + [np.float16, np.float64, np.int32, np.uint8]))
    return Tensor(np.random.default_rng(0).uniform(-9, 9, sizes).astype(dtype))


@st.composite
def convolutions(draw: Any) -> tuple[str, dict[str, Any], Tensor]:
    """Draw any convolution and images for it, however small."""
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    mode = draw(st.sampled_from(["pad", "same", "valid"]))
    sides = draw(st.one_of(st.integers(0, 3), st.tuples(*[st.integers(0, 3)] * 4)))
    arguments = {
        "in_channels": draw(st.integers(1, 2)),
        "out_channels": draw(st.integers(1, 5)),
        "kernel_size": draw(pair),
        "stride": draw(pair),
        "pad_mode": mode,
        "padding": sides if mode == "pad" else 0,
        "dilation": draw(st.sampled_from([1, 1, 2])),
        "has_bias": draw(st.booleans()),
        "dtype": draw(st.sampled_from([ms.float32] * 4 + [ms.float16])),
    }
    kind = draw(st.sampled_from(["Conv2d", "Conv2dTranspose"]))
    size = [draw(st.integers(1, 5)) for _ in (0, 1)]
    return kind, arguments, draw(inputs(draw(st.integers(1, 2)), arguments["in_channels"], *size))


def check_convolution(case: tuple[str, dict[str, Any], Tensor]) -> None:
    kind, arguments, x = case
    check_alike(getattr(layers, kind)(**arguments), getattr(nn, kind)(**arguments), x)


@few
@given(convolutions())
def test_convolutions(case: tuple[str, dict[str, Any], Tensor]) -> None:
    check_convolution(case)


@pytest.mark.slow
@many
@given(convolutions())
def test_many_convolutions(case: tuple[str, dict[str, Any], Tensor]) -> None:
    check_convolution(case)


ROWS: dict[str, Callable[[], nn.Cell]] = {
    "Dense": lambda: nn.Dense(3, 2),
    "activated Dense": lambda: nn.Dense(3, 2, activation="relu", has_bias=False),
    "half Dense": lambda: nn.Dense(3, 2, dtype=ms.float16),
    "BatchNorm1d": lambda: nn.BatchNorm1d(3),
    "LeakyReLU": lambda: nn.LeakyReLU(0.3),
    "a row": lambda: nn.SequentialCell(
        nn.Dense(3, 4), nn.LeakyReLU(), nn.BatchNorm1d(4), nn.Dense(4, 4), nn.BatchNorm1d(4)
    ),
    "a row whose widths do not fit": lambda: nn.SequentialCell(nn.Dense(3, 2), nn.ReLU(), nn.Dense(4, 2)),
    "a row whose norm does not fit": lambda: nn.SequentialCell(nn.Dense(3, 2), nn.BatchNorm1d(4), nn.Dense(2, 2)),
}


def check_rows(kind: str, x: Tensor) -> None:
    fast = ROWS[kind]()
    assert layers.accelerate(fast)
    check_alike(fast, ROWS[kind](), x)


@few
@given(st.sampled_from(sorted(ROWS)), st.sampled_from([2, 3, 130]).flatmap(lambda count: inputs(count, 3)))
def test_layers_of_rows(kind: str, x: Tensor) -> None:
    check_rows(kind, x)


@pytest.mark.slow
@many
@given(st.sampled_from(sorted(ROWS)), st.sampled_from([2, 3, 130]).flatmap(lambda count: inputs(count, 3)))
def test_many_layers_of_rows(kind: str, x: Tensor) -> None:
    check_rows(kind, x)


TOO_SMALL = [
    (
        lambda: layers.Conv2d(2, 3, 7, pad_mode="pad", padding=1),
        r"Conv2d\(kernel_size=\(7, 7\), stride=\(1, 1\), pad_mode='pad', padding=\(1, 1, 1, 1\)\) "
        "has a kernel larger than its images, 4 x 4 pixels",
    ),
    (
        lambda: layers.Conv2d(2, 3, (2, 3), 2, "valid", dilation=2),
        r"Conv2d\(kernel_size=\(2, 3\), stride=\(2, 2\), pad_mode='valid', dilation=\(2, 2\)\) has a kernel",
    ),
    (
        lambda: layers.Conv2dTranspose(2, 3, 2, 1, "pad", 3),
        r"Conv2dTranspose\(kernel_size=\(2, 2\), .* returns an empty output for 4 x 4 pixels",
    ),
    (
        lambda: layers.Conv2dTranspose(2, 9, 4, 2, "pad", (5, 5, 0, 0)),  # in tiles
        r"Conv2dTranspose\(kernel_size=\(4, 4\), .* returns an empty output for 4 x 4 pixels",
    ),
    (lambda: layers.Conv2d(3, 2, 1), r"Conv2d takes images of shape \(N, 3, H, W\), not \(5, 2, 4, 4\)"),
    (lambda: layers.Conv2dTranspose(1, 2, 1), r"Conv2dTranspose takes images of shape \(N, 1, H, W\), not "),
]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(("make", "message"), TOO_SMALL)
def test_what_does_not_fit_is_named_with_its_layer(make: Any, message: str, compiled: bool) -> None:
    layer, x = make(), Tensor(np.zeros((5, 2, 4, 4), np.float32))
    with pytest.raises(ValueError, match=message):
        if compiled:
            with graph_mode():
                layer(x)
        else:
            layer(x)


def test_a_weight_that_is_another_layers_is_named() -> None:
    layer = layers.Conv2d(2, 3, 3)
    layer.weight = nn.Conv2d(2, 3, 1).weight
    with pytest.raises(ValueError, match=r"the weight of Conv2d must have the shape \(3, 2, 3, 3\), not "):
        layer(Tensor(np.zeros((5, 2, 4, 4), np.float32)))


class Blind(nn.Cell):
    """A discriminator whose convolution has a kernel larger than its images, (N, 1, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 7, pad_mode="pad", padding=1)

    def construct(self, x: Tensor) -> Tensor:
        return self.conv(x).sum((2, 3))


@pytest.mark.parametrize("fast", [True, False])
def test_a_discriminator_that_would_see_nothing_is_refused_before_the_first_step(fast: bool) -> None:
    players = tiny_players(discriminator=Blind, accelerate=fast)
    with pytest.raises(RecipeError, match=r"the discriminator does not accept the generator's images, .*Conv2d"):
        players.compile_for(np.zeros((2, 1, 4, 4), np.float32), np.zeros((2, 3), np.float32))


RECIPE = """
import numpy as np
from conftest import TinyGenerator, adam
from models.layers.test_refusals import Blind
from ms_gan_callbacks import ArraySource, NonSaturating, Recipe

def recipe():
    return Recipe(generator=TinyGenerator, discriminator=Blind, objective=NonSaturating(), optimizer=adam,
                  noise_dim=3, epochs=1,
                  data=lambda: ArraySource(np.zeros((8, 1, 4, 4), np.uint8), batch_size=4))
"""


def test_the_command_line_refuses_it_in_one_line() -> None:
    Path("blind.py").write_text(RECIPE)
    result = CliRunner().invoke(main, ["run", "blind.py", "--out", "here"])
    assert result.exit_code == 2
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Conv2d(kernel_size=(7, 7)" in line
    assert not Path("here").exists()
