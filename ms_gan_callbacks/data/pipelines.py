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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.data.columns import describe_column, find_main
from ms_gan_callbacks.data.nodes import check_shape, count_repeats, find_batches, find_buffer, name_leaf
from ms_gan_callbacks.data.protocol import (
    LABELS,
    REAL,
    Columns,
    check_dtype,
    check_place,
    check_range,
    check_usual_range,
    to_unit,
)
from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import DataError, RecipeError, describe, suggest, warn

if TYPE_CHECKING:
    from mindspore.dataset import Dataset

_NO_END = 1_000_000  # epochs
MANY_ROWS = 10_000
"""Rows of an epoch from which on replaying a ``.shuffle()`` takes seconds."""
_MOST_PASSES = 2**31 - 1  # epochs times repeats: MindSpore hangs or crashes above it


class DatasetSource:
    """A :class:`Source` backed by a batched pipeline; see the module's docstring for its guarantees.

    The layout of images is not changed (MindSpore's readers return height, width, channels: map
    ``vision.HWC2CHW()`` first). uint8 is scaled to [-1, 1]; floats must be in that range already. A short last
    batch is skipped.

    Args:
        dataset: the pipeline, with ``.batch()`` called on it; do not iterate over it elsewhere at the same time.
        column: index or name of the column of images, which is named "real" in a batch.
        labels: index or name of the column of labels, integers, for a conditional run; named "labels" in a batch.
        columns: instead of ``column`` and ``labels``, the columns of a batch: their names, each with the index or
            name of a column of the pipeline, such as ``{"source": "edges", "target": 1}``. Columns of shape
            (N, C, H, W) are images. "labels" has one value per row, and other columns are not changed.
        name: name of the source in logs; by default the type of the dataset, e.g. ``"MnistDataset"``.

    Raises:
        RecipeError: the pipeline is not batched, may have a short batch before the end of an epoch, or does not
            have a column; ``columns`` is not a mapping, or is combined with ``column`` or ``labels``.
        DataError: the images do not fill a batch or have the wrong type.

    Warns:
        GanWarning: resuming with a large pipeline is slow, because it calls ``.shuffle()``; at the first batch,
            the range of the images indicates wrong scaling, such as [0, 1].
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        column: int | str = 0,
        labels: int | str | None = None,
        columns: Mapping[str, int | str] | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name if name is not None else name_leaf(dataset)
        wanted = _choose_columns(self.name, column, labels, columns)
        self.columns = tuple(wanted)
        with _convert_errors(self.name):
            self._inspect(dataset, wanted)
        self._dataset = dataset
        # An unused iterator, and its seed, epoch and step.
        self._parked: tuple[tuple[int, int, int], Iterator[Any]] | None = None
        self._range_checked = False

    def _inspect(self, dataset: Dataset, wanted: Mapping[str, int | str]) -> None:
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
        if (buffer := find_buffer(dataset)) and rows > MANY_ROWS:
            warn(
                f"{self.name}: .shuffle({buffer}) repeats all work since the first epoch when a run is resumed: "
                "remove it, and let the reader shuffle, as in ImageFolderDataset(..., shuffle=True) or "
                "MindDataset(..., shuffle=Shuffle.FILES)"
            )
        names, types = dataset.get_col_names(), dataset.output_types()
        self._places = {column: _find_column(self.name, place, names) for column, place in wanted.items()}
        shapes = {column: tuple(dataset.output_shapes()[place]) for column, place in self._places.items()}
        main = find_main(self.columns)
        self._images = [column for column in self.columns if column == main or len(shapes[column]) == 4]
        for column in self._images:
            name, place = describe_column(self.name, column), self._places[column]
            check_dtype(name, np.dtype(types[place]))
            check_shape(name, found, names[place], shapes[column])
        self._shapes = {column: shapes[column][1:] for column in self._images}
        self.image_shape: tuple[int, ...] = self._shapes[main]

    def sha256(self) -> None:
        """Return None: a pipeline may augment or generate images, so its content has no digest."""

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
        """See :meth:`Source.batches`; continuing from the position of the last call costs nothing.

        Raises:
            DataError: ``epoch`` or ``start`` is out of range; while iterating, images are not scaled, a column
                does not have one row per image, or the shape or number of batches is not as the pipeline declares.
        """
        check_place(self, epoch, start)
        return self._walk(seed, epoch, start) if start < self.steps_per_epoch else iter(())

    def _walk(self, seed: int, epoch: int, start: int) -> Iterator[Columns]:
        # An iteration owns the iterator until it ends, so two iterations never share one.
        rows, done = self._take(seed, epoch, start), start
        try:
            while done < self.steps_per_epoch:
                with _convert_errors(self.name):
                    row = next(rows, None)
                batch = self._convert(row, done, first=done == start)
                done += 1
                yield batch
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

    def _convert(self, row: list[Any] | None, step: int, *, first: bool) -> Columns:
        if row is None:
            raise DataError(f"{self.name}: the epoch ended after {step} of {self.steps_per_epoch} batches")
        batch: Columns = {column: row[place] for column, place in self._places.items()}
        for column, rows in batch.items():
            if column in self._images:
                batch[column] = self._convert_images(column, rows, step, first=first)
            elif column == LABELS and rows.size == self.batch_size:
                batch[column] = rows.reshape(-1)
            elif column == LABELS or rows.shape[:1] != (self.batch_size,):
                raise DataError(f"{self.name}: {self.batch_size} images need as many {column}, got {rows.shape}")
        self._range_checked = True
        return batch

    def _convert_images(self, column: str, images: NDArray[Any], step: int, *, first: bool) -> NDArray[np.float32]:
        name, expected = describe_column(self.name, column), (self.batch_size, *self._shapes[column])
        if images.shape != expected:
            raise DataError(
                f"{name}: batch {step} has shape {images.shape}, expected {expected}; resize all"
                " images to one size before .batch(), and do not change the length of batches after it"
            )
        if first and images.dtype != np.uint8:  # a wrong scale is visible in any batch
            check_range(name, images)
        if not self._range_checked:
            check_usual_range(name, images)
        if images.dtype == np.uint8:
            return to_unit(images)
        return images.astype(np.float32)


def _choose_columns(
    name: str, column: int | str, labels: int | str | None, columns: Mapping[str, int | str] | None
) -> dict[str, int | str]:
    """Return the pipeline's column, by index or name, of each column of a batch."""
    if columns is None:
        return {REAL: column} if labels is None else {REAL: column, LABELS: labels}
    if column != 0 or labels is not None:
        raise RecipeError(f"{name}: columns= names all columns: leave out column= and labels=")
    if not isinstance(columns, Mapping) or not columns or not all(isinstance(one, str) for one in columns):
        raise RecipeError(
            f"{name}: columns must be a dict of the names of a batch's columns, each with the index or name of a"
            f' column of the pipeline, such as {{"source": 0, "target": 1}}, not {columns!r}'
        )
    return dict(columns)


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
    raise RecipeError(f"{name}: unknown column {column!r}; {suggest(str(column), columns)}")
