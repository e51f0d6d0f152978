"""Metrics of pairs by hand, by the formula in plain loops, and compared with scikit-image."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ms_gan_callbacks import UsageError, l1, psnr, ssim
from ms_gan_callbacks.metrics import distances
from ms_gan_callbacks.metrics.direction import is_paired, read_mode
from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.kernel import kid
from ms_gan_callbacks.metrics.sample import Estimate, Sample
from ms_gan_callbacks.metrics.sampling import sampling_noise

ALL = [l1, psnr, ssim]
each = pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.__name__)


def scenes(count: int, channels: int = 1, height: int = 24, width: int = 24, seed: int = 0) -> np.ndarray:
    """Return smooth uint8 images (count, channels, height, width) with the full range of values."""
    drawn = gaussian_filter(
        np.random.default_rng(seed).normal(size=(count, channels, height, width)), (0, 0, 2, 2), mode="wrap"
    )
    drawn -= drawn.min(axis=(1, 2, 3), keepdims=True)
    return np.rint(255 * drawn / drawn.max(axis=(1, 2, 3), keepdims=True)).astype(np.uint8)


def noisy(images: np.ndarray, spread: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, spread, images.shape)
    return np.rint(np.clip(images + noise, 0, 255)).astype(np.uint8)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return np.rint(gaussian_filter(images.astype(float), (0, 0, sigma, sigma))).astype(np.uint8)


def compute(metric: Callable[[Sample, Sample], Estimate], real: np.ndarray, fake: np.ndarray) -> float:
    return float(metric(Sample(real), Sample(fake)))


def ssim_by_formula(real: np.ndarray, fake: np.ndarray) -> float:
    """Return the structural similarity of two channels (H, W), with a loop over the windows of equation 13."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, np.newaxis] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(real.shape[0] - 10):
        for left in range(real.shape[1] - 10):
            x, y = (image[top : top + 11, left : left + 11].astype(float) for image in (real, fake))
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            together = (weights * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + c1) * (2 * together + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


@each
def test_identical_images_have_the_best_value(metric: Callable[[Sample, Sample], Estimate]) -> None:
    images = scenes(5)
    best = {"l1": 0.0, "psnr": 100.0, "ssim": 1.0}[metric.__name__]
    assert metric(Sample(images), Sample(images.copy())) == pytest.approx((best, 0), abs=1e-9)
    flat = np.full((2, 1, 12, 12), 77, np.uint8)
    assert compute(metric, flat, flat) == pytest.approx(best)


@each
def test_the_order_of_the_two_does_not_matter(metric: Callable[[Sample, Sample], Estimate]) -> None:
    real, fake = scenes(4), scenes(4, seed=1)
    assert compute(metric, real, fake) == pytest.approx(compute(metric, fake, real))


def test_a_shift_by_a_constant() -> None:
    real = scenes(3) // 2
    assert compute(l1, real, real + 51) == pytest.approx(51 / 127.5)  # as floats: 0.4 of the range from -1 to 1
    assert compute(psnr, real, real + 51) == pytest.approx(20 * np.log10(255 / 51))
    a, b = np.full((1, 1, 15, 15), 100, np.uint8), np.full((1, 1, 15, 15), 150, np.uint8)
    c1 = 2.55**2  # constant images: only the factor of the means remains
    assert compute(ssim, a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def test_opposite_images() -> None:
    black, white = np.zeros((2, 3, 11, 11), np.uint8), np.full((2, 3, 11, 11), 255, np.uint8)
    assert compute(l1, black, white) == pytest.approx(2)
    assert compute(psnr, black, white) == 0
    assert compute(ssim, black, white) == pytest.approx(2.55**2 / (255**2 + 2.55**2))


def test_floats_are_the_same_images() -> None:
    real, fake = scenes(3), scenes(3, seed=1)
    as_floats = [Sample(images.astype(np.float32) / np.float32(127.5) - 1) for images in (real, fake)]
    for metric in ALL:
        assert float(metric(*as_floats)) == compute(metric, real, fake)


def test_the_ratio_is_the_mean_over_images_not_that_of_the_mean_error() -> None:
    real = np.full((2, 1, 4, 4), 100, np.uint8)
    fake = real + np.array([1, 10], np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]
    assert compute(psnr, real, fake) == pytest.approx((20 * np.log10(255) + 20 * np.log10(25.5)) / 2)


def test_one_identical_image_leaves_the_ratio_finite_and_nearly_identical_ones_are_not_better() -> None:
    real = np.zeros((2, 1, 500, 500), np.uint8)
    fake = real.copy()
    fake[0] += 1
    fake[1, 0, 0, 0] = 1  # 102 dB without the maximum
    assert compute(psnr, real, fake) == pytest.approx((20 * np.log10(255) + 100) / 2)
    fake[1] = 0
    assert compute(psnr, real, fake) == pytest.approx((20 * np.log10(255) + 100) / 2)


@pytest.mark.parametrize("shape", [(1, 11, 11), (1, 13, 17), (3, 16, 12)])
def test_the_similarity_is_that_of_the_formula(shape: tuple[int, int, int]) -> None:
    real = scenes(3, *shape)
    fake = noisy(real, 30)
    expected = [
        ssim_by_formula(*channels) for pair in zip(real, fake, strict=True) for channels in zip(*pair, strict=True)
    ]
    assert compute(ssim, real, fake) == pytest.approx(np.mean(expected), rel=1e-9)
    assert 0.1 < np.mean(expected) < 0.99


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 48)])
def test_similarity_and_ratio_are_those_of_scikit_image(shape: tuple[int, int, int]) -> None:
    reference = pytest.importorskip("skimage.metrics")
    real = scenes(6, *shape)
    fake = np.concatenate([noisy(real[:2], 20), blurred(real[2:4], 2), scenes(2, *shape, seed=1)])
    pairs = list(zip(real, fake, strict=True))
    similarity = partial(
        reference.structural_similarity,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=0,
    )
    assert compute(ssim, real, fake) == pytest.approx(np.mean([similarity(*pair) for pair in pairs]), rel=1e-10)
    ratios = [reference.peak_signal_noise_ratio(*pair, data_range=255) for pair in pairs]
    assert compute(psnr, real, fake) == pytest.approx(np.mean(ratios), rel=1e-10)


@each
def test_all_channels_count_alike(metric: Callable[[Sample, Sample], Estimate]) -> None:
    grey, other = scenes(4), noisy(scenes(4), 25)
    value = compute(metric, grey, other)
    assert compute(metric, grey.repeat(3, axis=1), other.repeat(3, axis=1)) == pytest.approx(value)
    if metric is not psnr:  # logarithms are not averaged over channels
        mixed = np.concatenate([grey, grey, other], axis=1)
        best = compute(metric, grey, grey)
        assert compute(metric, grey.repeat(3, axis=1), mixed) == pytest.approx((2 * best + value) / 3)


@each
@pytest.mark.parametrize("spoil", [noisy, blurred])
def test_values_get_worse_as_images_are_spoilt(
    metric: Callable[[Sample, Sample], Estimate], spoil: Callable[[np.ndarray, float], np.ndarray]
) -> None:
    real = scenes(20, 3)
    levels = (0, 10, 20, 40) if spoil is noisy else (0, 1, 2, 4)
    values = [compute(metric, real, spoil(real, level)) for level in levels]
    assert values == sorted(values, reverse=read_mode(metric) == "max")
    assert len(set(values)) == len(values)


@each
def test_images_are_compared_with_their_own_targets_only(metric: Callable[[Sample, Sample], Estimate]) -> None:
    real = scenes(10)
    fake = noisy(real, 10)
    alone = [compute(metric, real[i : i + 1], fake[i : i + 1]) for i in range(10)]
    assert compute(metric, real, fake) == pytest.approx(np.mean(alone))
    shifted = compute(metric, real, np.roll(fake, 1, axis=0))
    assert (shifted > np.mean(alone)) == (read_mode(metric) == "min")


@each
def test_the_standard_error_is_that_of_a_mean(metric: Callable[[Sample, Sample], Estimate]) -> None:
    real = scenes(40)
    fake = np.concatenate([noisy(real[i : i + 1], 5 + i, i) for i in range(40)])
    alone = [compute(metric, real[i : i + 1], fake[i : i + 1]) for i in range(40)]
    found = metric(Sample(real), Sample(fake))
    assert found.standard_error == pytest.approx(np.std(alone, ddof=1) / np.sqrt(40))
    assert sampling_noise(metric, Sample(real), Sample(fake), draws=200) == pytest.approx(
        found.standard_error, rel=0.2
    )


@each
def test_one_pair_does_not_have_a_standard_error(metric: Callable[[Sample, Sample], Estimate]) -> None:
    value, error = metric(Sample(scenes(1)), Sample(scenes(1, seed=1)))
    assert np.isfinite(value) and np.isnan(error)


@each
def test_samples_are_compared_in_parts(
    metric: Callable[[Sample, Sample], Estimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = Sample(scenes(200, 3)), Sample(scenes(200, 3, seed=1))
    whole = metric(real, fake)
    monkeypatch.setattr(distances, "_CELLS", 16 * 3 * 24 * 24 * 3)  # three images
    tracemalloc.start()
    parts = metric(real, fake)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert parts == pytest.approx(whole)
    assert peak < 8 * distances._CELLS < real.images.nbytes * 8  # less than one array of all images as doubles


@each
def test_samples_that_are_not_pairs_are_refused(metric: Callable[[Sample, Sample], Estimate]) -> None:
    real = Sample(scenes(3))
    for other in (scenes(2), scenes(3, 3), scenes(3, 1, 24, 26), scenes(1)):
        with pytest.raises(UsageError) as caught:
            metric(real, Sample(other))
        text = str(caught.value)
        assert "are not pairs" in text and "\n" not in text
        assert f"3 real images of shape (1, 24, 24) and {len(other)} fakes of shape {other.shape[1:]}" in text


@pytest.mark.parametrize("size", [(10, 20), (20, 10), (4, 4)])
def test_the_similarity_needs_eleven_pixels(size: tuple[int, int]) -> None:
    small = Sample(scenes(2, 1, *size))
    with pytest.raises(UsageError, match=f"at least 11 x 11 pixels, not {size[0]} x {size[1]}"):
        ssim(small, small)
    assert float(l1(small, small)) == 0


def test_metrics_of_pairs_are_marked() -> None:
    for metric, mode in ((l1, "min"), (psnr, "max"), (ssim, "max")):
        assert is_paired(metric) and is_paired(partial(metric))
        assert read_mode(metric) == mode
    assert not any(is_paired(metric) for metric in (fld, kid, partial(fld)))
