"""Any batched ``mindspore.dataset`` pipeline as a source that can be entered anywhere.

A fresh iterator repeats the same shuffle every time, so one iterator lives through all epochs. It is
made with the global step it has to begin at (``set_init_step``), which MindSpore takes only together with a
finite number of epochs; a large one stands for "no end" and does not change the order.

**Promised**: (seed, epoch, start) gives the same batches in any process, whatever came before, for
shuffling by the dataset, its sampler or ``.shuffle()``. MindSpore takes its seed when an iterator is
made; it is set for that moment only, and the host's seeds are put back.

**Not promised**, since it is decided elsewhere:

* MindSpore's random transforms: equal from the first batch of a run on, but a resumed run draws others,
  unless ``mindspore.dataset.config.set_fast_recovery(False)`` makes it replay all it skips;
* Python functions that draw random numbers in ``map`` or in a generator;
* sharded datasets (``num_shards=``): their sampler takes its seed when the dataset is built, so call
  ``mindspore.dataset.config.set_seed`` before that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.nodes import check_shape, count_repeats, find_batches, name_leaf
from ms_gan_callbacks.data.protocol import (
    Batch,
    check_dtype,
    check_place,
    check_range,
    check_usual_range,
    to_unit,
)
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import DataError, RecipeError, describe

if TYPE_CHECKING:
    from mindspore.dataset import Dataset

_NO_END = 1_000_000  # epochs
_MOST_PASSES = 2**31 - 1  # epochs times repeats: beyond it MindSpore hangs or dies


class _Parked(NamedTuple):
    """An iterator nobody is using, and where it stands."""

    seed: int
    epoch: int
    step: int
    rows: Iterator[Any]


class DatasetSource:
    """A :class:`Source` over a batched pipeline; what it promises is told at the head of the module.

    Images keep the layout the pipeline gives them (MindSpore's readers give height, width, channels: map
    ``vision.HWC2CHW()`` first). uint8 is scaled to [-1, 1]; floats must be in that range already. A last
    batch that is short is skipped.

    Args:
        dataset: the pipeline, with ``.batch()`` called on it; iterate over it nowhere else meanwhile.
        column: position or name of the column that holds the images.
        labels: position or name of the column that holds their labels, whole numbers, for a conditional run.
        name: what logs call the source; by default the type of the dataset, e.g. ``"MnistDataset"``.

    Raises:
        RecipeError: the pipeline is not batched, may have a short batch before the end of an epoch, or has no
            such column.
        DataError: it has too few images, or images of the wrong type.

    Warns:
        GanWarning: with the first batch, images are in a range that a wrong scaling leaves, such as [0, 1].
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        column: int | str = 0,
        labels: int | str | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name if name is not None else name_leaf(dataset)
        with _told(self.name):
            self._look_at(dataset, column, labels)
        self._dataset = dataset
        self._parked: _Parked | None = None
        self._looked = False

    def _look_at(self, dataset: Dataset, column: int | str, labels: int | str | None) -> None:
        """Find out what the batches will be, without making more than MindSpore does for that."""
        self._epochs = min(_NO_END, _MOST_PASSES // count_repeats(self.name, dataset))
        found = find_batches(self.name, dataset)
        node = found.nodes[0]
        self.batch_size = found.size
        self._per_epoch: int = dataset.get_dataset_size()  # with the short ones
        self.steps_per_epoch = self._per_epoch - len(found.short or ())
        rows: int = node.children[0].get_dataset_size()
        if not self.steps_per_epoch:
            raise DataError(f"{self.name}: {rows} images do not fill one batch of {self.batch_size}")
        plain = node.get_dataset_size() == self._per_epoch
        self.count = rows if plain else self.steps_per_epoch * self.batch_size
        columns = dataset.get_col_names()
        self._place = _column_place(self.name, column, columns)
        self._label_place = None if labels is None else _column_place(self.name, labels, columns)
        check_dtype(self.name, np.dtype(dataset.output_types()[self._place]))
        shape = tuple(dataset.output_shapes()[self._place])
        check_shape(self.name, found, columns[self._place], shape)
        self.image_shape: tuple[int, ...] = shape[1:]

    def sha256(self) -> None:
        """None: a pipeline may decode, augment or generate, so its content has no digest."""
        return

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See :meth:`Source.batches`; going on where the last call stopped costs nothing.

        Raises:
            DataError: ``epoch`` or ``start`` is out of range; while iterating, images that are not
                scaled or batches that are not of the shape and number the pipeline announced.
        """
        return (images for images, _ in self._rows(seed, epoch, start))

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self._label_place is not None

    def labels_sha256(self) -> None:
        """None, as for the images."""
        return

    def labelled_batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Batch, NDArray[Any]]]:
        """See :meth:`LabelledSource.labelled_batches`.

        Raises:
            DataError: as :meth:`batches` does; a batch has not one label an image.
        """
        if self._label_place is None:
            raise DataError(f"{self.name} has no labels: name their column, DatasetSource(pipeline, labels=...)")
        return ((images, self._labels(row[self._label_place])) for images, row in self._rows(seed, epoch, start))

    def _labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        if labels.size != self.batch_size:
            raise DataError(f"{self.name}: {self.batch_size} images need as many labels, got {labels.shape}")
        return labels.reshape(-1)

    def _rows(self, seed: int, epoch: int, start: int) -> Iterator[tuple[Batch, list[Any]]]:
        check_place(self, epoch, start)
        return self._walk(seed, epoch, start) if start < self.steps_per_epoch else iter(())

    def _walk(self, seed: int, epoch: int, start: int) -> Iterator[tuple[Batch, list[Any]]]:
        # Whoever walks owns the iterator and parks it afterwards, so two walks never share one.
        rows, done = self._take(seed, epoch, start), start
        try:
            while done < self.steps_per_epoch:
                with _told(self.name):
                    row = next(rows, None)
                batch = self._converted(row, done, first=done == start)
                done += 1
                yield batch, row or []
        except GeneratorExit:
            self._parked = _Parked(seed, epoch, done, rows)
            raise
        for _ in rows:  # the short batch, and the mark at the end of the epoch
            pass
        self._parked = _Parked(seed, epoch + 1, 0, rows)

    def _take(self, seed: int, epoch: int, start: int) -> Iterator[Any]:
        """The parked iterator if it stands at the place asked for, else a new one put there."""
        parked, self._parked = self._parked, None
        if parked is not None and parked[:3] == (seed, epoch, start):
            return parked.rows
        step = (epoch - 1) * self._per_epoch + start
        with _begun_at(self._dataset, step), _seeded(int(stream(seed, "data", 0).integers(2**32))):
            rows: Iterator[Any] = self._dataset.create_tuple_iterator(num_epochs=self._epochs, output_numpy=True)
        return rows

    def _converted(self, row: list[Any] | None, step: int, *, first: bool) -> Batch:
        if row is None:
            raise DataError(f"{self.name}: the epoch ended after {step} of {self.steps_per_epoch} batches")
        images = row[self._place]
        expected = (self.batch_size, *self.image_shape)
        if images.shape != expected:
            raise DataError(
                f"{self.name}: batch {step} has shape {images.shape}, expected {expected}; bring all"
                " images to one size before .batch(), and leave the batches' lengths as they are after it"
            )
        if first and images.dtype != np.uint8:  # a wrong scale shows at once
            check_range(self.name, images)
        if not self._looked:
            self._looked = True
            check_usual_range(self.name, images)
        if images.dtype == np.uint8:
            return to_unit(images)
        batch: Batch = images.astype(np.float32)
        return batch


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Have what goes wrong within a pipeline told in one line, which names it."""
    try:
        yield
    except RuntimeError as error:
        raise DataError(f"{name}: the pipeline fails: {describe(error).strip()}") from error


@contextmanager
def _begun_at(dataset: Dataset, step: int) -> Iterator[None]:
    """Have iterators begin at a global step for a moment; the pipeline stays its author's."""
    before = dataset.get_init_step()
    dataset.set_init_step(step)
    try:
        yield
    finally:
        dataset.set_init_step(before)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Have MindSpore's pipelines seeded for a moment; its ``set_seed`` reseeds Python and NumPy too."""
    from mindspore.dataset import config

    pipelines, python, numpy = config.get_seed(), random.getstate(), np.random.get_state()
    config.set_seed(seed)
    try:
        yield
    finally:
        config.set_seed(pipelines)
        random.setstate(python)
        np.random.set_state(numpy)


def _column_place(name: str, column: int | str, columns: list[str]) -> int:
    if isinstance(column, str) and column in columns:
        return columns.index(column)
    if isinstance(column, int) and 0 <= column < len(columns):
        return column
    raise RecipeError(f"{name}: no column {column!r}; there are: {', '.join(columns)}")
