"""Dropout whose masks are a function of parameters in the checkpoint, so that a resumed run draws the same ones.

::

    seed (2,), calls (1,)  ──> two keys, by an integer hash                of each forward pass in training
    index of an element    ──> a, by the same hash, during compilation
    (a + first key) * a + second key  <  (1 - p) * 2 ** 32                 the element is kept

All numbers are unsigned and have 32 bits. The sums of two elements are uniform and independent for uniform keys,
except in the few pairs whose a differ by a multiple of a large power of two. Only fast operations run on all
elements: MindSpore's shifts and exclusive ors take four times as long as its products.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import BatchLast
from ms_gan_callbacks.models.world import get_world

FLOATS = (ms.float16, ms.float32)

ODD = (0x7FEB352D, 0x846CA68B)
"""Factors of the hash, "lowbias32" of https://github.com/skeeto/hash-prospector."""

STRIDE = 0x9E3779B9
"""Distance of the counts of two calls: 2 ** 32 divided by the golden ratio."""


def hash_integers(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return a permutation of the integers of 32 bits in which neighbours are not related."""
    mixed = numbers ^ (numbers >> np.uint32(16))
    mixed = mixed * np.uint32(ODD[0])
    mixed ^= mixed >> np.uint32(15)
    mixed = mixed * np.uint32(ODD[1])
    return mixed ^ (mixed >> np.uint32(16))


def _hash_in_graph(numbers: Tensor) -> Tensor:
    """Return the same for a tensor."""
    mixed = ops.bitwise_xor(numbers, ops.bitwise_right_shift(numbers, _make_unsigned(16)))
    mixed = mixed * _make_unsigned(ODD[0])
    mixed = ops.bitwise_xor(mixed, ops.bitwise_right_shift(mixed, _make_unsigned(15)))
    mixed = mixed * _make_unsigned(ODD[1])
    return ops.bitwise_xor(mixed, ops.bitwise_right_shift(mixed, _make_unsigned(16)))


@ops.constexpr  # type: ignore[untyped-decorator]
def _make_unsigned(number: int) -> Tensor:
    return Tensor(np.array([number], np.uint32))


@ops.constexpr  # type: ignore[untyped-decorator]
def _hash_indices(shape: tuple[int, ...], batch_last: bool) -> Tensor:
    """Return the hashes of the indices of a tensor (N, ...) of a shape, moved to (..., N) if ``batch_last``.

    Indices are those of this rank's rows in the whole batch.
    """
    count = int(np.prod(shape, dtype=int))
    indices = get_world().rank * count + np.arange(count)
    hashes = hash_integers(indices.astype(np.uint32)).reshape(shape)
    return Tensor(np.ascontiguousarray(np.moveaxis(hashes, 0, -1) if batch_last else hashes))


class Replayed(BatchLast):
    """A random layer whose masks follow from two Parameters, ``seed`` and ``calls``.

    A mask does not depend on the layout. ``calls`` counts the forward passes in training. The seed is drawn from
    NumPy's global random state, as MindSpore's initial weights are.
    """

    pays = False

    training: bool  # an attribute of the MindSpore layer
    keep: float
    seed: Parameter
    calls: Parameter

    def add_parameters(self) -> None:
        """Create both Parameters, unless the layer has them."""
        if not hasattr(self, "calls"):
            drawn = np.random.randint(-(2**31), 2**31, 2).astype(np.int32)
            self.seed = Parameter(Tensor(drawn), name="seed", requires_grad=False)
            self.calls = Parameter(Tensor(np.zeros(1, np.int32)), name="calls", requires_grad=False)

    def draw(self, shape: tuple[int, ...], batch_last: bool, dtype: ms.dtype) -> Tensor:
        """Return the next mask for elements (N, ...) of a shape: 1 / keep for those kept, otherwise 0."""
        calls = self.calls + 1
        calls = ops.depend(calls, ops.assign(self.calls, calls))
        keys = calls.astype(ms.uint32) * _make_unsigned(STRIDE) + self.seed.astype(ms.uint32)
        keys = _hash_in_graph(keys)
        hashes = _hash_indices(shape, batch_last)
        drawn = (hashes + keys[:1]) * hashes + keys[1:]
        kept = drawn < _make_unsigned(min(round(self.keep * 2**32), 2**32 - 1))
        return ops.stop_gradient(kept.astype(dtype) * (1 / self.keep))


class Dropout(Fast, nn.Dropout, Replayed):  # type: ignore[misc]
    """:class:`mindspore.nn.Dropout`, with the same arguments, whose masks are replayed by a resumed run."""

    def refit(self) -> None:
        self.keep = self.keep_prob if self.p is None else 1 - self.p
        self.add_parameters()

    def construct(self, x: Tensor) -> Tensor:
        """Return x in evaluation; in training, x with a share p of its elements set to 0 and the others scaled."""
        if not self.training or self.keep == 1:
            return x
        if x.dtype not in FLOATS:
            return super().construct(x)
        return x * self.draw(x.shape, False, x.dtype)

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return the same for x in batch-last layout."""
        if not self.training or self.keep == 1:
            return x
        return x * self.draw((x.shape[-1], *x.shape[:-1]), True, x.dtype)


class Dropout2d(Fast, nn.Dropout2d, Replayed):  # type: ignore[misc]
    """:class:`mindspore.nn.Dropout2d`, with the same argument, whose masks are replayed by a resumed run."""

    ranks = (4,)

    @staticmethod
    def stands_for(layer: nn.Dropout2d) -> bool:
        return bool(layer.keep_prob > 0)

    def refit(self) -> None:
        self.keep = self.keep_prob
        self.add_parameters()

    def construct(self, x: Tensor) -> Tensor:
        """Return images (N, C, H, W) with a share p of their channels set to 0 and the others scaled."""
        if not self.training or self.keep == 1:
            return x
        if x.dtype not in FLOATS or len(x.shape) != 4 or self.keep == 0:
            return super().construct(x)
        return x * self.draw((*x.shape[:2], 1, 1), False, x.dtype)

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return the same for images (C, H, W, N)."""
        if not self.training or self.keep == 1:
            return x
        return x * self.draw((x.shape[3], x.shape[0], 1, 1), True, x.dtype)
