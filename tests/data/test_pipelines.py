"""DatasetSource over real mindspore.dataset pipelines."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("GLOG_v", "4")

import mindspore.dataset as ds
from mindspore.dataset import vision

from ms_gan_callbacks.data.columns import list_columns
from ms_gan_callbacks.data.pipelines import DatasetSource
from ms_gan_callbacks.data.protocol import Columns, Source
from ms_gan_callbacks.data.sources import make_source
from ms_gan_callbacks.errors import DataError, GanWarning, RecipeError

from .conftest import one_line

PIXELS = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 3), np.uint8)
PIXELS[..., -1, -1] = 255
TARGETS = np.arange(10, dtype=np.int32)


def raw(images: np.ndarray = PIXELS, **options: Any) -> ds.Dataset:
    return ds.NumpySlicesDataset({"image": images, "label": TARGETS[: len(images)]}, **options)


class Indexed:
    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        return (PIXELS[index],)


PIPELINES: dict[str, Callable[[], ds.Dataset]] = {
    "remainder": lambda: raw().batch(3),
    "no remainder": lambda: raw().batch(3, drop_remainder=True),
    "even": lambda: raw().batch(5),
    "shuffle op": lambda: raw(shuffle=False).shuffle(10).batch(3),
    "generator": lambda: ds.GeneratorDataset(Indexed(), ["image"], shuffle=True).batch(3),
    "mapped": lambda: raw().map(lambda image: image, ["image"]).batch(3).project(["image"]),
    "repeated": lambda: raw().batch(5).repeat(2),
}


def ids(batch: Columns) -> tuple[int, ...]:
    return tuple(np.rint((batch["real"][:, 0, 0, 0] + 1) * 127.5).astype(int).tolist())


def epoch_ids(source: Source, seed: int, epoch: int, start: int = 0) -> list[tuple[int, ...]]:
    return [ids(batch) for batch in source.batches(seed, epoch, start)]


@pytest.mark.parametrize("build", PIPELINES.values(), ids=PIPELINES.keys())
def test_a_place_decides_its_batches_whatever_came_before(build: Callable[[], ds.Dataset]) -> None:
    source = DatasetSource(build())
    straight = {epoch: epoch_ids(source, 7, epoch) for epoch in (1, 2, 3)}
    assert all(len(batches) == source.steps_per_epoch for batches in straight.values())
    assert len({str(batches) for batches in straight.values()}) == 3, "epochs repeat the same shuffle"
    ds.config.set_seed(99)
    other = DatasetSource(build())
    for epoch, start in [(3, 1), (1, 0), (2, 1), (2, 0), (3, 0), (1, source.steps_per_epoch), (2, 0)]:
        assert epoch_ids(other, 7, epoch, start) == straight[epoch][start:]
    assert epoch_ids(other, 8, 1) != straight[1]


def test_an_epoch_holds_each_image_at_most_once_and_no_short_batch() -> None:
    source = DatasetSource(PIPELINES["remainder"]())
    for epoch in (1, 2):
        batches = epoch_ids(source, 0, epoch)
        assert [len(batch) for batch in batches] == [3, 3, 3]
        assert len(set(sum(batches, ()))) == 9


@pytest.mark.parametrize(
    ("name", "steps", "count"),
    [("remainder", 3, 10), ("no remainder", 3, 10), ("even", 2, 10), ("mapped", 3, 10), ("repeated", 4, 20)],
)
def test_what_a_source_tells_of_itself(name: str, steps: int, count: int) -> None:
    source = make_source(PIPELINES[name](), batch_size=77)
    assert isinstance(source, DatasetSource)
    assert (source.steps_per_epoch, source.count, source.image_shape) == (steps, count, (1, 2, 3))
    assert source.name == "NumpySlicesDataset" and source.batch_size == (5 if name in ("even", "repeated") else 3)
    assert source.sha256() is None


def test_a_broken_off_epoch_goes_on_with_the_same_iterator(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = ds.Dataset.create_tuple_iterator

    def counting(self: ds.Dataset, *args: Any, **options: Any) -> Any:
        made.append(self.get_init_step())
        return original(self, *args, **options)

    expected = epoch_ids(DatasetSource(PIPELINES["remainder"]()), 7, 1)
    monkeypatch.setattr(ds.Dataset, "create_tuple_iterator", counting)
    source = DatasetSource(PIPELINES["remainder"]())
    first = source.batches(7, 1)
    taken = [ids(next(first))]
    first.close()  # type: ignore[attr-defined]
    taken += epoch_ids(source, 7, 1, 1)
    assert taken == expected
    epoch_ids(source, 7, 2)
    assert made == [0], "going on should not start a pipeline anew"
    epoch_ids(source, 7, 2)
    assert made == [0, 4], "going back must"


def test_two_walks_at_once_do_not_share_an_iterator() -> None:
    source = DatasetSource(PIPELINES["remainder"]())
    pairs = list(zip(source.batches(7, 1), source.batches(7, 1), strict=True))
    assert len(pairs) == 3 and all((one["real"] == other["real"]).all() for one, other in pairs)
    next(source.batches(7, 1))  # leaves an iterator behind that stands where both of these begin
    pairs = list(zip(source.batches(7, 1, 1), source.batches(7, 1, 1), strict=True))
    assert len(pairs) == 2 and all((one["real"] == other["real"]).all() for one, other in pairs)


def test_the_hosts_seeds_and_the_authors_pipeline_are_left_as_they_were() -> None:
    pipeline = raw(shuffle=False).batch(3)
    source = DatasetSource(pipeline)
    ds.config.set_seed(41)
    random.seed(1)
    np.random.seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]
    next(source.batches(7, 2, 1))
    assert ds.config.get_seed() == 41
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # type: ignore[index]
    assert [len(row[0]) for row in pipeline.create_tuple_iterator(num_epochs=1)] == [3, 3, 3, 1]


def test_two_sources_can_share_a_pipeline() -> None:
    pipeline = PIPELINES["remainder"]()
    one, other = DatasetSource(pipeline), DatasetSource(pipeline)
    walk = one.batches(7, 2)
    assert [ids(next(walk)), *map(ids, walk)] == epoch_ids(other, 7, 2)
    assert len(epoch_ids(DatasetSource(pipeline.map(lambda image: image, ["image"])), 7, 1)) == 3


CODE = """
import numpy as np, mindspore.dataset as ds
from ms_gan_callbacks.data.columns import list_columns
from ms_gan_callbacks.data.pipelines import DatasetSource
pixels = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 3), np.uint8)
source = DatasetSource(ds.NumpySlicesDataset({"image": pixels}).shuffle(6).batch(3))
print([np.rint((b["real"][:, 0, 0, 0] + 1) * 127.5).astype(int).tolist() for b in source.batches(7, 3, 1)])
"""


@pytest.mark.slow
def test_a_new_process_resumes_in_mid_epoch() -> None:
    source = DatasetSource(ds.NumpySlicesDataset({"image": PIXELS}).shuffle(6).batch(3))
    for epoch in (1, 2):
        epoch_ids(source, 7, epoch)
    expected = [list(batch) for batch in epoch_ids(source, 7, 3)[1:]]
    env = {**os.environ, "PYTHONPATH": ":".join(p or "." for p in sys.path)}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)


def test_mindspores_augmentation_is_replayed_without_fast_recovery() -> None:
    lopsided = 4 * np.arange(60, dtype=np.uint8).reshape(10, 2, 3, 1)

    def build() -> DatasetSource:
        return DatasetSource(raw(lopsided).map(vision.RandomHorizontalFlip(0.5), ["image"]).batch(3))

    straight = [batch["real"].tolist() for epoch in (1, 2) for batch in build().batches(7, epoch)]
    fast = ds.config.get_fast_recovery()
    ds.config.set_fast_recovery(False)
    try:
        assert [batch["real"].tolist() for batch in build().batches(7, 2, 1)] == straight[4:]
    finally:
        ds.config.set_fast_recovery(fast)


def test_uint8_is_scaled_and_floats_are_kept() -> None:
    (scaled,) = DatasetSource(
        raw(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1), shuffle=False).batch(2)
    ).batches(0, 1)
    scaled = scaled["real"]
    assert scaled.dtype == np.float32 and scaled.ravel().tolist() == [-1, 1]
    doubles = np.array([-0.25, 0.75]).reshape(2, 1, 1, 1)
    (kept,) = DatasetSource(raw(doubles, shuffle=False).batch(2)).batches(0, 1)
    kept = kept["real"]
    assert kept.dtype == np.float32 and kept.ravel().tolist() == [-0.25, 0.75]
    kept += 1  # fresh, hence ours


MANY = [
    lambda: raw().repeat(300).batch(10).repeat(10),
    pytest.param(lambda: raw().batch(10).repeat(3000), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("build", MANY)
def test_many_repeats_do_not_overflow(build: Callable[[], ds.Dataset]) -> None:
    source = DatasetSource(build())  # unbounded, the process would hang or be killed by a signal
    assert source.steps_per_epoch == 3000
    assert len(epoch_ids(source, 7, 1, 2990)) == 10
    assert sorted(ids(next(source.batches(7, 2)))) == list(range(10))


@pytest.mark.parametrize("column", [1, "image"])
def test_the_column_may_be_named(column: int | str) -> None:
    pipeline = ds.NumpySlicesDataset({"label": TARGETS, "image": PIXELS}).batch(2)
    assert DatasetSource(pipeline, column=column, name="mine").image_shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("build", "kind", "told"),
    [
        (raw, RecipeError, r"not batched.*call .batch\(32, drop_remainder=True\)"),
        (lambda: raw().map(lambda image: image, ["image"]).repeat(2), RecipeError, "not batched"),
        (lambda: raw().batch(lambda info: 2), RecipeError, "not to a fixed size"),
        (lambda: raw().batch(3).repeat(2), RecipeError, "short batches may occur in the middle of an epoch"),
        (lambda: raw().batch(5).repeat(), RecipeError, "never ends"),
        (lambda: raw().repeat().batch(5), RecipeError, "never ends"),
        (lambda: raw().batch(11), DataError, "10 images do not fill one batch of 11"),
        (lambda: raw().batch(11, drop_remainder=True), DataError, "10 images do not fill one batch of 11"),
        (lambda: raw().project(["label"]).batch(2), DataError, "images are int32; images must be uint8"),
    ],
)
def test_a_pipeline_that_cannot_serve_is_refused(build: Any, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told) as error:
        DatasetSource(build())
    assert one_line(error).startswith("NumpySlicesDataset: ")


@pytest.mark.parametrize("column", [2, -1, "picture"])
def test_a_column_that_is_not_there_is_answered_with_those_that_are(column: int | str) -> None:
    with pytest.raises(RecipeError, match=f"mine: unknown column {column!r}; available: image, label"):
        DatasetSource(raw().batch(2), column=column, name="mine")


def test_the_nearest_column_is_named() -> None:
    with pytest.raises(RecipeError, match="mine: unknown column 'images'; did you mean 'image'\\? Available: "):
        DatasetSource(raw().batch(2), column="images", name="mine")


def several(**columns: np.ndarray) -> ds.Dataset:
    edges = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 4), np.uint8)
    edges[..., 0, 0] = 255
    given = {"image": PIXELS, "edges": edges, "label": TARGETS[:, None], "weights": TARGETS * np.ones((2, 1))[0]}
    return ds.NumpySlicesDataset({**given, **columns}, shuffle=True).batch(3)


def test_columns_are_mapped_scaled_and_kept_in_one_order() -> None:
    wanted = {"source": "edges", "target": 0, "labels": "label", "weight": "weights"}
    source = DatasetSource(several(), columns=wanted)
    assert source.columns == list_columns(source) == tuple(wanted)
    assert (source.image_shape, source.batch_size, source.steps_per_epoch) == ((3, 4, 4), 3, 3)
    seen = list(source.batches(7, 2))
    for batch in seen:
        numbers = batch["labels"]
        assert numbers.shape == (3,) and numbers.dtype == np.int32
        assert batch["source"].shape == (3, 3, 4, 4) and batch["target"].shape == (3, 1, 2, 3)
        for column, place in (("source", (0, 1, 1)), ("target", (0, 0, 0))):
            assert batch[column].dtype == np.float32
            assert np.rint((batch[column][(slice(None), *place)] + 1) * 127.5).tolist() == numbers.tolist()
        assert batch["weight"].tolist() == numbers.tolist()
    resumed = list(DatasetSource(several(), columns=wanted).batches(7, 2, 1))
    assert [batch["labels"].tolist() for batch in resumed] == [batch["labels"].tolist() for batch in seen[1:]]


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"columns": {"source": "edgse"}}, RecipeError, "unknown column 'edgse'; did you mean 'edges'"),
        ({"columns": {"source": 4}}, RecipeError, "unknown column 4; available: image, edges, label, weights"),
        (
            {"columns": {"a": 0}, "labels": "label"},
            RecipeError,
            "columns= names all columns: leave out",
        ),
        (
            {"columns": {"a": 0}, "column": "edges"},
            RecipeError,
            "columns= names all columns: leave out",
        ),
        ({"columns": {}}, RecipeError, "columns must be a dict of the names of a batch's columns"),
        ({"columns": ["image"]}, RecipeError, "columns must be a dict .* not \\['image'\\]"),
        ({"columns": {0: "image"}}, RecipeError, "columns must be a dict"),
        ({"columns": {"source": "label"}}, DataError, "column 'source': images are int32"),
    ],
)
def test_columns_that_cannot_be_taken_are_one_line(options: Any, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=f"^mine(, |: ){told}") as error:
        DatasetSource(several(), name="mine", **options)
    one_line(error)


def test_the_range_of_each_column_of_images_is_looked_at_and_named() -> None:
    odd = np.tile(np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 1, 4, 4), (10, 1, 1, 1))
    source = DatasetSource(several(edges=odd), columns={"target": "image", "source": "edges"}, name="mine")
    with pytest.warns(GanWarning, match=r"^mine, column 'source': images are in \[0, 1\]") as warned:
        list(source.batches(0, 1))
    assert len(warned) == 1
    wild = DatasetSource(several(edges=255 * odd), columns={"target": "image", "source": "edges"}, name="mine")
    with pytest.raises(DataError, match=r"^mine, column 'source': images range over \[0, 255\]"):
        list(wild.batches(0, 1))


def test_labels_of_another_length_than_the_images_are_refused() -> None:
    pairs = ds.NumpySlicesDataset({"image": PIXELS, "label": np.ones((10, 2), np.int32)}).batch(5)
    with pytest.raises(DataError, match=r"mine: 5 images need as many labels, got \(5, 2\)"):
        list(DatasetSource(pairs, labels="label", name="mine").batches(0, 1))


@pytest.mark.parametrize(("value", "told"), [(255.0, r"range over \[255, 255\]"), (np.nan, "not finite")])
def test_floats_that_are_not_scaled_are_refused_at_the_first_batch(value: float, told: str) -> None:
    source = DatasetSource(raw(np.full((4, 1, 2, 2), value, np.float32)).batch(2))
    with pytest.raises(DataError, match=told):
        next(source.batches(0, 1))


@pytest.mark.parametrize(
    ("epoch", "start", "told"), [(0, 0, "from 1"), (1, 4, "after 4 batches"), (1, -1, "after -1")]
)
def test_a_place_in_no_epoch_is_refused_at_once(epoch: int, start: int, told: str) -> None:
    with pytest.raises(DataError, match=told):
        DatasetSource(raw().batch(3)).batches(0, epoch, start)


def test_a_pipeline_that_ends_too_early_is_told() -> None:
    length = [10]

    def images() -> Any:
        return ((image,) for image in PIXELS[: length[0]])

    source = DatasetSource(ds.GeneratorDataset(images, ["image"]).batch(3))
    assert source.steps_per_epoch == 3
    length[0] = 6
    with pytest.raises(DataError, match="the epoch ended after 2 of 3 batches"):
        list(source.batches(0, 1))


def test_batches_of_changing_size_are_told() -> None:
    pipeline = raw(shuffle=False).batch(5).map(lambda images: images[: 4 if images[0].min() else 5], ["image"])
    with pytest.raises(DataError, match=r"batch 1 has shape \(4, 1, 2, 3\), expected \(5, 1, 2, 3\)") as error:
        list(DatasetSource(pipeline).batches(0, 1))
    one_line(error)


def column(name: str, shuffle: bool = False) -> ds.Dataset:
    return raw(shuffle=shuffle).project([name])


SHORT, TO_ONE = (
    r"short batches may occur in the middle of an epoch",
    r"combines batches of 5 and 2 images: call .batch\(\) once",
)
TOO_LATE = {
    "shuffle": (
        lambda: raw().batch(4).shuffle(4),
        rf"{SHORT} \(.shuffle\(\) after .batch\(\)\): call .batch\(32, drop",
    ),
    "shuffle, then map": (lambda: raw().batch(4).shuffle(4).map(lambda image: image, ["image"]), SHORT),
    "shuffle of the only, short one": (lambda: raw().batch(8).shuffle(4).take(1), SHORT),
    "shuffle, then skip": (lambda: raw().batch(4).shuffle(4).skip(1), SHORT),
    "apply": (lambda: raw().batch(4).apply(lambda pipeline: pipeline.shuffle(3)), SHORT),
    "a random split": (lambda: raw().batch(4).split([1, 2])[0], SHORT),
    "repeat": (lambda: raw().batch(4).repeat(2), rf"{SHORT} \(.repeat\(\) after"),
    "repeat, then take": (lambda: raw().batch(4).repeat(2).take(5), SHORT),
    "concat": (lambda: raw().batch(4) + raw().batch(4), rf"{SHORT} \(\+ after .batch\(\)\)"),
    "concat of sizes": (lambda: raw().batch(5) + raw().batch(2), TO_ONE),
    "zip of sizes": (lambda: ds.zip((column("image").batch(5), column("label").batch(2))), TO_ONE),
    "filter": (
        lambda: raw().batch(5).filter(lambda image: bool(image.max()), ["image"]),
        r".filter\(\) after .batch\(\) drops an unknown number of batches: call it before .batch\(\)",
    ),
    "map to fewer": (
        lambda: raw().batch(4).map(lambda images: images[:2], ["image"]),
        r"batches of 4 become 2 images after .batch\(\), .*: change the number of images before .batch\(\)",
    ),
    "map to more": (
        lambda: raw().batch(5).map(lambda images: np.concatenate([images, images]), ["image"]),
        "batches of 5 become 10 images",
    ),
    "batch twice": (
        lambda: raw().batch(5).batch(2),
        r"batched twice, its images have the shape \(5, 1, 2, 3\): call .batch\(\) once",
    ),
    "padded_batch": (
        lambda: raw().padded_batch(5, pad_info={}),
        r"pads to the largest image of each batch; .* pad_info=\{'image': \(\[1, 2, 3\], 0\)\}",
    ),
    "padded_batch in part": (
        lambda: raw().padded_batch(5, pad_info={"image": ([1, None, 3], 0)}),
        "pads to the largest image of each batch",
    ),
}


@pytest.mark.parametrize(("build", "told"), TOO_LATE.values(), ids=TOO_LATE.keys())
def test_what_would_fail_in_mid_epoch_is_refused_at_once(build: Callable[[], ds.Dataset], told: str) -> None:
    with pytest.raises(RecipeError, match=told) as error:
        DatasetSource(build())
    assert one_line(error).startswith("NumpySlicesDataset: ")


IN_TIME = {
    "shuffle of whole batches": (lambda: raw().batch(5).shuffle(4), 2),
    "shuffle without the short one": (lambda: raw().batch(4, drop_remainder=True).shuffle(4), 2),
    "take before the short one": (lambda: raw().batch(4).take(2), 2),
    "take of all": (lambda: raw().batch(4).take(3), 2),
    "skip": (lambda: raw().batch(4).skip(1), 1),
    "concat of whole batches": (lambda: raw().batch(5) + raw().batch(5), 4),
    "a short one at the very end": (lambda: raw().batch(4, drop_remainder=True) + raw().batch(4), 4),
    "repeat of whole batches": (lambda: raw().batch(5).repeat(2), 4),
    "zip": (lambda: ds.zip((column("image").batch(4), column("label").batch(4))), 2),
    "filter before batch": (lambda: raw().filter(lambda image: bool(image.min() > 3), ["image"]).batch(3), 2),
    "padded to one size": (lambda: raw().padded_batch(4, pad_info={"image": ([1, 4, 4], 0)}), 2),
    "rename": (lambda: raw().batch(4).rename(["image"], ["picture"]), 2),
}


@pytest.mark.parametrize(("build", "steps"), IN_TIME.values(), ids=IN_TIME.keys())
def test_what_reorders_whole_batches_only_is_taken(build: Callable[[], ds.Dataset], steps: int) -> None:
    source = DatasetSource(build())
    for epoch in (1, 2):
        lengths = [len(batch["real"]) for batch in source.batches(0, epoch)]
        assert lengths == [source.batch_size] * source.steps_per_epoch
    assert source.steps_per_epoch == steps


def test_what_fails_within_a_pipeline_is_one_line_that_names_it() -> None:
    def fail(image: np.ndarray) -> np.ndarray:
        raise ValueError("no such picture")

    shrinks = column("image").batch(5, per_batch_map=lambda images, info: (images[:2],), input_columns=["image"])
    for build in (
        lambda: raw().map(fail, ["image"]).batch(2),
        lambda: raw().batch(2).map(fail, ["image"]),
        lambda: shrinks,
    ):
        with pytest.raises(DataError, match=r"^mine: the pipeline failed: ") as error:
            list(DatasetSource(build(), name="mine").batches(0, 1))
        one_line(error)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ((PIXELS / 255).astype(np.float32), r"mine: images are in \[0, 1\]"),
        (PIXELS // 255, "mine: images are uint8 but contain only 0 and 1"),
    ],
)
def test_a_range_that_a_wrong_scaling_leaves_is_told_with_the_first_batch(images: np.ndarray, told: str) -> None:
    source = DatasetSource(raw(images).batch(5), name="mine")
    with pytest.warns(GanWarning, match=told) as warned:
        for epoch, start in ((1, 1), (2, 0), (1, 0)):
            list(source.batches(0, epoch, start))
    assert len(warned) == 1 and warned[0].filename == __file__
