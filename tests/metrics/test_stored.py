"""Features on the disk: used when whole, recomputed when not, never in the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import platformdirs
import pytest

from ms_gan_callbacks.metrics.frechet import fld
from ms_gan_callbacks.metrics.lenet import load_lenet
from ms_gan_callbacks.metrics.sample import Sample
from ms_gan_callbacks.metrics.stored import StoredFeatures

from .conftest import Digits, Mean, noise_images


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_second_run_reads_what_the_first_one_wrote(tmp_path: Path) -> None:
    images, first, second = noise_images(20), Mean(), Mean()
    made = Sample(images, StoredFeatures(first, tmp_path)).features
    read = Sample(images, StoredFeatures(second, tmp_path)).features
    assert (first.seen, second.seen) == (20, 0)
    assert read.dtype == made.dtype
    np.testing.assert_array_equal(read, made)
    assert len(files(tmp_path)) == 1


def test_by_default_they_are_in_the_users_cache(digits: Digits) -> None:
    cache = Path(platformdirs.user_cache_dir("ms_gan_callbacks", appauthor=False)) / "features"
    Sample(digits.real[:5], StoredFeatures()).features  # noqa: B018
    [kept] = files(cache)
    assert kept.name.startswith(load_lenet().name)


def test_it_stands_for_its_extractor(digits: Digits, tmp_path: Path) -> None:
    plain, stored = Sample(digits.real[:50]), Sample(digits.real[:50], StoredFeatures(folder=tmp_path))
    assert stored.feature_name == plain.feature_name
    np.testing.assert_array_equal(stored.probabilities, plain.probabilities)
    assert fld(stored, plain) == pytest.approx(0, abs=1e-6)
    assert not hasattr(StoredFeatures(Mean(), tmp_path), "classify")


def test_other_images_counts_shapes_and_names_are_kept_apart(tmp_path: Path) -> None:
    images = noise_images(20)
    changed = images.copy()
    changed[7, 0, 2, 2] ^= 1
    renamed = Mean()
    renamed.name = "mean/2"
    variants = [(images, Mean()), (changed, Mean()), (images[:19], Mean()), (images.reshape(20, 1, 2, 8), Mean())]
    for shown, extractor in [*variants, (images, renamed)]:
        features = Sample(shown, StoredFeatures(extractor, tmp_path)).features
        np.testing.assert_array_equal(features, Mean()(shown))
        assert extractor.seen == len(shown)
    assert len(files(tmp_path)) == 5


def damaged(content: bytes, how: str) -> bytes:
    if how == "cut":
        return content[: len(content) // 2]
    if how == "empty":
        return b""
    if how == "text":
        return b"<html>not found</html>"
    changed = bytearray(content)
    changed[{"first": 0, "header": 12, "middle": len(content) // 2, "last": -1}[how]] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("how", ["cut", "empty", "text", "first", "header", "middle", "last"])
def test_a_damaged_file_is_recomputed_and_replaced(how: str, tmp_path: Path) -> None:
    images = noise_images(20)
    expected = Sample(images, StoredFeatures(Mean(), tmp_path)).features
    [kept] = files(tmp_path)
    whole = kept.read_bytes()
    kept.write_bytes(damaged(whole, how))
    np.testing.assert_array_equal(Sample(images, StoredFeatures(Mean(), tmp_path)).features, expected)
    assert files(tmp_path) == [kept]
    assert kept.read_bytes() == whole


def test_every_bit_of_the_file_counts(tmp_path: Path) -> None:
    images = noise_images(3)
    expected = Sample(images, StoredFeatures(Mean(), tmp_path)).features
    [kept] = files(tmp_path)
    whole = kept.read_bytes()
    for place in range(len(whole)):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        np.testing.assert_array_equal(Sample(images, StoredFeatures(Mean(), tmp_path)).features, expected)


def test_another_files_content_is_not_believed(tmp_path: Path) -> None:
    for seed in (0, 1):
        Sample(noise_images(20, seed), StoredFeatures(Mean(), tmp_path)).features  # noqa: B018
    left, right = files(tmp_path)
    left.write_bytes(right.read_bytes())
    for seed in (0, 1):
        images = noise_images(20, seed)
        np.testing.assert_array_equal(Sample(images, StoredFeatures(Mean(), tmp_path)).features, Mean()(images))


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    images = noise_images(20)
    features = Sample(images, StoredFeatures(Mean(), tmp_path / "file" / "features")).features
    np.testing.assert_array_equal(features, Mean()(images))


def test_features_without_a_name_are_not_stored(tmp_path: Path) -> None:
    def anything(images: np.ndarray) -> np.ndarray:
        return np.ones((len(images), 1))

    assert Sample(noise_images(3), StoredFeatures(anything, tmp_path)).features.tolist() == [[1], [1], [1]]
    assert files(tmp_path) == []
