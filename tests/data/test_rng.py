"""stream(): a function of its three arguments and of nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ms_gan_callbacks.data.rng import stream
from ms_gan_callbacks.errors import RecipeError

KEYS = st.tuples(st.integers(0, 2**80), st.text(max_size=8), st.integers(0, 2**70))


@given(KEYS, KEYS)
def test_equal_keys_give_equal_numbers_and_other_keys_others(one: tuple, other: tuple) -> None:
    first, again, second = (stream(*key).bytes(16) for key in (one, one, other))
    assert first == again
    assert (first == second) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [((1, "noise", 0), (0, "noise", 1)), ((2**32, "a", 0), (0, "a", 1)), ((0, "ab", 0), (0, "ba", 0))],
)
def test_neighbours_do_not_coincide(one: tuple, other: tuple) -> None:
    assert stream(*one).bytes(16) != stream(*other).bytes(16)


def test_drawing_elsewhere_changes_nothing() -> None:
    expected = stream(3, "noise", 7).normal(size=4)
    np.random.default_rng(3).normal(size=10)
    stream(3, "noise", 6).normal(size=10)
    np.random.seed(1)
    assert (stream(3, "noise", 7).normal(size=4) == expected).all()


def test_the_hosts_generator_is_left_alone() -> None:
    np.random.seed(4)
    expected = np.random.random()
    np.random.seed(4)
    stream(0, "noise", 0).random()
    assert np.random.random() == expected


@pytest.mark.parametrize("salt", ["0", "1"])
def test_another_process_with_salted_hashes_draws_the_same(salt: str) -> None:
    code = "from ms_gan_callbacks import stream; print(stream(9, 'data', 2).integers(2**63))"
    env = {"PYTHONHASHSEED": salt, "PYTHONPATH": ":".join(p or "." for p in sys.path)}
    printed = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert int(printed.stdout) == stream(9, "data", 2).integers(2**63)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_seed_or_index_is_refused(seed: int, index: int) -> None:
    with pytest.raises(RecipeError, match=f"0 or more, got seed {seed} and index {index} of 'x'"):
        stream(seed, "x", index)
