"""The shipped network for small pictures: what it sees and refuses, and that it is the one that was trained."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import numpy as np
import pytest
from conftest import ROOT
from mindspore import Parameter, Tensor, nn, ops
from safetensors.numpy import load_file
from scipy.stats import spearmanr

from ms_gan_callbacks import PictureNet, UsageError
from ms_gan_callbacks.metrics import pretrained
from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.kernel import kid
from ms_gan_callbacks.metrics.manifold import coverage, density, precision, recall
from ms_gan_callbacks.metrics.picture_net import SHA256
from ms_gan_callbacks.metrics.sample import Sample
from ms_gan_callbacks.metrics.sanity import sanity_rows
from ms_gan_callbacks.models.networks import graph_mode

from .conftest import FEW, Digits
from .test_degradation import LOWER_IS_BETTER, SPOILT

WEIGHTS = pretrained.WEIGHTS / "picture_net.safetensors"
LOG = (ROOT / "scripts" / "train_picture_net.log").read_text(encoding="utf-8")


def colour(digits: np.ndarray, side: int = 48, seed: int = 0) -> np.ndarray:
    """Return digits of one random color on a ground of another, enlarged, uint8 (N, 3, side, side)."""
    random = np.random.default_rng(seed)
    places = np.arange(side) * 28 // side
    grey = digits[:, :, places][:, :, :, places] / 255
    ink, ground = random.uniform(0, 255, (2, len(digits), 3, 1, 1))
    return np.rint(ground + (ink - ground) * grey).astype(np.uint8)


def washed(images: np.ndarray, share: float) -> np.ndarray:
    """Return images with less colour."""
    grey = images.mean(1, keepdims=True)
    return np.rint(share * grey + (1 - share) * images).astype(np.uint8)


def blocky(images: np.ndarray, size: int) -> np.ndarray:
    """Return images of larger pixels."""
    count, channels, side, _ = images.shape
    means = images.reshape(count, channels, side // size, size, side // size, size).mean((3, 5), keepdims=True)
    return (
        np.rint(np.broadcast_to(means, (count, channels, side // size, size, side // size, size)))
        .reshape(images.shape)
        .astype(np.uint8)
    )


@pytest.fixture(scope="module")
def net() -> PictureNet:
    return PictureNet()


def test_the_log_and_the_name_tell_which_weights_these_are(net: PictureNet) -> None:
    content = WEIGHTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256
    assert f"sha256 {SHA256}" in LOG
    assert net.name == f"picture-net-{SHA256[:8]}"
    assert len(content) < 1_000_000
    assert float(re.findall(r"accuracy ([\d.]+)%", LOG)[-1]) > 80


def set_weights(layer: nn.Cell, name: str, weights: dict[str, np.ndarray]) -> nn.Cell:
    for kind in ("weight", "bias"):
        setattr(layer, kind, Parameter(weights[f"{name}.{kind}"], name=f"{name}.{kind}"))
    return layer


def test_its_layers_are_the_stock_ones(net: PictureNet) -> None:
    weights = load_file(WEIGHTS)
    layers: list[nn.Cell] = []
    for name, stride in (("conv1", 2), ("conv2", 2), ("conv3", 2), ("conv4", 1), ("conv5", 2)):
        outputs, inputs, size, _ = weights[f"{name}.weight"].shape
        layer = nn.Conv2d(inputs, outputs, size, stride, "pad", 1, has_bias=True)
        layers += [set_weights(layer, name, weights), nn.ReLU()]
    network = nn.SequentialCell(*layers, nn.Flatten(), set_weights(nn.Dense(1024, 80), "dense", weights))
    images = np.random.default_rng(0).integers(0, 256, (150, 3, 64, 64), np.uint8)  # more than one chunk
    with graph_mode():
        values = network(Tensor(images.astype(np.float32) / 127.5 - 1)).asnumpy()
    scaled = values / np.sqrt((values**2).mean(1, keepdims=True))
    np.testing.assert_allclose(net(images), scaled, atol=2e-4)


def test_images_are_enlarged_linearly_and_reduced_by_averages(net: PictureNet, digits: Digits) -> None:
    images = digits.real[:20]
    enlarged = ops.interpolate(Tensor(images.astype(np.float32)), size=(64, 64), mode="bilinear").asnumpy()
    np.testing.assert_allclose(net(images), net(np.rint(enlarged).astype(np.uint8)), atol=0.05)
    large = np.random.default_rng(0).integers(0, 256, (5, 3, 128, 128)).astype(float)
    means = large.reshape(5, 3, 64, 2, 64, 2).mean((3, 5))
    features, expected = (net(np.rint(one).astype(np.uint8)) for one in (large, means))
    np.testing.assert_allclose(features, expected, atol=0.05)


def test_an_image_has_the_same_features_in_any_company_and_in_grey_or_equal_channels(
    net: PictureNet, digits: Digits
) -> None:
    together = net(digits.real[:130])
    np.testing.assert_allclose(net(digits.real[95:105]), together[95:105], atol=1e-4)
    np.testing.assert_allclose(net(digits.real[:5].repeat(3, axis=1)), together[:5], atol=1e-4)
    np.testing.assert_allclose((together**2).mean(axis=1), 1, rtol=1e-4)
    assert net(digits.real[:0]).shape == (0, 80)


def test_other_images_are_refused_with_the_way_out(net: PictureNet) -> None:
    with pytest.raises(UsageError, match=r"1 or 3 channels, not \(2, 28, 28\).*--features thumbnails") as error:
        _ = Sample(np.zeros((2, 2, 28, 28), np.uint8), net).features
    assert "\n" not in str(error.value)


COLOURED = {
    "noise": (SPOILT["noise"][0], (0, 20, 40, 80)),
    "blur": (SPOILT["blur"][0], (0, 1.4, 2.5, 5)),
    "pale": (washed, (0, 0.3, 0.6, 1.0)),
    "blocks": (blocky, (1, 4, 6, 12)),
}
GREY_CASES = [(metric, way) for metric in (fld, kid, coverage) for way in ("noise", "blur", "hole", "dropped")] + [
    (metric, way) for metric in (precision, density) for way in ("noise", "blur", "hole")
]
COLOUR_CASES = [(metric, way) for metric in (fld, kid, coverage, recall) for way in COLOURED]


@pytest.fixture(scope="module")
def spoilt(digits: Digits, net: PictureNet) -> dict[str, list[Sample]]:
    """Return samples by what is done to grey digits, and "colour " and what is done to coloured ones."""
    ways: dict[str, tuple[Callable, tuple]] = SPOILT
    samples = {
        name: [Sample(spoil(digits.other[:FEW], level), net) for level in levels]
        for name, (spoil, levels) in ways.items()
    }
    samples["dropped"] = [Sample(digits.other[digits.labels < kinds][:FEW], net) for kinds in (10, 7, 4, 2)]
    pictures = colour(digits.other[:FEW], seed=1)
    for name, (spoil, levels) in COLOURED.items():
        samples[f"colour {name}"] = [Sample(spoil(pictures, level), net) for level in levels]
    return samples


def check_order(metric: Callable, real: Sample, samples: list[Sample]) -> None:
    sign = -1 if metric in LOWER_IS_BETTER else 1
    quality = [sign * float(metric(real, sample)) for sample in samples]
    assert quality == sorted(quality, reverse=True)
    assert len(set(quality)) == len(quality), "it does not see a step"


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "way"), GREY_CASES, ids=lambda value: getattr(value, "__name__", value))
def test_grey_digits_get_worse_with_every_step(
    metric: Callable, way: str, digits: Digits, net: PictureNet, spoilt: dict[str, list[Sample]]
) -> None:
    check_order(metric, Sample(digits.real, net), spoilt[way])


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "way"), COLOUR_CASES, ids=lambda value: getattr(value, "__name__", value))
def test_coloured_pictures_get_worse_with_every_step(
    metric: Callable, way: str, digits: Digits, net: PictureNet, spoilt: dict[str, list[Sample]]
) -> None:
    check_order(metric, Sample(colour(digits.real), net), spoilt[f"colour {way}"])


@pytest.mark.slow
def test_it_orders_samples_of_digits_as_the_lenet_does(
    digits: Digits, net: PictureNet, spoilt: dict[str, list[Sample]]
) -> None:
    images = [one.images for name, samples in spoilt.items() if "colour" not in name for one in samples[1:]]
    images += [one.images for one in sanity_rows(digits.other, digits.labels, count=FEW).values()]
    lenet = [float(fld(Sample(digits.real), Sample(one))) for one in images]
    pictures = [float(fld(Sample(digits.real, net), Sample(one, net))) for one in images]
    assert spearmanr(lenet, pictures).statistic > 0.6
