"""Batches are dicts of columns, whatever the source yields, and every source tells its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import tiny_runner, weights_of

from ms_gan_callbacks import ArraySource, DataError, GanWarning, Sample, mnist, pairs
from ms_gan_callbacks.data.columns import check_columns, list_columns, read_batches, take_columns, take_images
from ms_gan_callbacks.data.labels import check_labels, convert_labels, hash_labels, read_with_labels
from ms_gan_callbacks.data.protocol import Columns
from ms_gan_callbacks.data.rng import stream

from .conftest import one_line

IMAGES = np.random.default_rng(0).uniform(-1, 1, (20, 1, 4, 4)).astype(np.float32)
LABELS = np.arange(20) % 3


class Plain:
    """A source of somebody's own, of plain arrays in the order of an ArraySource."""

    name, batch_size, count, image_shape, steps_per_epoch = "plain", 4, 20, (1, 4, 4), 5

    def sha256(self) -> None:
        return None

    def _order(self, seed: int, epoch: int, start: int) -> Iterator[np.ndarray]:
        order = stream(seed, "data", epoch).permutation(20)
        return (order[4 * step : 4 * step + 4] for step in range(start, 5))

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        return (IMAGES[rows] for rows in self._order(seed, epoch, start))


class Named(Plain):
    """A source of somebody's own, of columns."""

    name = "named"

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
        return ({"labels": LABELS[rows], "real": IMAGES[rows]} for rows in self._order(seed, epoch, start))


class Declared(Named):
    columns = ["real", "labels"]


def array(**options: Any) -> ArraySource:
    return ArraySource(IMAGES, 4, **options)


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        (array(), ("real",)),
        (array(labels=LABELS), ("real", "labels")),
        (Plain(), ("real",)),
        (Named(), ("labels", "real")),
        (Declared(), ("real", "labels")),
        (mnist(count=32), ("real", "labels")),
    ],
)
def test_every_source_has_a_list_of_its_columns(source: Any, columns: tuple[str, ...]) -> None:
    assert list_columns(source) == columns
    for batch in read_batches(source, 3, 2, 1):
        assert set(batch) == set(columns)
        assert {len(rows) for rows in batch.values()} == {source.batch_size}


def test_an_attribute_of_another_meaning_does_not_name_columns() -> None:
    source = Plain()
    for columns in (8, (), "real", (1, 2), np.arange(3)):
        source.columns = columns  # type: ignore[attr-defined]
        assert list_columns(source) == ("real",)


@pytest.mark.parametrize("start", [0, 1, 5])
def test_plain_arrays_are_the_column_real(start: int) -> None:
    own, ours = list(read_batches(Plain(), 3, 2, start)), list(read_batches(array(), 3, 2, start))
    assert len(own) == len(ours) == 5 - start
    for one, other in zip(own, ours, strict=True):
        assert np.array_equal(one["real"], other["real"])


def test_the_first_rows_of_the_first_epoch_are_taken_of_each_column() -> None:
    order = stream(9, "data", 1).permutation(20)[:6]
    for source in (array(labels=LABELS), Named()):
        taken = take_columns(source, 6, seed=9)
        assert np.array_equal(taken["real"], IMAGES[order]) and np.array_equal(taken["labels"], LABELS[order])
        assert np.array_equal(take_images(source, 6, 9), IMAGES[order])
        assert np.array_equal(take_images(source, 6, 9, column="labels"), LABELS[order])
    assert np.array_equal(take_images(Plain(), 6, 9), IMAGES[order])
    for count in (0, 21):
        with pytest.raises(DataError, match=f"plain: cannot take {count} images, an epoch has 1 to 20"):
            take_columns(Plain(), count)


def test_a_column_that_is_not_there_is_answered_with_the_nearest() -> None:
    for ask in (
        lambda: take_images(Named(), 4, column="label"),
        lambda: check_columns(Named(), ["real", "label"]),
        lambda: Sample.from_source(Named(), 4, column="label"),
    ):
        with pytest.raises(
            DataError, match="named has no column 'label': did you mean 'labels'\\? Avail"
        ) as error:
            ask()
        one_line(error)
    check_columns(Named(), ["real", "labels"])


def test_a_source_without_batches_has_no_columns() -> None:
    source = Plain()
    source.batches = lambda seed, epoch, start=0: iter(())  # type: ignore[method-assign]
    with pytest.raises(DataError, match="plain: the first epoch has no batches"):
        list_columns(source)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i8", "u8", ">i4"])
def test_labels_of_any_whole_type_become_int32(kind: str) -> None:
    source = array(labels=LABELS.astype(kind))
    check_labels(source, 3)
    assert next(source.batches(0, 1))["labels"].dtype == np.dtype(kind)
    for batch, own in zip(read_with_labels(source, 3, 5, 1), Named().batches(5, 1), strict=True):
        assert batch["labels"].dtype == np.int32
        assert batch["labels"].tolist() == own["labels"].tolist()


def test_labels_are_checked_as_a_whole_in_memory_and_else_batch_by_batch() -> None:
    first = stream(0, "data", 1).permutation(20)[:4]
    wrong = LABELS.copy()
    wrong[np.setdiff1d(np.arange(20), first)[0]] = 3  # not in the first batch
    with pytest.raises(DataError, match="labels range from 0 to 3, but classes=3 requires 0 to 2"):
        check_labels(array(labels=wrong), 3)

    class Late(Named):
        def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
            return ({"real": IMAGES[i], "labels": wrong[i]} for i in self._order(seed, epoch, start))

    check_labels(Late(), 3)
    with pytest.raises(DataError, match=r"named: labels range from \d to 3"):
        list(read_with_labels(Late(), 3, 0, 1))


def test_labels_in_two_columns_are_refused() -> None:
    with pytest.raises(DataError, match=r"mine: labels must be one whole number per image, .* shape \(4, 1\)"):
        convert_labels("mine", np.zeros((4, 1), int), 3)


def test_the_digest_of_labels_is_of_type_and_values() -> None:
    """Runs of earlier versions have it in run.json: it must not change."""
    labels = LABELS.astype(np.uint8)
    assert hash_labels(array(labels=labels)) == hashlib.sha256(b"|u1" + labels.tobytes()).hexdigest()
    assert hash_labels(array(labels=LABELS)) == hashlib.sha256(b"<i8" + LABELS.tobytes()).hexdigest()
    assert hash_labels(array()) is hash_labels(Named()) is None


def test_the_digests_of_mnist_are_those_of_earlier_runs() -> None:
    assert mnist(split="test").sha256() == "6955ff3780d5c86d08f3f5ab5e6b22694f3d716323ae2b99121e4c79aa54f335"
    assert hash_labels(mnist(split="test")) == "11841119a0173774ea2a08f67adc491790e0a19a371faef1e17d886be38afa52"


@pytest.mark.slow
def test_sources_of_ones_own_and_of_more_columns_train_as_an_array_does() -> None:
    trained = []
    both = pairs(target=np.zeros((20, 3, 2, 2), np.uint8), real=IMAGES, batch_size=4)
    for number, source in enumerate((array(), Plain(), Named(), both)):
        runner = tiny_runner(f"run{number}", fresh=number == 0)
        assert runner.train(1, source, quiet=True).step == 5
        trained.append(weights_of(runner))
    for other in trained[1:]:
        assert all(np.array_equal(trained[0][name], other[name]) for name in other)


class Mirrored(ArraySource):
    """An ArraySource whose batches are mirrored: of its columns only one is left."""

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
        return (batch["real"][..., ::-1] for batch in super().batches(seed, epoch, start))


def test_a_subclass_is_looked_at_like_a_source_of_ones_own() -> None:
    tiny_runner("plain").train(1, Mirrored(IMAGES, 4), quiet=True)
    with pytest.raises(DataError, match=r"array: a batch has the columns real, but the source declares"):
        tiny_runner("labels").train(1, Mirrored(IMAGES, 4, labels=LABELS), quiet=True)


class Other(Plain):
    """Columns none of which is what the discriminator is trained on."""

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
        return ({"reel": IMAGES[i], "target": IMAGES[i]} for i in self._order(seed, epoch, start))


def test_a_source_without_the_images_of_a_run_is_refused_before_the_first_step() -> None:
    with pytest.raises(DataError, match="plain has no column 'real': did you mean 'reel'\\?"):
        tiny_runner().train(1, Other(), quiet=True)
    with pytest.warns(GanWarning, match="plain, column 'target': .*0, 1"), pytest.raises(DataError):
        other = Other()
        other.batches = (
            lambda seed, epoch, start=0: iter(  # type: ignore[method-assign]
                [{"reel": IMAGES[:4], "target": np.abs(IMAGES[:4])}]
            )
        )
        tiny_runner("other").train(1, other, quiet=True)
