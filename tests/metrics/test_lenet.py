"""The shipped LeNet: what it knows, that it is the network that was trained, and what it refuses."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT
from mindspore import Parameter, Tensor, nn
from safetensors.numpy import load_file

from ms_gan_callbacks import GanError, UsageError, mnist
from ms_gan_callbacks.metrics import pretrained
from ms_gan_callbacks.metrics.lenet import LeNet, load_lenet
from ms_gan_callbacks.metrics.sample import Sample
from ms_gan_callbacks.models.networks import graph_mode

from .conftest import Digits

WEIGHTS = pretrained.WEIGHTS / "lenet.safetensors"
LOG = (ROOT / "scripts" / "train_lenet.log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_lenet", ROOT / "scripts" / "train_lenet.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_lenet"] = module
    spec.loader.exec_module(module)
    return module


def test_it_reads_the_digits_of_the_test_set_as_its_log_says() -> None:
    test = mnist(split="test")
    right = Sample(test.images).probabilities.argmax(axis=1) == test.labels
    assert len(right) == 10_000
    assert right.mean() >= 0.99
    last = re.findall(r"accuracy ([\d.]+)%", LOG)[-1]
    assert right.mean() == pytest.approx(float(last) / 100, abs=2e-4)


def test_the_log_and_the_name_tell_which_weights_these_are() -> None:
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert f"sha256 {digest}" in LOG
    assert load_lenet().name == f"lenet-{digest[:8]}"
    assert WEIGHTS.stat().st_size < 400_000


def test_it_computes_what_the_trained_cell_does(script: ModuleType, digits: Digits) -> None:
    cell = script.LeNet()
    weights = load_file(WEIGHTS)
    assert {p.name: p.shape for p in cell.get_parameters()} == {n: w.shape for n, w in weights.items()}
    for parameter in cell.get_parameters():
        parameter.set_data(Tensor(weights[parameter.name]))
    images = digits.real[:300]  # more than one chunk
    with graph_mode():
        logits = cell(Tensor(images.astype(np.float32) / 127.5 - 1)).asnumpy()
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Sample(images).probabilities, chances, atol=1e-5)


class Stock(nn.Cell):
    """The LeNet of MindSpore's own layers, up to its features."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Conv2d(1, 6, 5, pad_mode="pad", padding=2, has_bias=True),
            nn.ReLU(),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 16, 5, pad_mode="valid", has_bias=True),
            nn.ReLU(),
            nn.MaxPool2d(2, 2),
            nn.Flatten(),
            nn.Dense(400, 120),
            nn.ReLU(),
            nn.Dense(120, 84),
        )
        with_weights = [cell for cell in self.layers if hasattr(cell, "weight")]
        for cell, name in zip(with_weights, ("conv1", "conv2", "fc1", "fc2"), strict=True):
            cell.weight = Parameter(weights[f"{name}.weight"], name=f"{name}.weight")
            cell.bias = Parameter(weights[f"{name}.bias"], name=f"{name}.bias")

    def construct(self, images: Tensor) -> Tensor:
        return self.layers(images)


def test_its_layers_are_the_stock_ones(digits: Digits) -> None:
    images = digits.real[:32]
    with graph_mode():
        values = Stock(load_file(WEIGHTS))(Tensor(images.astype(np.float32) / 127.5 - 1)).asnumpy()
    scaled = values / np.sqrt((values**2).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(load_lenet()(images), scaled, atol=1e-4)


def test_every_row_has_a_mean_square_of_one(digits: Digits) -> None:
    features = load_lenet()(digits.real[:50])
    assert features.shape == (50, 84)
    np.testing.assert_allclose((features**2).mean(axis=1), 1, rtol=1e-5)


def test_an_image_has_the_same_features_in_any_company(digits: Digits) -> None:
    together = load_lenet()(digits.real[:260])
    np.testing.assert_allclose(load_lenet()(digits.real[255:260]), together[255:260], atol=1e-5)
    assert load_lenet()(digits.real[:0]).shape == (0, 84)


@pytest.mark.parametrize("place", [0, 100, 100_000, -1])
def test_weights_with_one_bit_flipped_are_refused(place: int, tmp_path: Path) -> None:
    content = bytearray(WEIGHTS.read_bytes())
    content[place] ^= 1
    damaged = tmp_path / "lenet.safetensors"
    damaged.write_bytes(content)
    with pytest.raises(GanError, match="is damaged: its sha256 is not"):
        LeNet(damaged)


def test_cut_and_missing_weights_are_refused(tmp_path: Path) -> None:
    cut = tmp_path / "lenet.safetensors"
    cut.write_bytes(WEIGHTS.read_bytes()[:1000])
    with pytest.raises(GanError, match="is damaged"):
        LeNet(cut)
    with pytest.raises(GanError, match="cannot be read"):
        LeNet(tmp_path / "nowhere")


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 28, 28)])
def test_images_it_is_not_made_for_are_refused_with_the_way_out(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        UsageError,
        match=r"Recipe\(features=PictureNet\(\)\), ms-gan evaluate --features picture_net, or a custom extractor",
    ) as error:
        _ = Sample(np.zeros((2, *shape), np.uint8)).features
    assert str(shape) in str(error.value)
    assert "\n" not in str(error.value)
