"""A step's scalars, their means over an epoch, and what callbacks log."""

from __future__ import annotations

import numpy as np
import pytest
from mindspore import Tensor

from ms_gan_callbacks.events.scalars import EpochMeans, Log, Scalars

PICTURE = np.zeros((2, 2), np.uint8)


def test_means_are_empty_until_a_step_has_been_added() -> None:
    means = EpochMeans(("a", "b"))
    assert (len(means), list(means), means.names) == (0, [], ("a", "b"))
    with pytest.raises(KeyError):
        means["a"]
    for step in (1.0, 2.0, 6.0):
        means.add(Tensor([step, -step]))
    assert dict(means) == {"a": 3.0, "b": -3.0}
    means.restart()
    assert dict(means) == {}


def test_means_continue_from_their_state() -> None:
    means, other = EpochMeans(("a",)), EpochMeans(("a",))
    means.add(Tensor([1.0]))
    other.add(Tensor([100.0]))
    other.load_state(means.state())
    other.add(Tensor([2.0]))
    assert (dict(other), other.state()) == ({"a": 1.5}, {"sums": [3.0], "count": 2})


def test_scalars_of_a_new_step_replace_all_others() -> None:
    scalars = Scalars()
    assert dict(scalars) == {}
    scalars.publish(("a",), Tensor([1.0]))
    scalars.add({"b": 2.0})
    assert (dict(scalars), scalars.of_step()) == ({"a": 1.0, "b": 2.0}, {"a": 1.0})
    scalars.publish(("a",), Tensor([3.0]))
    assert dict(scalars) == {"a": 3.0}


def test_a_log_forgets_all_but_the_newest_numbers() -> None:
    log, reader = Log(), object()
    log.add("a", 1)
    log.add("picture", PICTURE)
    assert log.unseen(reader)[0] == {"a": 1.0}
    log.add("a", 2)
    assert log.unseen(reader) == ({"a": 2.0}, {})
    log.forget()
    assert (log.numbers, log.images, log.newest) == ({}, {}, {"a": 2.0})
    assert log.unseen(reader) == ({}, {})
    log.add("b", 3)
    assert log.unseen(reader)[0] == {"b": 3.0}
