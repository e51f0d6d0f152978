"""Foreign exceptions in one line that says something."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from conftest import tiny_runner
from mindspore import Tensor, dataset, nn, ops

from ms_gan_callbacks import ArraySource, Every, GanWarning, ImageGrid
from ms_gan_callbacks.errors import describe, extract_message
from ms_gan_callbacks.models.networks import graph_mode


def normalise() -> None:
    nn.InstanceNorm2d(3)(Tensor(np.ones((4, 3, 8, 8), np.float32))).asnumpy()


def normalise_compiled() -> None:
    with graph_mode():
        normalise()


def exponentiate_in_bfloat16() -> None:
    ops.exp(Tensor(np.ones(3), ms.bfloat16)).asnumpy()


def multiply() -> None:
    nn.Dense(5, 2)(Tensor(np.ones((4, 6), np.float32))).asnumpy()


def words(x: object) -> object:
    raise ValueError("my own words")


def map_images() -> None:
    list(dataset.NumpySlicesDataset({"x": np.zeros((4, 3))}).map(words, ["x"]).create_tuple_iterator())


def read_nothing() -> None:
    Path("empty").mkdir()
    list(dataset.ImageFolderDataset("empty").create_tuple_iterator())


def batch_unlike() -> None:
    rows = [(np.ones(2),), (np.ones(3),)]
    list(dataset.GeneratorDataset(rows, ["x"]).batch(2).create_tuple_iterator())


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        (normalise, r"Unsupported op \[InstanceNorm\] on CPU"),
        (normalise_compiled, r"Unsupported op \[InstanceNorm\] on CPU"),
        (exponentiate_in_bfloat16, r"Select CPU operator\[Exp\] fail! Unsupported data type!"),
        (multiply, r"For 'MatMul' the input dimensions must be equal"),
        (map_images, r"ValueError: my own words"),
        (read_nothing, r"Invalid data, ImageFolderDataset API can't read the data file"),
        (batch_unlike, r"Cannot batch tensors with different shapes in column 0"),
        (lambda: nn.Adam(nn.Dense(2, 2).trainable_params(), lr=1e-3), r"For 'Adam', invalid keys"),
    ],
)
def test_the_sentence_that_matters_is_found_in_mindspores_messages(fails: Callable, sentence: str) -> None:
    with pytest.raises(Exception) as caught:
        fails()
    said = extract_message(caught.value)
    assert re.match(sentence, said), said
    assert "\n" not in said and "---" not in said
    assert describe(caught.value).startswith(f"{type(caught.value).__name__}: {said}")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("", ""),
        ("\n\n  one\ntwo", "one"),
        ("-----\n\n", ""),
        ("---------\n- Kernel select failed:\n---------\nno kernel\nrest", "no kernel"),
        ("=====\nTitle\n=====\nonly this\n=====", "only this"),
        ("Kernel select failed:\nno kernel", "no kernel"),
        ("a - b\n-----", "a - b"),
        ("- an item", "- an item"),
        ("--", "--"),
        ("Exception thrown from dataset pipeline. Refer to 'X'.\nit broke", "it broke"),
        ("----\n- C++ Call Stack: (For framework developers)\n----\nmindspore/a.cc:3 f", ""),
    ],
)
def test_rows_headings_pointers_and_stacks_are_no_sentences(message: str, said: str) -> None:
    assert extract_message(RuntimeError(message)) == said
    assert describe(RuntimeError(message)) == (f"RuntimeError: {said}" if said else "RuntimeError")


def test_a_users_line_is_told_wherever_their_folder_is_and_a_librarys_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "ms_gan_callbacks"  # as a clone is called
    folder.mkdir()
    source = "def fails():\n    raise KeyError('no such thing')\n"
    scope: dict = {}
    exec(compile(source, str(folder / "mine.py"), "exec"), scope)
    with pytest.raises(KeyError) as caught:
        scope["fails"]()
    assert describe(caught.value).endswith(f"({folder / 'mine.py'}, line 2)")
    assert describe(caught.value).startswith("KeyError: no such thing")


def test_a_warning_names_the_users_own_line_however_deep_it_comes_from() -> None:
    with pytest.warns(GanWarning) as warned:
        made = ArraySource(np.linspace(0, 1, 128).reshape(8, 1, 4, 4), batch_size=4)
    assert made.count == 8
    assert [(one.filename, linecache.getline(one.filename, one.lineno).split()[0]) for one in warned] == [
        (__file__, "made")
    ]
    late = ImageGrid(Every.epochs(9), rows=2, columns=2)
    with pytest.warns(GanWarning, match="is longer than this run of 1 epoch") as warned:
        tiny_runner().train(1, np.eye(16).reshape(16, 1, 4, 4) * 2 - 1, late, batch_size=4, quiet=True)
    assert {one.filename for one in warned} == {__file__}
