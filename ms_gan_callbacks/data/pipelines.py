"""A source backed by a batched ``mindspore.dataset`` pipeline that can start at any batch.

Every new iterator repeats the same shuffle, so one iterator is used for all epochs. It is created with the global
step to start at (``set_init_step``), for which MindSpore requires a finite number of epochs; a large one does not
change the order.

**Guaranteed**: (seed, epoch, start) gives the same batches in any process, regardless of earlier iterations, for
shuffling by the dataset, its sampler or ``.shuffle()``. MindSpore reads its seed when an iterator is created: it
is set only then, and the host's seeds are restored.

**Not guaranteed**:

* MindSpore's random transforms: deterministic from the first batch of a run, but a resumed run draws different
  values, unless ``mindspore.dataset.config.set_fast_recovery(False)`` makes it replay the skipped batches;
* Python functions that draw random numbers in ``map`` or in a generator;
* sharded datasets (``num_shards=``): their sampler reads its seed when the dataset is built, so call
  ``mindspore.dataset.config.set_seed`` before that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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
_MOST_PASSES = 2**31 - 1  # epochs times repeats: MindSpore hangs or crashes above it


class DatasetSource:
    """A :class:`Source` backed by a batched pipeline; see the module's docstring for its guarantees.

    The layout of images is not changed (MindSpore's readers return height, width, channels: map
    ``vision.HWC2CHW()`` first). uint8 is scaled to [-1, 1]; floats must be in that range already. A short last
    batch is skipped.

    Args:
        dataset: the pipeline, with ``.batch()`` called on it; do not iterate over it elsewhere at the same time.
        column: index or name of the column of images.
        labels: index or name of the column of labels, integers, for a conditional run.
        name: name of the source in logs; by default the type of the dataset, e.g. ``"MnistDataset"``.

    Raises:
        RecipeError: the pipeline is not batched, may have a short batch before the end of an epoch, or does not
            have the column.
        DataError: the images do not fill a batch or have the wrong type.

    Warns:
        GanWarning: at the first batch, the range of the images indicates wrong scaling, such as [0, 1].
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
        with _convert_errors(self.name):
            self._inspect(dataset, column, labels)
        self._dataset = dataset
        # An unused iterator, and its seed, epoch and step.
        self._parked: tuple[tuple[int, int, int], Iterator[Any]] | None = None
        self._range_checked = False

    def _inspect(self, dataset: Dataset, column: int | str, labels: int | str | None) -> None:
        """Set the attributes of the source from the pipeline, without iterating over it."""
        self._epochs = min(_NO_END, _MOST_PASSES // count_repeats(self.name, dataset))
        found = find_batches(self.name, dataset)
        node = found.nodes[0]
        self.batch_size = found.size
        self._per_epoch: int = dataset.get_dataset_size()  # including short batches
        self.steps_per_epoch = self._per_epoch - len(found.short or ())
        rows: int = node.children[0].get_dataset_size()
        if not self.steps_per_epoch:
            raise DataError(f"{self.name}: {rows} images do not fill one batch of {self.batch_size}")
        plain = node.get_dataset_size() == self._per_epoch
        self.count = rows if plain else self.steps_per_epoch * self.batch_size
        columns = dataset.get_col_names()
        self._column = _find_column(self.name, column, columns)
        self._label_column = None if labels is None else _find_column(self.name, labels, columns)
        check_dtype(self.name, np.dtype(dataset.output_types()[self._column]))
        shape = tuple(dataset.output_shapes()[self._column])
        check_shape(self.name, found, columns[self._column], shape)
        self.image_shape: tuple[int, ...] = shape[1:]

    def sha256(self) -> None:
        """Return None: a pipeline may augment or generate images, so its content has no digest."""

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Batch]:
        """See :meth:`Source.batches`; continuing from the position of the last call costs nothing.

        Raises:
            DataError: ``epoch`` or ``start`` is out of range; while iterating, images are not scaled, or the
                shape or number of batches is not as declared by the pipeline.
        """
        return (images for images, _ in self._iterate(seed, epoch, start))

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self._label_column is not None

    def labels_sha256(self) -> None:
        """Return None, as for the images."""

    def labelled_batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[tuple[Batch, NDArray[Any]]]:
        """See :meth:`LabelledSource.labelled_batches`.

        Raises:
            DataError: see :meth:`batches`; or a batch does not have one label per image.
        """
        if self._label_column is None:
            raise DataError(f"{self.name} has no labels: pass their column, DatasetSource(pipeline, labels=...)")
        return (
            (images, self._check_labels(row[self._label_column]))
            for images, row in self._iterate(seed, epoch, start)
        )

    def _check_labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        if labels.size != self.batch_size:
            raise DataError(f"{self.name}: {self.batch_size} images need as many labels, got {labels.shape}")
        return labels.reshape(-1)

    def _iterate(self, seed: int, epoch: int, start: int) -> Iterator[tuple[Batch, list[Any]]]:
        check_place(self, epoch, start)
        return self._walk(seed, epoch, start) if start < self.steps_per_epoch else iter(())

    def _walk(self, seed: int, epoch: int, start: int) -> Iterator[tuple[Batch, list[Any]]]:
        # An iteration owns the iterator until it ends, so two iterations never share one.
        rows, done = self._take(seed, epoch, start), start
        try:
            while done < self.steps_per_epoch:
                with _convert_errors(self.name):
                    row = next(rows, None)
                batch = self._convert(row, done, first=done == start)
                done += 1
                yield batch, row or []
        except GeneratorExit:
            self._parked = (seed, epoch, done), rows
            raise
        for _ in rows:  # consume the short batch and the end-of-epoch marker
            pass
        self._parked = (seed, epoch + 1, 0), rows

    def _take(self, seed: int, epoch: int, start: int) -> Iterator[Any]:
        """Return the parked iterator if its position matches, else a new one at the position."""
        parked, self._parked = self._parked, None
        if parked is not None and parked[0] == (seed, epoch, start):
            return parked[1]
        from mindspore.dataset import config

        before, pipelines = self._dataset.get_init_step(), config.get_seed()
        python, numpy = random.getstate(), np.random.get_state()
        try:
            self._dataset.set_init_step((epoch - 1) * self._per_epoch + start)
            config.set_seed(int(stream(seed, "data", 0).integers(2**32)))  # also reseeds Python and NumPy
            rows: Iterator[Any] = self._dataset.create_tuple_iterator(num_epochs=self._epochs, output_numpy=True)
            return rows
        finally:
            self._dataset.set_init_step(before)
            config.set_seed(pipelines)
            random.setstate(python)
            np.random.set_state(numpy)

    def _convert(self, row: list[Any] | None, step: int, *, first: bool) -> Batch:
        if row is None:
            raise DataError(f"{self.name}: the epoch ended after {step} of {self.steps_per_epoch} batches")
        images = row[self._column]
        expected = (self.batch_size, *self.image_shape)
        if images.shape != expected:
            raise DataError(
                f"{self.name}: batch {step} has shape {images.shape}, expected {expected}; resize all"
                " images to one size before .batch(), and do not change the length of batches after it"
            )
        if first and images.dtype != np.uint8:  # a wrong scale is visible in any batch
            check_range(self.name, images)
        if not self._range_checked:
            self._range_checked = True
            check_usual_range(self.name, images)
        if images.dtype == np.uint8:
            return to_unit(images)
        batch: Batch = images.astype(np.float32)
        return batch


@contextmanager
def _convert_errors(name: str) -> Iterator[None]:
    """Convert errors inside a pipeline to a DataError with the name of the source."""
    try:
        yield
    except RuntimeError as error:
        raise DataError(f"{name}: the pipeline failed: {describe(error).strip()}") from error


def _find_column(name: str, column: int | str, columns: list[str]) -> int:
    if isinstance(column, str) and column in columns:
        return columns.index(column)
    if isinstance(column, int) and 0 <= column < len(columns):
        return column
    raise RecipeError(f"{name}: unknown column {column!r}; available: {', '.join(columns)}")
