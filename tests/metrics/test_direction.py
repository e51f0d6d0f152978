"""A metric's declarations are found on functions, on partials of them, and on declared partials."""

from __future__ import annotations

from functools import partial

from ms_gan_callbacks import Sample, higher_is_better, lower_is_better, paired
from ms_gan_callbacks.metrics.direction import is_paired, read_mode


def weighted(real: Sample, fake: Sample, weight: float = 1, power: float = 1) -> float:
    return weight


def test_functions() -> None:
    declared = paired(lower_is_better(lambda real, fake: 0.0))
    assert (is_paired(declared), read_mode(declared)) == (True, "min")
    plain = partial(weighted, weight=2)
    assert (is_paired(plain), read_mode(plain)) == (False, None)


def test_partials() -> None:
    declared = paired(higher_is_better(lambda real, fake, weight=1, power=1: 0.0))
    once = partial(declared, weight=2)
    assert (is_paired(once), read_mode(once)) == (True, "max")
    nested = partial(lower_is_better(once), power=3)  # a partial with attributes is not merged into the new one
    assert isinstance(nested.func, partial)
    assert (is_paired(nested), read_mode(nested)) == (True, "min")


def test_a_declared_partial_does_not_declare_its_function() -> None:
    declared = paired(lower_is_better(partial(weighted, weight=2)))
    assert (is_paired(declared), read_mode(declared)) == (True, "min")
    assert (is_paired(weighted), read_mode(weighted)) == (False, None)
