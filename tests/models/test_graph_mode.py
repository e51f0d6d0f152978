"""Execution modes, and what Python's garbage collector sees while MindSpore compiles."""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from ctypes import c_size_t, c_void_p
from functools import partial
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import psutil
import pytest
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import Game, Normal, Player
from ms_gan_callbacks.models import graph_mode, mindspore_private
from ms_gan_callbacks.models.games.trial import try_game
from ms_gan_callbacks.models.graph_mode import compilation, synchronous_operations
from ms_gan_callbacks.models.mindspore_private import set_synchronous
from ms_gan_callbacks.models.probe import probe_networks


@pytest.fixture
def thawed() -> Iterator[None]:
    """Objects that the tests have excluded from the collector are back while a test runs."""
    gc.unfreeze()
    yield
    gc.freeze()


def collects(thing: object) -> bool:
    return any(other is thing for other in gc.get_objects())


@pytest.mark.usefixtures("thawed")
def test_what_exists_is_not_examined_while_a_graph_is_compiled() -> None:
    existing = [object()]
    mode = ms.get_context("mode")
    with compilation():
        assert ms.get_context("mode") == ms.GRAPH_MODE
        assert not collects(existing)
        new = [object()]
        assert collects(new)
    assert ms.get_context("mode") == mode
    assert collects(existing)


def free_below_a_block_in_use(libc: ctypes.CDLL) -> int:
    """Free 64 MB of small blocks of the C library's heap except the last; return its address."""
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = c_void_p, [c_size_t], [c_void_p]
    blocks = [libc.malloc(2**16) for _ in range(2**10)]
    for one in blocks:
        ctypes.memset(one, 1, 2**16)
    for one in blocks[:-1]:
        libc.free(one)
    return blocks[-1]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is a function of glibc")
def test_freed_memory_is_returned_after_a_compilation() -> None:
    libc, process = ctypes.CDLL(None), psutil.Process()
    with compilation():
        used = free_below_a_block_in_use(libc)
        before = process.memory_info().rss
    assert process.memory_info().rss < before - 2**25
    libc.free(used)


def test_other_c_libraries_keep_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_mode.ctypes, "CDLL", lambda name: SimpleNamespace())
    graph_mode.trim_heap()


@pytest.mark.usefixtures("thawed")
def test_what_the_user_has_frozen_stays_so_after_an_error_too() -> None:
    frozen = [object()]
    gc.freeze()
    with pytest.raises(ZeroDivisionError), compilation():
        raise ZeroDivisionError
    assert not collects(frozen)


@pytest.fixture
def restored() -> Iterator[None]:
    yield
    set_synchronous(False)


def is_synchronous() -> bool:
    return bool(ms.get_context("pynative_synchronize"))


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("users", [False, True])
def test_operations_are_synchronous_in_the_context_and_then_as_the_user_has_set_them(users: bool) -> None:
    assert set_synchronous(users) is False
    with pytest.raises(ZeroDivisionError), synchronous_operations():
        assert is_synchronous()
        raise ZeroDivisionError
    assert is_synchronous() is users


@pytest.mark.usefixtures("restored")
def test_a_mindspore_without_the_option_keeps_its_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mindspore_private, "ms_ctx_param", SimpleNamespace())
    with synchronous_operations():
        assert not is_synchronous()


@pytest.mark.usefixtures("restored")
def test_other_devices_keep_their_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_mode.ms, "get_context", lambda name: "Ascend")
    with synchronous_operations():
        monkeypatch.undo()
        assert not is_synchronous()


class Recorder(nn.Cell):
    """A network that records whether operations are synchronous when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.seen = nn.Dense(2, 4), []

    def construct(self, noise: Tensor) -> Tensor:
        self.seen.append(is_synchronous())
        return ops.reshape(self.dense(noise), (-1, 1, 2, 2))


class MeanGame(Game):
    chance = {"noise": Normal(2)}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def generator_loss(self, made: Tensor) -> Tensor:
        return made.mean()


def test_networks_and_games_are_tried_synchronously() -> None:
    noise, real = np.ones((4, 2), np.float32), np.ones((4, 1, 2, 2), np.float32)
    generator, discriminator = Recorder(), nn.SequentialCell(nn.Flatten(), nn.Dense(4, 1))
    probe_networks(generator, discriminator, real, noise)
    game = MeanGame()
    game.generator = generator
    players = {"generator": Player("generator", partial(nn.Adam, learning_rate=1e-3))}
    try_game(game, {"generator": generator}, players, {"noise": noise})
    assert len(generator.seen) == 3 and all(generator.seen)  # twice with noise, once in the game
    assert not is_synchronous()
