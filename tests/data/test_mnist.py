"""mnist(): named folders must be right, the bundled digits are what they say, all of MNIST is recognised."""

from __future__ import annotations

import gzip
import hashlib
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ms_gan_callbacks.data import BUNDLED, download, mnist
from ms_gan_callbacks.errors import DataError, GanError, GanWarning, RecipeError

from .conftest import WHOLE, idx_bytes, needs_whole, one_line

Save = Callable[..., Path]
Digits = tuple[np.ndarray, np.ndarray]


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_every_usual_layout_is_found(
    save: Save, digits: Digits, tmp_path: Path, gz: bool, dot: str, below: str
) -> None:
    save(tmp_path / "data" / below, gz=gz, dot=dot)
    source = mnist(str(tmp_path / "data"), batch_size=8)
    assert source.labels is not None
    assert np.array_equal(source.images[:, 0], digits[0]) and np.array_equal(source.labels, digits[1])
    assert (source.batch_size, source.image_shape, source.name) == (8, (1, 28, 28), "mnist train, 40 images")


def test_the_test_split_has_files_of_its_own(save: Save, digits: Digits, tmp_path: Path) -> None:
    save(tmp_path)
    save(tmp_path, split="t10k", images=255 - digits[0])
    assert np.array_equal(mnist(tmp_path, split="test").images[:, 0], 255 - digits[0])
    assert np.array_equal(mnist(tmp_path).images[:, 0], digits[0])


def test_a_home_folder_is_expanded(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "home" / "digits")
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert mnist("~/digits").count == 40


def wrong_images(*shape: int) -> dict[str, np.ndarray]:
    return {"images": np.zeros(shape, np.uint8)}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (wrong_images(39, 28, 28), "39 images but 40 labels"),
        (wrong_images(40, 32, 32), "images are 32 x 32, expected 28 x 28"),
        (wrong_images(40, 28, 27), "images are 28 x 27, expected 28 x 28"),
        (wrong_images(0, 28, 28), "promises 0 x 28 x 28"),
        (wrong_images(40), "holds labels .* expected images"),
        ({"labels": np.full(40, 10, np.uint8)}, "labels go up to 10, expected 0 to 9"),
        ({"labels": np.zeros(41, np.uint8)}, "40 images but 41 labels"),
        ({"labels": np.zeros((40, 28, 28), np.uint8)}, "holds images .* expected labels"),
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_a_folder_that_is_wrong_is_told_in_one_line(
    save: Save,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, np.ndarray],
    told: str,
    by_variable: bool,
) -> None:
    folder = save(tmp_path / "data", **files)
    if by_variable:
        monkeypatch.setenv("MS_GAN_DATA", str(folder))
    with pytest.raises(DataError, match=told) as error:
        mnist(None if by_variable else folder)
    assert one_line(error).startswith(f"MS_GAN_DATA: {folder}" if by_variable else str(folder))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", ""):
        with pytest.raises(DataError, match=re.escape(f"data folder {str(root)!r} does not exist")):
            mnist(root)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"is a file, expected the folder that holds train-images-idx3-ubyte\.gz"):
        mnist(tmp_path / "file")


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_missing_file_is_told_with_the_names_looked_for(save: Save, tmp_path: Path, kind: str) -> None:
    (missing,) = save(tmp_path / "mnist").glob(f"*{kind}*")
    missing.unlink()
    with pytest.raises(DataError, match=f"{tmp_path / 'mnist'} holds no train {kind}: looked for ") as error:
        mnist(tmp_path)
    dimensions = missing.name.split("idx")[1]
    for spelling in (f"-idx{dimensions}, ", f"-idx{dimensions}.gz, ", f".idx{dimensions}, "):
        assert f"train-{kind}{spelling}" in one_line(error)


def test_an_empty_folder_is_not_replaced_by_the_bundled_digits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no train images"):
        mnist(tmp_path)


def test_the_argument_comes_before_the_variable(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MS_GAN_DATA", str(tmp_path / "nowhere"))
    assert mnist(save(tmp_path / "here")).count == 40
    monkeypatch.setenv("MS_GAN_DATA", str(tmp_path / "here"))
    assert mnist().count == 40
    monkeypatch.setenv("MS_GAN_DATA", "")
    with pytest.warns(GanWarning, match="bundled"):
        assert mnist().count == 5000


@pytest.mark.parametrize(
    ("split", "hint"), [("tests", "did you mean 'test'"), ("valid", "there are: train, test")]
)
def test_a_wrong_split_is_answered_with_those_there_are(split: str, hint: str) -> None:
    with pytest.raises(RecipeError, match=f"no split {split!r}: .*{hint}"):
        mnist(split=split)


def test_too_large_a_batch_is_not_taken_for_missing_data(save: Save, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="40 images do not fill one batch of 41"):
        mnist(save(tmp_path), batch_size=41)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told before any data is looked for
        with pytest.raises(RecipeError, match="batch_size must be at least 1, got 0"):
            mnist(batch_size=0)


def test_without_anything_the_bundled_digits_are_used_loudly() -> None:
    with pytest.warns(
        GanWarning, match="MS_GAN_OFFLINE is set; for the whole set, .* data_dir or MS_GAN_DATA"
    ) as warned:
        source = mnist(batch_size=100)
    assert warned[0].filename == __file__ and len(warned) == 1
    assert (source.name, source.count, source.steps_per_epoch) == ("mnist 5,000 bundled", 5000, 50)


def test_there_is_no_bundled_test_split() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(GanError, match=r"bundled digits have no test split.*MS_GAN_DATA") as error:
            mnist(split="test")
        one_line(error)
        with pytest.raises(DataError, match="holds no test images"):
            mnist(BUNDLED, split="test")


def test_the_bundled_digits_can_be_named_and_are_balanced() -> None:
    source = mnist(BUNDLED)
    assert source.name == "mnist 5,000 bundled" and source.labels is not None
    assert np.bincount(source.labels).tolist() == [500] * 10
    assert len(np.unique(source.images.reshape(5000, -1), axis=0)) == 5000
    assert len(set(source.labels[:100].tolist())) == 10, "the classes should be mixed"


def test_the_bundled_files_are_those_of_their_readme() -> None:
    told = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", (BUNDLED / "README.md").read_text(encoding="utf-8"), re.M))
    files = {path.stem: path.read_bytes() for path in BUNDLED.glob("*.gz")}
    assert {hashlib.sha256(gzip.decompress(packed)).hexdigest(): name for name, packed in files.items()} == told
    assert all(packed[4:8] == bytes(4) for packed in files.values()), "a time stamp would make builds differ"
    assert sum(map(len, files.values())) < 900_000


@needs_whole
def test_every_bundled_digit_is_one_of_mnists_with_its_label() -> None:
    whole, bundled = mnist(WHOLE), mnist(BUNDLED)
    assert whole.labels is not None and bundled.labels is not None
    known = {(image.tobytes(), label) for image, label in zip(whole.images, whole.labels.tolist(), strict=True)}
    assert {(i.tobytes(), n) for i, n in zip(bundled.images, bundled.labels.tolist(), strict=True)} <= known


@needs_whole
@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_all_of_mnist_is_known_by_its_content(monkeypatch: pytest.MonkeyPatch, split: str, count: int) -> None:
    monkeypatch.setenv("MS_GAN_DATA", WHOLE)
    source = mnist(split=split)
    assert (source.name, source.count) == (f"mnist {split}", count)
    name = {"train": "train", "test": "t10k"}[split]
    pixels = idx_bytes(source.images[:, 0])
    assert hashlib.sha256(pixels).hexdigest() == download.KNOWN[f"{name}-images-idx3-ubyte"].sha256
    labels = idx_bytes(np.asarray(source.labels))
    assert hashlib.sha256(labels).hexdigest() == download.KNOWN[f"{name}-labels-idx1-ubyte"].sha256
