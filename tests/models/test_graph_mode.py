"""Graph mode, and what Python's garbage collector sees while MindSpore compiles."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import mindspore as ms
import pytest

from ms_gan_callbacks.models.graph_mode import compilation


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


@pytest.mark.usefixtures("thawed")
def test_what_the_user_has_frozen_stays_so_after_an_error_too() -> None:
    frozen = [object()]
    gc.freeze()
    with pytest.raises(ZeroDivisionError), compilation():
        raise ZeroDivisionError
    assert not collects(frozen)
