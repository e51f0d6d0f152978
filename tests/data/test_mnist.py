"""mnist(): all of it comes with the package, a folder that is named must be right."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from ms_gan_callbacks.data.labels import hash_labels
from ms_gan_callbacks.data.mnist import PACKAGED, mnist
from ms_gan_callbacks.errors import DataError, RecipeError

from .conftest import idx_bytes, one_line

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


def copy(one: Path, other: Path) -> None:
    """Copy a file or a folder."""
    if one.is_dir():
        shutil.copytree(one, other, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        other.parent.mkdir(exist_ok=True)
        shutil.copy(one, other)


def wrong_images(*shape: int) -> dict[str, np.ndarray]:
    return {"images": np.zeros(shape, np.uint8)}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (wrong_images(39, 28, 28), "39 images but 40 labels"),
        (wrong_images(40, 32, 32), "images are 32 x 32, expected 28 x 28"),
        (wrong_images(40, 28, 27), "images are 28 x 27, expected 28 x 28"),
        (wrong_images(0, 28, 28), "declares 0 x 28 x 28"),
        (wrong_images(40), "holds labels .* expected images"),
        ({"labels": np.full(40, 10, np.uint8)}, "labels go up to 10, expected 0 to 9"),
        ({"labels": np.zeros(41, np.uint8)}, "40 images but 41 labels"),
        ({"labels": np.zeros((40, 28, 28), np.uint8)}, "holds images .* expected labels"),
    ],
)
def test_a_folder_that_is_wrong_is_told_in_one_line(
    save: Save, tmp_path: Path, files: dict[str, np.ndarray], told: str
) -> None:
    folder = save(tmp_path / "data", **files)
    with pytest.raises(DataError, match=told) as error:
        mnist(folder)
    assert one_line(error).startswith(str(folder))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", ""):
        with pytest.raises(DataError, match=re.escape(f"data folder {str(root)!r} does not exist")):
            mnist(root)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=r"is a file, expected the folder that contains train-images-idx3-ubyte\.gz"
    ):
        mnist(tmp_path / "file")


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_missing_file_is_told_with_the_names_looked_for(save: Save, tmp_path: Path, kind: str) -> None:
    (missing,) = save(tmp_path / "mnist").glob(f"*{kind}*")
    missing.unlink()
    with pytest.raises(DataError, match=f"{tmp_path / 'mnist'} has no train {kind}: looked for ") as error:
        mnist(tmp_path)
    dimensions = missing.name.split("idx")[1]
    for spelling in (f"-idx{dimensions}, ", f"-idx{dimensions}.gz, ", f".idx{dimensions}, "):
        assert f"train-{kind}{spelling}" in one_line(error)


def test_an_empty_folder_is_not_replaced_by_the_packages_digits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no train images"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    ("split", "hint"), [("tests", "did you mean 'test'"), ("valid", "available: train, test")]
)
def test_a_wrong_split_is_answered_with_those_there_are(split: str, hint: str) -> None:
    with pytest.raises(RecipeError, match=f"unknown split {split!r} of MNIST: .*{hint}"):
        mnist(split=split)


def test_settings_are_checked_before_any_file(save: Save, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="40 images do not fill one batch of 41"):
        mnist(save(tmp_path), batch_size=41)
    with pytest.raises(RecipeError, match="batch_size must be a whole number of at least 1, got 0"):
        mnist("nowhere", batch_size=0)


# sha256 of the original files, as everybody publishes them.
ORIGINAL = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@pytest.mark.parametrize(("split", "stem", "count"), [("train", "train", 60_000), ("test", "t10k", 10_000)])
def test_all_of_mnist_is_in_the_package_unaltered(
    split: str, stem: str, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MS_GAN_DATA", str(tmp_path))  # what an older version looked at
    source = mnist(split=split)  # a warning would fail the test
    assert (source.name, source.count, source.image_shape) == (f"mnist {split}", count, (1, 28, 28))
    for kind, array in (("images-idx3", source.images[:, 0]), ("labels-idx1", np.asarray(source.labels))):
        assert hashlib.sha256(idx_bytes(array)).hexdigest() == ORIGINAL[f"{stem}-{kind}-ubyte"]


def test_a_run_on_a_folder_of_all_of_mnist_goes_on_with_the_packages() -> None:
    named, packaged = mnist(PACKAGED, split="test"), mnist(split="test")
    assert (named.name, named.sha256()) == (packaged.name, packaged.sha256())
    assert hash_labels(named) == hash_labels(packaged)
    pixels = hashlib.sha256(b"uint8 (60000, 1, 28, 28)" + mnist().images.tobytes()).hexdigest()
    assert mnist().sha256() == pixels


def test_the_readme_beside_the_files_tells_their_sha256_and_licence() -> None:
    text = (PACKAGED / "README.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", text, re.M)) == {of: name for name, of in ORIGINAL.items()}
    for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0"):
        assert word in text


def test_what_one_caller_does_to_its_digits_no_other_sees() -> None:
    one = mnist(count=8, batch_size=1)
    before = one.images.copy()
    with pytest.raises(ValueError, match="read-only"):
        one.images[0] = 255
    batch = next(one.batches(0, 1))
    batch["real"][:] = 0
    batch["labels"][:] = 0
    assert np.array_equal(mnist(count=8, batch_size=1).images, before)


@pytest.mark.parametrize("size", [28, 29, 31, 32, 33, 64])
def test_padding_puts_the_digit_in_the_middle_of_background(size: int) -> None:
    plain, padded = mnist(count=50), mnist(count=50, size=size)
    assert padded.image_shape == (1, size, size)
    first = (size - 28) // 2
    inside = (slice(None), slice(None), slice(first, first + 28), slice(first, first + 28))
    assert np.array_equal(padded.images[inside], plain.images)
    assert padded.images.sum(dtype=int) == plain.images.sum(dtype=int), "the background is 0"
    assert next(padded.batches(0, 1))["real"][:, 0, -1 if size > 28 else 0, 0].tolist() == [-1] * 32
    assert padded.name == ("mnist train, first 50" if size == 28 else f"mnist train, first 50, {size} x {size}")
    assert np.array_equal(padded.labels, plain.labels)


def test_count_takes_the_first_ones_and_the_name_tells(save: Save, digits: Digits, tmp_path: Path) -> None:
    whole, few = mnist(), mnist(count=5000)
    assert (few.count, few.name) == (5000, "mnist train, first 5,000")
    assert np.array_equal(few.images, whole.images[:5000]) and np.array_equal(few.labels, whole.labels[:5000])
    assert mnist(count=60_000).name == "mnist train" and mnist(split="test", count=10_000).name == "mnist test"
    named = mnist(save(tmp_path), count=7, batch_size=1)
    assert np.array_equal(named.images[:, 0], digits[0][:7]) and np.array_equal(named.labels, digits[1][:7])
    assert named.name == "mnist train, 40 images, first 7"
    assert mnist(count=np.int64(3), batch_size=1).count == 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": 27}, r"mnist\(size=...\) must be a whole number of at least 28, got 27"),
        ({"size": 32.0}, "at least 28, got 32.0"),
        ({"size": True}, "at least 28, got True"),
        ({"size": "32"}, "at least 28, got '32'"),
        ({"size": -32}, "at least 28, got -32"),
        ({"size": 10**7}, r"60,000 x 10,000,000 x 10,000,000 pixels do not fit into memory"),
        ({"size": 10**30}, "do not fit into memory"),
        ({"count": 0}, r"mnist\(count=...\) must be a whole number of at least 1, got 0"),
        ({"count": -1}, "at least 1, got -1"),
        ({"count": 5e3}, "at least 1, got 5000.0"),
        ({"count": "5000"}, "at least 1, got '5000'"),
        ({"count": 60_001}, r"mnist\(count=60,001\): 'mnist train' has 60,000 digits"),
        ({"count": 10_001, "split": "test"}, "'mnist test' has 10,000 digits"),
    ],
)
def test_a_size_or_count_out_of_range_is_one_line(settings: dict, told: str) -> None:
    with pytest.raises(RecipeError, match=told) as error:
        mnist(**settings)
    one_line(error)


def test_the_package_ships_its_files() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = config["options.package_data"]["ms_gan_callbacks.data"].split(", ")
    shipped = {path.name for pattern in patterns for path in PACKAGED.parent.glob(pattern)}
    assert (
        {path.name for path in PACKAGED.iterdir()}
        == {"README.md", *(f"{name}.gz" for name in ORIGINAL)}
        <= shipped
    )


@pytest.mark.slow
def test_a_wheel_has_the_digits_and_finds_them(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    for name in ("ms_gan_callbacks", "recipes", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source], check=True)
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    code = (
        "from ms_gan_callbacks import mnist; from pathlib import Path; import ms_gan_callbacks as package\n"
        "print(Path(package.__file__).parent.parent, mnist().count, mnist(split='test').count)"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(site), "60000", "10000"]
    assert (site / "ms_gan_callbacks/data/mnist_files/README.md").is_file()
