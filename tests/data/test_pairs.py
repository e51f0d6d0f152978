"""pairs() and unpaired(): rows stay together or are shuffled apart, from arrays, folders and halves of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ms_gan_callbacks import (
    ArraySource,
    DataError,
    GanError,
    GanWarning,
    RecipeError,
    folder_images,
    pairs,
    unpaired,
)
from ms_gan_callbacks.data.columns import list_columns, take_columns
from ms_gan_callbacks.data.labels import check_labels, hash_labels, read_with_labels
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.data.sources import check_source, make_source

from .conftest import one_line


def numbered(count: int, side: int = 2, channels: int = 1) -> np.ndarray:
    """Images whose pixels are their number, but for a white corner."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, channels, side, side), np.uint8)
    images[..., -1, -1] = 255
    return images


def ids(batch: dict[str, np.ndarray], column: str) -> list[int]:
    rows = batch[column]
    return rows.tolist() if rows.ndim == 1 else np.rint((rows[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def all_ids(source: Any, column: str, seed: int = 3, epoch: int = 2, start: int = 0) -> list[list[int]]:
    return [ids(batch, column) for batch in source.batches(seed, epoch, start)]


def edges_and_photos(count: int = 20, **options: Any) -> Any:
    return pairs(source=numbered(count), target=numbered(count, 4, 3), weights=np.arange(count), **options)


def a_and_b(**options: Any) -> Any:
    return unpaired(**({"a": numbered(20), "b": numbered(30, 4, 3), "batch_size": 4} | options))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 40), size=st.integers(1, 40), seed=st.integers(0, 2**40), epoch=st.integers(1, 9))
def test_pairs_have_the_order_of_an_array_source_in_every_column(
    count: int, size: int, seed: int, epoch: int
) -> None:
    if size > count:
        with pytest.raises(DataError, match=f"pairs: {count} rows do not fill one batch of {size}"):
            edges_and_photos(count, batch_size=size)
        return
    source, single = edges_and_photos(count, batch_size=size), ArraySource(numbered(count), size)
    expected = [ids(batch, "real") for batch in single.batches(seed, epoch)]
    assert source.steps_per_epoch == single.steps_per_epoch == len(expected)
    for column in ("source", "target", "weights"):
        assert all_ids(source, column, seed, epoch) == expected


def test_images_and_labels_as_pairs_are_an_array_source() -> None:
    labels = np.arange(20) % 3
    source, single = (
        pairs(real=numbered(20), labels=labels, batch_size=4),
        ArraySource(numbered(20), 4, labels=labels),
    )
    for one, other in zip(source.batches(5, 2, 1), single.batches(5, 2, 1), strict=True):
        assert all(np.array_equal(one[column], other[column]) for column in ("real", "labels"))
    assert hash_labels(source) == hash_labels(single)
    check_labels(source, 3)
    assert next(read_with_labels(source, 3, 0, 1))["labels"].dtype == np.int32
    with pytest.raises(DataError, match="pairs: labels range from 0 to 2, but classes=2"):
        check_labels(source, 2)


def test_columns_of_unpaired_have_orders_of_their_own_and_the_shortest_ends_the_epoch() -> None:
    source = a_and_b()
    assert (source.count, source.steps_per_epoch) == (20, 5)
    for seed, epoch in ((0, 1), (0, 2), (1, 1)):
        for column, count in (("a", 20), ("b", 30)):
            expected = stream(seed, f"data {column}", epoch).permutation(count)[:20].tolist()
            assert np.concatenate(all_ids(source, column, seed, epoch)).tolist() == expected
    seen = np.concatenate([all_ids(source, "b", 0, epoch) for epoch in range(1, 9)])
    assert set(seen.ravel().tolist()) == set(range(30))
    alone = unpaired(b=numbered(30, 4, 3), c=numbered(22), batch_size=4)
    assert all_ids(alone, "b") == all_ids(source, "b")  # whatever the other columns are


@pytest.mark.parametrize("build", [edges_and_photos, a_and_b])
def test_a_place_decides_its_batches(build: Callable[..., Any]) -> None:
    source = build(batch_size=3)
    whole = {column: all_ids(source, column) for column in source.columns}
    for start in range(source.steps_per_epoch + 1):
        again = build(batch_size=3)
        for column in source.columns:
            assert all_ids(again, column, start=start) == whole[column][start:]
    for column in source.columns:
        assert len({str(all_ids(source, column, seed, epoch)) for seed in (0, 1) for epoch in (1, 2)}) == 4
    with pytest.raises(DataError, match="cannot start after"):
        source.batches(0, 1, source.steps_per_epoch + 1)
    with pytest.raises(DataError, match="epochs are counted from 1"):
        source.batches(0, 0)


def test_batches_are_scaled_fresh_and_contiguous() -> None:
    floats = np.linspace(-1, 1, 40).reshape(10, 2, 2)
    source = pairs(grey=False, a=numbered(10, 3, 3), b=floats, c=np.arange(10, dtype=np.uint8), batch_size=5)
    for batch in source.batches(0, 1):
        assert {column: (rows.shape, rows.dtype) for column, rows in batch.items()} == {
            "a": ((5, 3, 3, 3), np.float32),
            "b": ((5, 1, 2, 2), np.float32),
            "c": ((5,), np.uint8),
        }
        assert batch["a"].max() == 1
        for rows in batch.values():
            assert rows.flags.c_contiguous and rows.flags.writeable
            rows[:] = 0
    assert np.array_equal(source.arrays["a"], numbered(10, 3, 3))
    assert np.array_equal(source.arrays["b"][:, 0], floats.astype(np.float32))


def test_what_a_source_has_to_have() -> None:
    source = edges_and_photos(batch_size=6)
    assert make_source(source) is source
    check_source(source, 0)
    assert list_columns(source) == ("source", "target", "weights")
    assert (source.name, source.count, source.image_shape, source.steps_per_epoch) == ("pairs", 20, (1, 2, 2), 3)
    assert take_columns(source, 7)["target"].shape == (7, 3, 4, 4)
    assert pairs(labels=np.arange(4), b=numbered(4, 3), batch_size=2).image_shape == (1, 3, 3)
    assert pairs(a=numbered(4), b=numbered(4), batch_size=2, name="mine").name == "mine"


COLUMNS = {"a": numbered(6), "b": numbered(6, 3, 3), "c": np.arange(6)}
CHANGED = {
    "pixels of a": {"a": numbered(6)[::-1]},
    "pixels of b": {"b": np.minimum(numbered(6, 3, 3), 254)},
    "values of c": {"c": np.arange(6) + 1},
    "type of c": {"c": np.arange(6, dtype=np.int32)},
    "shape of b": {"b": numbered(6, 3, 3).reshape(6, 1, 9, 3)},
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED.keys())
@pytest.mark.parametrize("build", [pairs, unpaired])
def test_sha256_is_of_every_column(build: Callable[..., Any], change: dict) -> None:
    digest = build(**COLUMNS, batch_size=2).sha256()
    assert build(**dict(reversed(COLUMNS.items())), batch_size=3).sha256() == digest
    assert build(**(COLUMNS | change), batch_size=2).sha256() != digest
    renamed = {{"a": "b", "b": "a"}.get(column, column): rows for column, rows in COLUMNS.items()}
    assert build(**renamed, batch_size=2).sha256() != digest
    assert len(digest) == len(hashlib.sha256().hexdigest())


def test_odd_ranges_are_told_of_each_column_by_name() -> None:
    shades = np.arange(128, dtype=np.uint8).reshape(2, 1, 8, 8) * 2
    with pytest.warns(GanWarning) as warned:
        pairs(a=shades, b=shades / 255, c=(shades > 99).astype(np.uint8), batch_size=1, name="mine")
    told = [str(one.message) for one in warned]
    assert len(told) == 2 and {one.filename for one in warned} == {__file__}
    assert told[0].startswith("mine, column 'b': images are in [0, 1]")
    assert told[1].startswith("mine, column 'c': images are uint8 but contain only 0 and 1")


# Folders


def write(folder: Path, names: list[str], width: int = 4, height: int = 4, first: int = 0) -> Path:
    """Write images of numbers from ``first``, in the order of the names, with a white corner."""
    for number, name in enumerate(names, first):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((height, width), number, np.uint8)
        pixels[-1, -1] = 255
        Image.fromarray(pixels).save(folder / name)
    return folder


def test_folders_are_matched_by_the_names_of_their_images() -> None:
    write(Path("edges"), ["10.png", "9.png", "x/a.b.png"])
    write(Path("photos"), ["10.bmp", "9.png", "x/a.b.gif"], width=6)
    source = pairs(source="edges", target=Path("photos"), index=np.arange(3), batch_size=3, grey=True)
    assert source.arrays["source"].shape == (3, 1, 4, 4) and source.arrays["target"].shape == (3, 1, 4, 6)
    assert (
        source.arrays["source"][:, 0, 0, 0].tolist() == source.arrays["target"][:, 0, 0, 0].tolist() == [0, 1, 2]
    )
    for batch in source.batches(0, 1):
        assert ids(batch, "source") == ids(batch, "target") == ids(batch, "index")


def test_a_folder_is_decoded_as_folder_images_does() -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        Path("a").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(f"a/{number}.png")
    expected = folder_images("a", size=8, batch_size=1).images
    for build in (pairs, unpaired):
        source = build(a="a", b=expected, size=8, batch_size=1)
        assert np.array_equal(source.arrays["a"], expected)
        assert build(a="a", b=expected, batch_size=1).image_shape == (3, 20, 30)


def test_a_damaged_image_is_left_out_with_its_row() -> None:
    names = [f"{number}.png" for number in range(6)]
    write(Path("a"), names), write(Path("b"), names)
    Path("a/1.png").write_bytes(b"x")
    Path("b/4.png").write_bytes(b"")
    Path("b/notes.txt").touch()
    with pytest.warns(GanWarning) as warned:
        source = pairs(a="a", b="b", c=np.arange(6), batch_size=4, grey=True)
    rows = " (their rows are left out of all columns)"
    other = "1 file of another type (notes.txt)"
    assert [str(one.message) for one in warned] == [
        f"a: left out: 1 of 6 images, which cannot be read: 1.png (not an image){rows}",
        f"b: left out: 1 of 6 images, which cannot be read: 4.png (empty){rows}; {other}",
    ]
    assert source.arrays["c"].tolist() == [0, 2, 3, 5]
    assert source.arrays["a"][:, 0, 0, 0].tolist() == source.arrays["b"][:, 0, 0, 0].tolist() == [0, 2, 3, 5]
    with pytest.warns(GanWarning):
        apart = unpaired(a="a", b="b", c=np.arange(6), batch_size=4, grey=True)
    assert [len(apart.arrays[column]) for column in "abc"] == [5, 5, 6]


def write_halves(folder: str, count: int = 3, width: int = 8) -> Path:
    """Write images whose left half is their number and whose right half is 100 more; corners are white."""
    for number in range(count):
        pixels = np.full((4, width, 3), number, np.uint8)
        pixels[:, width // 2 :] += 100
        pixels[-1, [width // 2 - 1, -1]] = 255
        Path(folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(Path(folder) / f"{number}.png")
    return Path(folder)


def test_the_left_half_is_the_first_column() -> None:
    write_halves("facades/train")
    source = pairs("facades/train", batch_size=1, columns=("edges", "photo"))
    assert (source.name, source.columns, source.count) == ("facades train", ("edges", "photo"), 3)
    assert source.image_shape == (3, 4, 4) and source.arrays["photo"].shape == (3, 3, 4, 4)
    assert source.arrays["edges"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert source.arrays["photo"][:, 2, 0, 0].tolist() == [100, 101, 102]
    assert [one + 100 for [one] in all_ids(source, "edges")] == [one for [one] in all_ids(source, "photo")]
    small = pairs(write_halves("mine"), batch_size=1, size=2, grey=True)
    assert (small.name, small.columns, small.image_shape) == ("mine", ("source", "target"), (1, 2, 2))
    assert small.arrays["target"][:, 0, 0, 0] == pytest.approx([100, 101, 102], abs=2)


def test_more_than_two_columns_may_lie_side_by_side() -> None:
    pixels = np.repeat(np.array([[0, 100, 200]], np.uint8), 3, axis=1).repeat(3, axis=0)
    Path("three").mkdir()
    Image.fromarray(pixels).save("three/a.png")
    source = pairs("three", columns=["a", "b", "c"], batch_size=1, grey=True)
    assert [int(source.arrays[column].mean()) for column in source.columns] == [0, 100, 200]


def test_a_damaged_image_of_halves_is_left_out() -> None:
    write_halves("train")
    Path("train/1.png").write_bytes(b"x")
    with pytest.warns(GanWarning, match=r"train: left out: 1 of 3 images, which cannot be read: 1.png"):
        source = pairs("train", batch_size=1)
    assert source.arrays["source"][:, 0, 0, 0].tolist() == [0, 2]
    assert source.arrays["target"][:, 0, 0, 0].tolist() == [100, 102]


def test_a_folder_of_two_domains_is_found_by_its_split() -> None:
    for folder, count in (("trainA", 3), ("trainB", 4), ("testA", 2), ("testB", 1)):
        write(Path("horse2zebra") / folder, [f"{number}.png" for number in range(count)])
    train, test = unpaired("horse2zebra"), unpaired("horse2zebra", split="test", grey=True)
    assert (train.name, train.columns, train.batch_size, train.count) == ("horse2zebra train", ("a", "b"), 1, 3)
    assert (test.name, test.count, test.image_shape) == ("horse2zebra test", 1, (1, 4, 4))
    assert len(train.arrays["b"]) == 4


def folders() -> None:
    """Write the folders that the wrong calls below name."""
    write(Path("edges"), ["1.png", "2.png", "3.png"])
    write(Path("photos"), ["1.png", "2.png", "4.png"])
    write(Path("twice"), ["1.png", "1.bmp", "2.png"])
    write(Path("sizes"), ["1.png"], width=6)
    write(Path("sizes"), ["2.png"], width=8)
    write(Path("odd/train"), ["1.png"], width=8)
    write(Path("odd/train"), ["2.png"], width=7)
    write(Path("apple2orange/trainA"), ["1.png"])
    write(Path("apple2orange/trianB"), ["1.png"])
    Path("void").mkdir()
    Path("file").touch()
    write(Path("bad"), ["1.png"])
    for number in (2, 3):
        Path(f"bad/{number}.png").write_bytes(b"x")


A, B = numbered(6), numbered(6, 3, 3)
WRONG: list[tuple[Callable[[], Any], str]] = [
    (pairs, "pairs needs at least two columns, such as source=.*, got none"),
    (lambda: pairs(a=A), "pairs needs at least two columns, such as source=.*, got only 'a'"),
    (lambda: pairs(A), r"pairs takes columns by name, pairs\(a=..., b=...\), not ndarray"),
    (lambda: unpaired([A, B]), r"unpaired takes columns by name, unpaired\(a=..., b=...\), not list"),
    (lambda: pairs(a=A, b=B[:5]), "pairs: all columns need the same number of rows, but 'a' has 6, 'b' has 5"),
    (lambda: pairs(a=A, b="edges"), "pairs: all columns need the same number of rows, but 'a' has 6, 'b' has 3"),
    (lambda: pairs(a=A, b=[1, 2]), "pairs: column 'b' must be an array or a folder of images, not list"),
    (
        lambda: pairs(a=A, b=B, batchsize=4),
        "'batchsize' must be .* not int; options: did you mean 'batch_size'",
    ),
    (lambda: pairs(a=A, b=np.array(3)), "pairs: column 'b' must be an array .*, not array without rows"),
    (lambda: pairs(a=A, b=B.astype(int)), "pairs, column 'b': images are int64; images must be uint8"),
    (lambda: pairs(a=A, b=B / 1.0), r"pairs, column 'b': images range over \[0, 255\]"),
    (lambda: unpaired(a=A, b=B * np.nan), "unpaired, column 'b': images contain values that are not finite"),
    (
        lambda: pairs(a=A, b=np.zeros((6, 5, 1, 1, 1))),
        r"pairs, column 'b': images must be \(N, C, H, W\) or .* \(6, 5, 1, 1, 1\)",
    ),
    (lambda: pairs(a=A, b=np.zeros((0, 1, 2, 2))), "all columns need the same number of rows"),
    (lambda: unpaired(a=A, b=np.zeros(0, int)), "unpaired, column 'b': there are no rows"),
    (lambda: pairs(a=A, b=np.arange(6) / 2), "pairs, column 'b': one value per row must be a whole number"),
    (lambda: pairs(a=np.arange(6), b=np.arange(6)), "pairs: at least one column must contain images, got a, b"),
    (lambda: pairs(a=A, b=B, batch_size=7), "pairs: 6 rows do not fill one batch of 7"),
    (lambda: unpaired(a=A, b=B[:2], batch_size=3), "unpaired: 2 rows of column 'b' do not fill one batch of 3"),
    (lambda: pairs(a=A, b=B, batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
    (lambda: pairs(a=A, b=B, size=8), "pairs: size= and grey= apply to folders of images"),
    (lambda: unpaired(a=A, b=B, grey=True), "unpaired: size= and grey= apply to folders of images"),
    (lambda: pairs("odd/train", size=0), r"pairs\(size=...\) must be a whole number of at least 1, got 0"),
    (lambda: pairs("odd/train", grey="L"), r"pairs\(grey=...\) takes True or False, not 'L'"),
    (lambda: pairs("odd/train", a=A), "pairs takes a folder or columns by name, not both: remove a"),
    (lambda: unpaired("odd", a=A, b=B), "unpaired takes a folder or columns by name, not both: remove a, b"),
    (lambda: pairs(a=A, b=B, columns=("a", "b")), r"pairs\(columns=...\) names the parts of images in a folder"),
    (lambda: pairs("odd/train", columns=("a", "a")), r"columns=...\) takes two or more different names"),
    (lambda: pairs("odd/train", columns="ab"), r"columns=...\) takes two or more different names, .* not 'ab'"),
    (
        lambda: pairs("odd/train"),
        "odd/train/2.png is 7 pixels wide, which is not divisible by 2: expected 2",
    ),
    (lambda: pairs("odd/trian"), "pairs: data folder 'odd/trian' does not exist; did you mean 'odd/train'?"),
    (lambda: pairs("void"), "pairs: void has no images .*: it is empty"),
    (
        lambda: pairs(a=A, b="file"),
        "pairs, column 'b': file is a file, expected the folder",
    ),
    (lambda: pairs(a="edgse", b="photos"), "pairs, column 'a': data folder 'edgse' does not exist; .* 'edges'?"),
    (
        lambda: pairs(a="edges", b="photos"),
        "folders of 'a' and 'b' need images of the same names: photos has no 3; edges has no 4",
    ),
    (lambda: pairs(a="edges", b="twice"), "column 'b': twice has two images of one name: 1.bmp and 1.png"),
    (lambda: unpaired(a="edges", b="sizes"), r"sizes/2.png is 8 x 4 pixels, but sizes/1.png is 6 x 4: pass size="),
    (lambda: unpaired(a="edges", b="bad"), "2 of 3 images in bad cannot be read: 2.png .*, 3.png"),
    (
        lambda: unpaired("apple2orange"),
        "apple2orange has no folder 'trainB': did you mean 'trianB'\\? ",
    ),
    (
        lambda: unpaired("apple2orange", split="test"),
        "has no folder 'testA': available: trainA, trianB",
    ),
    (lambda: unpaired("aple2orange"), "data folder 'aple2orange' does not exist; did you mean 'apple2orange'?"),
    (lambda: unpaired(a=A, b=B, split="test"), r"unpaired\(split=...\) selects folders such as trainA"),
    (lambda: unpaired(a=A, b=B, labels=np.arange(6)), "unpaired: labels would be shuffled apart .* use pairs"),
]


@pytest.mark.parametrize(("build", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_wrong_call_is_one_line_that_names_what_is_wrong(build: Callable[[], Any], told: str) -> None:
    folders()
    with pytest.raises(GanError, match=told) as error:
        build()
    assert isinstance(error.value, (DataError, RecipeError))
    one_line(error)


def test_vectors_are_a_column_of_floats_and_must_be_finite() -> None:
    images = np.tile(np.arange(0, 240, 40, dtype=np.uint8)[:, None, None, None], (1, 1, 4, 4))
    vectors = np.arange(12, dtype=np.int64).reshape(6, 2)
    for batch in pairs(real=images, attributes=vectors, batch_size=3).batches(0, 1):
        assert batch["attributes"].dtype == np.float32
        rows = np.rint((batch["real"][:, 0, 0, 0] + 1) * 127.5 / 40).astype(int)
        np.testing.assert_array_equal(batch["attributes"], vectors[rows])
    with pytest.raises(DataError, match="column 'attributes': vectors contain values that are not finite"):
        pairs(real=images, attributes=np.full((6, 2), np.inf), batch_size=3)
