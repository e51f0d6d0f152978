"""ArraySource and make_source: scaling, order, resuming, and every wrong array in one line."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ms_gan_callbacks import GanWarning, folder_images, idx_images, mnist
from ms_gan_callbacks.data.arrays import ArraySource
from ms_gan_callbacks.data.columns import check_batch
from ms_gan_callbacks.data.protocol import Columns, Source, check_usual_range
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.data.sources import make_source
from ms_gan_callbacks.errors import DataError, GanError, RecipeError

from .conftest import idx_bytes, one_line


def numbered(count: int) -> np.ndarray:
    """Images whose every pixel is their number, but for a white corner."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 4), np.uint8)
    images[..., -1, -1] = 255
    return images


def ids(batch: Columns) -> list[int]:
    """The numbers of the images in a scaled batch."""
    return np.rint((batch["real"][:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def test_every_byte_is_scaled_by_the_formula() -> None:
    source = ArraySource(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16), batch_size=1)
    (batch,) = source.batches(0, 1)
    batch = batch["real"]
    exact = np.arange(256) / 127.5 - 1
    assert batch.dtype == np.float32
    assert batch.min() == -1 and batch.max() == 1
    np.testing.assert_allclose(batch.ravel(), exact, atol=1.2e-7)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 60), size=st.integers(1, 60), seed=st.integers(0, 2**40), epoch=st.integers(1, 9))
def test_an_epoch_is_the_permutation_cut_into_whole_batches(count: int, size: int, seed: int, epoch: int) -> None:
    if size > count:
        with pytest.raises(DataError, match=f"{count} images do not fill one batch of {size}"):
            ArraySource(numbered(count), size)
        return
    source = ArraySource(numbered(count), size)
    seen = [ids(batch) for batch in source.batches(seed, epoch)]
    assert source.steps_per_epoch == len(seen) == count // size
    assert [number for batch in seen for number in batch] == stream(seed, "data", epoch).permutation(count)[
        : len(seen) * size
    ].tolist()


def test_starting_late_gives_the_rest_of_the_epoch() -> None:
    source = ArraySource(numbered(20), 3)
    whole = [ids(batch) for batch in source.batches(1, 2)]
    for start in range(7):
        assert [ids(batch) for batch in source.batches(1, 2, start)] == whole[start:]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    source = ArraySource(numbered(50), 50)
    orders = [tuple(ids(next(source.batches(seed, epoch)))) for seed in (0, 1) for epoch in (1, 2)]
    assert len(set(orders)) == 4


@pytest.mark.parametrize("images", [numbered(8), (numbered(8) / 127.5 - 1).astype(np.float32)])
def test_batches_are_fresh_and_contiguous(images: np.ndarray) -> None:
    source = ArraySource(images, 4)
    kept = images.copy()
    for columns in source.batches(0, 1):
        batch = columns["real"]
        assert batch.shape == (4, 2, 3, 4) and batch.flags.c_contiguous and batch.flags.writeable
        batch[:] = 0.5
    assert (source.images == kept).all()


def test_two_walks_at_once_do_not_disturb_each_other() -> None:
    source = ArraySource(numbered(12), 3)
    pairs = list(zip(source.batches(0, 1), source.batches(0, 1), strict=True))
    assert all(ids(one) == ids(other) for one, other in pairs)


def test_uint8_stays_uint8_in_memory_and_is_not_copied() -> None:
    images = numbered(5)
    source = ArraySource(images, 2)
    assert source.images.dtype == np.uint8 and np.shares_memory(source.images, images)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_are_taken_as_they_are(dtype: str) -> None:
    images = np.linspace(-1, 1, 24).astype(dtype).reshape(4, 1, 2, 3)
    (batch,) = ArraySource(images, 4).batches(0, 1)
    batch = batch["real"]
    assert batch.dtype == np.float32 and batch.dtype.isnative
    assert np.array_equal(np.sort(batch.ravel()), images.ravel().astype(np.float32))


def test_a_grey_image_gains_its_channel_and_strides_do_not_matter() -> None:
    images = np.arange(5 * 6 * 4, dtype=np.uint8).reshape(5, 6, 4)
    source = ArraySource(images.transpose(0, 2, 1)[::2], 1, name="turned")
    assert (source.image_shape, source.count, source.name) == ((1, 4, 6), 3, "turned")
    assert np.array_equal(source.images[1, 0], images[2].T)


def test_labels_are_kept() -> None:
    source = ArraySource(numbered(3), 1, labels=[7, 8, 9])
    assert source.labels is not None and source.labels.tolist() == [7, 8, 9]
    assert ArraySource(numbered(3), 1).labels is None


def test_sha256_is_of_type_shape_and_values() -> None:
    images = numbered(4)
    digest = ArraySource(images, 2).sha256()
    assert digest == hashlib.sha256(b"uint8 (4, 2, 3, 4)" + images.tobytes()).hexdigest()
    assert digest == ArraySource(np.asfortranarray(images), 4, labels=[1, 2, 3, 4], name="other").sha256()
    assert digest != ArraySource(images.reshape(4, 2, 4, 3), 2).sha256()
    assert digest != ArraySource(images[::-1], 2).sha256()


def test_sha256_is_computed_once() -> None:
    source = ArraySource(numbered(4), 2)
    digest = source.sha256()
    source.images[0] += 1
    assert source.sha256() == digest


FLOAT = np.zeros((4, 1, 2, 2), np.float32)


def holding(value: float) -> np.ndarray:
    images = FLOAT.copy()
    images[2, 0, 1, 1] = value
    return images


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (holding(np.nan), "not finite"),
        (holding(np.inf), "not finite"),
        (holding(-np.inf), "not finite"),
        (holding(1.01), r"range over \[0, 1.01\]; .* \(x / 127.5 - 1\)"),
        (holding(-1.01), r"range over \[-1.01, 0\]"),
        (holding(255), r"range over \[0, 255\]"),
        (np.zeros((0, 1, 2, 2), np.uint8), r"no images in an array of shape \(0, 1, 2, 2\)"),
        (np.zeros((4, 1, 0, 2), np.float32), "no images in an array of shape"),
        (np.zeros((4, 0, 2, 2), np.uint8), "no images in an array of shape"),
        (np.zeros((), np.uint8), r"got shape \(\)"),
        (np.zeros(4, np.uint8), r"got shape \(4,\)"),
        (np.zeros((4, 784), np.float32), r"must be \(N, C, H, W\) or \(N, H, W\), got shape \(4, 784\)"),
        (np.zeros((4, 1, 1, 2, 2), np.uint8), "got shape"),
        (FLOAT.astype(np.int64), "images are int64; images must be uint8"),
        (FLOAT.astype(np.int8), "images are int8"),
        (FLOAT.astype(np.uint16), "images are uint16"),
        (FLOAT.astype(bool), "images are bool"),
        (FLOAT.astype(complex), "images are complex128"),
        (FLOAT.astype(object), "images are object"),
        (FLOAT.astype("U3"), "images are <U3"),
        ([[[0]]], "must be a NumPy array, got list"),
        (None, "must be a NumPy array, got NoneType"),
    ],
)
def test_a_wrong_array_is_answered_in_one_line(images: np.ndarray, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        ArraySource(images, 2, name="mine")
    assert one_line(error).startswith("mine: ")


def test_half_a_step_of_rounding_is_forgiven() -> None:
    images = holding(1.0005)
    images[0] = -1.0005
    assert ArraySource(images, 2).count == 4


@pytest.mark.parametrize(
    ("batch_size", "told"),
    [
        (0, "must be a whole number of at least 1, got 0"),
        (-3, "at least 1, got -3"),
        (2.0, "whole number .* got 2.0"),
    ]
    + [(wrong, "whole number of at least 1, got") for wrong in (True, None, "32", [2], np.float32(2))],
)
def test_a_wrong_batch_size_is_the_recipes_fault(batch_size: int, told: str) -> None:
    with pytest.raises(RecipeError, match=told) as error:
        ArraySource(numbered(4), batch_size)
    assert one_line(error).startswith("batch_size must be ")


def test_a_numpy_integer_is_a_batch_size() -> None:
    assert type(ArraySource(numbered(4), np.int32(2)).batch_size) is int


@pytest.mark.parametrize("labels", [[], [1], [1, 2, 3, 4, 5], [[1, 2, 3, 4]], 3])
def test_wrong_labels_are_refused(labels: object) -> None:
    with pytest.raises(DataError, match="4 images need 4 labels") as error:
        ArraySource(numbered(4), 2, labels=labels)  # type: ignore[arg-type]
    one_line(error)


@pytest.mark.parametrize(
    ("epoch", "start", "told"),
    [
        (0, 0, "counted from 1, got 0"),
        (-1, 0, "got -1"),
        (1, -1, "after -1"),
        (1, 3, "after 3 batches, an epoch has 2"),
    ],
)
def test_a_place_in_no_epoch_is_refused_at_once(epoch: int, start: int, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        ArraySource(numbered(4), 2).batches(0, epoch, start)  # before anything is iterated
    one_line(error)


def test_as_source_takes_an_array_and_leaves_a_source() -> None:
    source = make_source(numbered(6), batch_size=3)
    assert isinstance(source, ArraySource) and source.batch_size == 3
    assert make_source(source) is source


def test_as_source_takes_any_source() -> None:
    class Mine:
        name, batch_size, count, image_shape, steps_per_epoch = "mine", 1, 1, (1, 2, 2), 1

        def sha256(self) -> None: ...
        def batches(self, seed: int, epoch: int, start: int = 0): ...

    mine: Source = Mine()
    assert make_source(mine) is mine
    with pytest.raises(RecipeError, match="data of type type"):
        make_source(Mine)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [None, 3, "mnist", [[1]], object(), {"images": 1}])
def test_as_source_names_what_it_cannot_take(data: object) -> None:
    with pytest.raises(GanError, match=f"type {type(data).__name__}: pass a NumPy array") as error:
        make_source(data)  # type: ignore[arg-type]
    assert "mindspore.dataset" in one_line(error) and isinstance(error.value, RecipeError)


def test_importing_and_using_the_room_does_not_import_mindspore() -> None:
    code = (
        "import sys, numpy as np, pkgutil, importlib, ms_gan_callbacks.data as d\n"
        "for one in pkgutil.iter_modules(d.__path__): importlib.import_module(d.__name__ + '.' + one.name)\n"
        "s = d.sources.make_source(np.arange(16, dtype=np.uint8).reshape(4, 2, 2) * 16, 2)\n"
        "list(s.batches(0, 1))\n"
        "sys.exit('mindspore' in sys.modules)"
    )
    env = {"PYTHONPATH": ":".join(p or "." for p in sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


# Ranges that a wrong scaling leaves

SHADES = np.random.default_rng(3).integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
SHADES[0, 0, 0, :2] = 0, 255
UNIT = SHADES / 127.5 - 1
# What is wrong with an array, and what its line says.
ODD = {
    "x / 255": (SHADES / 255, r"are in \[0, 1\].*ToTensor.*x / 127.5 - 1.*2 \* x - 1"),
    "x / 255 of pictures without black": (SHADES / 255 * 0.8 + 0.1, r"are in \[0, 1\]"),
    "x / 256": (SHADES / 256, r"are in \[0, 1\]"),
    "x / 255 in half precision": ((SHADES / 255).astype(np.float16), r"are in \[0, 1\]"),
    "x / 255 - 0.5": (SHADES / 255 - 0.5, r"are in \[-0.5, 0.5\].*x / 127.5 - 1.*2 \* x"),
    "x / 255 - 1": (SHADES / 255 - 1, r"are in \[-1, 0\].*2 \* x \+ 1"),
    "scaled twice": (SHADES / 255 / 127.5 - 1, r"range over \[-1, -0.9922\] only; were they scaled twice\?"),
    "divided twice": (SHADES / 255 / 255, r"range over \[0, 0.003922\] only; were they scaled twice\?"),
    "0 to 16 for 0 to 255": ((SHADES // 16 / 127.5 - 1), r"range over \[-1, -0.8824\] only"),
    "bytes 0 and 1": ((SHADES > 127).astype(np.uint8), r"contain only 0 and 1, almost black; .*x \* 255"),
    "floats cut off to bytes": ((SHADES / 255).astype(np.uint8), "contain only 0 and 1"),
    "bytes 0 to 16": (np.minimum(SHADES, 16), r"contain nothing above 16, almost black; .*x \* 15.94"),
    "one byte and its neighbour": (
        np.where(SHADES > 9, np.uint8(200), np.uint8(201)),
        "are between 200 and 201 of 255",
    ),
}
PHOTOGRAPHS = np.random.default_rng(4).normal(0, 0.2, (64, 3, 8, 8)).clip(-1, 1)
USUAL = {
    "a placeholder": np.zeros_like(SHADES),
    "a grey placeholder": np.full_like(UNIT, 0.25),
    "noise": UNIT,
    "bytes": SHADES,
    "mid-grey photographs": PHOTOGRAPHS,
    "flat photographs": PHOTOGRAPHS / 4,
    "dark photographs": (PHOTOGRAPHS - 0.5).clip(-1, 1),
    "bright photographs": (PHOTOGRAPHS + 0.5).clip(-1, 1),
    "black and white": np.where(SHADES > 127, 1.0, -1.0),
    "black and white bytes": np.where(SHADES > 250, np.uint8(255), np.uint8(0)),
}


@pytest.mark.parametrize(("images", "told"), ODD.values(), ids=ODD.keys())
def test_a_range_that_a_wrong_scaling_leaves_is_told_once(images: np.ndarray, told: str) -> None:
    with pytest.warns(GanWarning, match=told) as warned:
        source = ArraySource(images, 8, name="mine")
        list(source.batches(0, 1))
        list(source.batches(0, 2))
    assert len(warned) == 1 and warned[0].filename == __file__
    assert str(warned[0].message).startswith("mine: ") and "\n" not in str(warned[0].message)


@pytest.mark.parametrize("images", USUAL.values(), ids=USUAL.keys())
def test_a_usual_range_is_not_commented_upon(images: np.ndarray) -> None:
    ArraySource(images, 8)  # a GanWarning would fail the test


def test_no_batch_of_digits_is_odd() -> None:
    for batch in mnist(count=5000, batch_size=8).batches(0, 1):
        check_usual_range("digits", batch["real"])


def test_the_line_of_an_array_in_another_source_is_the_users(tmp_path: Path) -> None:
    for name in ("pictures", "idx"):
        (tmp_path / name).mkdir()
    for number in range(4):
        Image.fromarray((SHADES[number, 0] > 127).astype(np.uint8)).save(tmp_path / "pictures" / f"{number}.png")
    (tmp_path / "idx" / "train-images-idx3-ubyte").write_bytes(idx_bytes(SHADES[:, 0] // 255))
    for read in (
        lambda: folder_images(tmp_path / "pictures", size=8, batch_size=4),
        lambda: idx_images(tmp_path / "idx"),
    ):
        with pytest.warns(GanWarning, match="contain only 0 and 1") as warned:
            read()
        assert warned[0].filename == __file__


class Mine:
    """A source of somebody's own."""

    name, batch_size, count, image_shape, steps_per_epoch = "mine", 8, 64, (1, 8, 8), 8


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (SHADES[:8], "mine: a batch is uint8, expected floats"),
        (SHADES[:8].astype(np.float32), r"mine: images range over \[0, 255\]"),
        (UNIT[:7], r"mine: a batch has shape \(7, 1, 8, 8\), expected an array of shape \(8, 1, 8, 8\)"),
        (UNIT[:8, 0], "a batch has shape"),
        ([UNIT[:8]], "a batch has type list"),
        (UNIT[:8] * np.nan, "not finite"),
    ],
)
def test_a_first_batch_of_another_source_is_looked_at(batch: np.ndarray, told: str) -> None:
    check_batch(Mine(), UNIT[:8])  # type: ignore[arg-type]
    with pytest.raises(DataError, match=told) as error:
        check_batch(Mine(), batch)  # type: ignore[arg-type]
    one_line(error)


COLUMNS = {"real": UNIT[:8], "labels": np.arange(8), "target": UNIT[:8, :, :4]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"real": SHADES[:8]}, "mine: a batch is uint8, expected floats"),
        ({"target": SHADES[:8]}, "mine, column 'target': a batch is uint8, expected floats"),
        ({"target": UNIT[:8] * 255}, "mine, column 'target': images range over"),
        ({"target": UNIT[:8] * np.nan}, "mine, column 'target': images contain values that are not finite"),
        (
            {"target": UNIT[:7]},
            r"mine, column 'target': a batch has shape \(7, 1, 8, 8\), expected an array with 8",
        ),
        (
            {"labels": np.arange(7)},
            r"mine, column 'labels': a batch has shape \(7,\), expected an array with 8 rows",
        ),
        ({"labels": np.array(3)}, r"mine, column 'labels': a batch has shape \(\), expected an array with 8 rows"),
        ({"labels": list(range(8))}, "mine, column 'labels': a batch has type list"),
        ({"real": UNIT[:7]}, r"mine: a batch has shape \(7, 1, 8, 8\), expected an array of shape \(8, 1, 8, 8\)"),
        ({0: UNIT[:8]}, "mine: the columns of a batch are named by strings, not by 'real', 'labels', 'target', 0"),
    ],
)
def test_every_column_of_a_first_batch_is_looked_at(changes: dict, told: str) -> None:
    check_batch(Mine(), COLUMNS)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=told) as error:
        check_batch(Mine(), COLUMNS | changes)  # type: ignore[arg-type]
    one_line(error)


def test_columns_are_those_that_are_declared() -> None:
    mine = Mine()
    mine.columns = ("labels", "real")  # type: ignore[attr-defined]
    with pytest.raises(
        DataError, match=r"has the columns real, labels, target, but the source declares columns = "
    ):
        check_batch(mine, COLUMNS)  # type: ignore[arg-type]
    check_batch(mine, {"real": UNIT[:8], "labels": np.arange(8)})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="not by none"):
        check_batch(mine, {})  # type: ignore[arg-type]


def test_a_first_batch_of_another_source_in_0_to_1_is_told() -> None:
    with pytest.warns(GanWarning, match=r"mine: images are in \[0, 1\]"):
        check_batch(Mine(), (SHADES[:8] / 255))  # type: ignore[arg-type]
