"""idx_images() and fashion_mnist(): IDX data sets that are not MNIST, from folders that somebody names."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ms_gan_callbacks import DataError, GanWarning, RecipeError, fashion_mnist, idx_images
from ms_gan_callbacks.data import idx_folder

from .conftest import one_line

Save = Callable[..., Path]
RNG = np.random.default_rng(1)
OTHER = RNG.integers(0, 256, (12, 5, 9), np.uint8)
LABELS = RNG.integers(0, 256, 12, np.uint8)
LABELS[0] = 46  # EMNIST's last


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("below", ["", "raw"])
def test_images_of_any_size_with_any_labels_are_read(save: Save, tmp_path: Path, gz: bool, below: str) -> None:
    save(tmp_path / "letters" / below, images=OTHER, labels=LABELS, gz=gz)
    source = idx_images(tmp_path / "letters", batch_size=3)
    assert np.array_equal(source.images[:, 0], OTHER) and np.array_equal(source.labels, LABELS)
    assert (source.name, source.image_shape, source.steps_per_epoch) == ("letters train", (1, 5, 9), 4)


@pytest.mark.parametrize("stem", ["t10k", "test"])
def test_the_test_split_goes_by_either_name(save: Save, tmp_path: Path, stem: str) -> None:
    save(tmp_path, images=OTHER, labels=LABELS)
    save(tmp_path, images=255 - OTHER, labels=LABELS, split=stem)
    assert np.array_equal(idx_images(tmp_path, split="test", batch_size=1).images[:, 0], 255 - OTHER)
    assert np.array_equal(idx_images(tmp_path, batch_size=1).images[:, 0], OTHER)


def test_of_several_sets_in_a_folder_one_is_named(save: Save, tmp_path: Path) -> None:
    save(tmp_path, images=OTHER, labels=LABELS, split="emnist-letters-train")
    save(tmp_path, images=255 - OTHER, labels=LABELS, split="emnist-digits-train")
    source = idx_images(tmp_path, prefix="emnist-letters-", batch_size=1)
    assert np.array_equal(source.images[:, 0], OTHER)
    assert source.name.endswith("emnist-letters-train")
    with pytest.raises(DataError, match="has no train images: looked for train-images-idx3-ubyte, "):
        idx_images(tmp_path)


def test_labels_may_be_missing_but_not_wrong(save: Save, tmp_path: Path) -> None:
    save(tmp_path, images=OTHER, labels=LABELS[:-1])
    with pytest.raises(DataError, match="12 images but 11 labels"):
        idx_images(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert idx_images(tmp_path, batch_size=1).labels is None


def test_a_folder_named_by_a_dot_lends_the_source_its_name(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(save(tmp_path / "kuzushiji", images=OTHER, labels=LABELS))
    assert idx_images(".", batch_size=1).name == "kuzushiji train"


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        ({"folder": "nowhere"}, DataError, "data folder 'nowhere' does not exist"),
        ({"folder": ""}, DataError, "data folder '' does not exist"),
        (
            {"folder": __file__},
            DataError,
            "is a file, expected the folder that contains train-images-idx3-ubyte.gz",
        ),
        ({"folder": "."}, DataError, "has no train images: looked for train-images-idx3-ubyte"),
        (
            {"folder": ".", "split": "tests"},
            RecipeError,
            "unknown split 'tests' of IDX files: did you mean 'test'",
        ),
        (
            {"folder": "nowhere", "batch_size": 0},
            RecipeError,
            "batch_size must be a whole number of at least 1, got 0",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(arguments: dict, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=re.escape(told)) as error:
        idx_images(**arguments)
    one_line(error)


def test_too_few_images_for_a_batch_are_told(save: Save, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="12 images do not fill one batch of 13"):
        idx_images(save(tmp_path / "few", images=OTHER, labels=LABELS), batch_size=13)


def test_fashion_mnist_lies_where_debian_puts_it_or_where_it_is_said_to(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path / "fashion-mnist")
    assert fashion_mnist(folder).name == "fashion-mnist train"
    monkeypatch.setattr(idx_folder, "FASHION", folder)
    assert fashion_mnist().count == 40
    with pytest.raises(DataError, match=r"has no test images: .*apt-get install dataset-fashion-mnist"):
        fashion_mnist(split="test")
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"fashion-mnist' does not exist; .*apt-get install dataset-fashion-mnist"):
        fashion_mnist()


def test_fashion_mnist_needs_its_labels(save: Save, tmp_path: Path) -> None:
    (save(tmp_path) / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(
        DataError, match=r"has no train labels: looked for train-labels-idx1-ubyte, .*apt-get"
    ) as error:
        fashion_mnist(tmp_path)
    one_line(error)


def test_other_files_of_the_split_are_named(save: Save, tmp_path: Path) -> None:
    save(tmp_path, images=OTHER, labels=LABELS, split="t10k")
    save(tmp_path, images=OTHER, labels=LABELS, split="test", gz=True)
    save(tmp_path / "raw", images=OTHER, labels=LABELS, split="t10k", dot=".")
    (tmp_path / "t10k-labels-idx1-ubyte (1).gz").touch()
    told = (
        r": read t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte; left out 5 other files of the test split: "
        r"t10k-labels-idx1-ubyte \(1\).gz, test-images-idx3-ubyte.gz, test-labels-idx1-ubyte.gz, \.\.\.$"
    )
    with pytest.warns(GanWarning, match=told) as warned:
        idx_images(tmp_path, split="test", batch_size=1)
    assert warned[0].filename == __file__ and len(warned) == 1


def test_packed_and_unpacked_files_side_by_side_are_the_same(save: Save, tmp_path: Path) -> None:
    for gz in (False, True):  # torchvision leaves both
        save(tmp_path / "raw", images=OTHER, labels=LABELS, gz=gz)
    assert idx_images(tmp_path, batch_size=1).count == 12


def test_a_link_to_nothing_is_an_error_not_a_reason_to_look_elsewhere(save: Save, tmp_path: Path) -> None:
    save(tmp_path, images=OTHER, labels=LABELS, gz=True)
    (tmp_path / "train-labels-idx1-ubyte").symlink_to("/no/such/disk")
    with pytest.raises(DataError, match="train-labels-idx1-ubyte: cannot be read"):
        idx_images(tmp_path, batch_size=1)
