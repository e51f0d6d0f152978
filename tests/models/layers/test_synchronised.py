"""Batch normalisation over ranks: which layers are replaced, and that evaluation is not changed.

That training is the same as in one process is tested with two ranks in tests/training/test_ranks.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from mindspore import Tensor, nn

from ms_gan_callbacks.models.graph_mode import graph_mode
from ms_gan_callbacks.models.layers import accelerate
from ms_gan_callbacks.models.layers.synchronised import (
    SyncBatchNorm1d,
    SyncBatchNorm2d,
    list_unsynchronised,
    synchronise,
)


class Own(nn.BatchNorm2d):
    """A subclass, which may do anything."""


def build() -> nn.SequentialCell:
    return nn.SequentialCell(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(64))


@pytest.mark.parametrize("fast", [False, True])
def test_layers_are_replaced_for_several_ranks_only(fast: bool) -> None:
    network = build()
    if fast:
        accelerate(network)
    before = [type(layer) for layer in network.cells()]
    synchronise([network], 1)
    assert [type(layer) for layer in network.cells()] == before
    assert list_unsynchronised(network) == ["1", "4"]
    synchronise([network], 2)
    assert [type(network[place]) for place in (1, 4)] == [SyncBatchNorm2d, SyncBatchNorm1d]
    assert list_unsynchronised(network) == []


def test_subclasses_and_other_statistics_are_left_and_listed() -> None:
    network = nn.SequentialCell(Own(4), nn.BatchNorm2d(4, use_batch_statistics=True))
    fixed = nn.BatchNorm2d(4, use_batch_statistics=False)
    synchronise([network, fixed], 2)
    assert list_unsynchronised(network) == ["0", "1"]
    assert list_unsynchronised(fixed) == []
    assert type(fixed) is nn.BatchNorm2d


@pytest.mark.parametrize("fast", [False, True])
def test_evaluation_is_not_changed(fast: bool) -> None:
    network = build()
    if fast:
        accelerate(network)
    images = Tensor(np.random.default_rng(0).standard_normal((8, 1, 4, 4)).astype(np.float32))
    network.set_train(False)
    with graph_mode():
        before = network(images).asnumpy()
        synchronise([network], 2)
        network.compile_cache.clear()
        after = network(images).asnumpy()
    np.testing.assert_array_equal(before, after)
