"""docs/compatibility.md tells what happens, of everybody."""

from __future__ import annotations

import pytest
from mindspore import train
from mindspore.train import callback as stock

from interop.matrix import PAGE, page
from ms_gan_callbacks.config.components import BUILT_IN
from ms_gan_callbacks.events.callback import Callback


@pytest.mark.slow
def test_the_page_tells_what_happens() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "out of date: python -m tests.interop.matrix"


def test_the_page_tells_of_everybody() -> None:
    text = PAGE.read_text(encoding="utf-8")
    theirs = [getattr(stock, name) for name in stock.__all__]
    for kind in [*theirs, *BUILT_IN["callbacks"].values()]:
        if issubclass(kind, (train.Callback, Callback)) and kind is not train.Callback:
            assert f"\n| `{kind.__name__}` |" in text
