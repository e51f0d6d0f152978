"""The model of the cost of ranks, on numbers whose result is known."""

from __future__ import annotations

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks import ranks
from benchmarks.rank_model import SMALL_MESSAGES, Link, Step, fit_link

LINK = Link(latency=1e-3, bandwidth=1e8, copying=5e8)


def test_a_link_is_found_from_its_times() -> None:
    sizes = (8, 2**12, 2**18, 2**22)
    found = fit_link([(size, LINK.time(size, 2)) for size in sizes], LINK.copying)
    assert found == pytest.approx(LINK, rel=1e-6)


def test_one_process_does_not_communicate() -> None:
    step = Step(compute=0.02, gradients=(4_000_000, 2_000_000))
    assert step.predict(1, LINK) == 0.02
    assert step.efficiency(1, LINK) == 1


def test_two_ranks_send_each_gradient_once() -> None:
    step = Step(compute=0.02, gradients=(4_000_000, 2_000_000))
    bytes_sent = 6_000_000 + sum(SMALL_MESSAGES)
    assert step.predict(2, LINK) == pytest.approx(0.02 + 4 * 1e-3 + bytes_sent / 1e8 + bytes_sent / 5e8)


def test_many_ranks_send_gradients_twice_at_most() -> None:
    step = Step(compute=0.02, gradients=(4_000_000,))
    times = [step.predict(count, Link(0.0, 1e8, float("inf"))) for count in (2, 8, 64, 512)]
    assert times == sorted(times)
    assert times[-1] < 0.02 + 2 * (4_000_000 + sum(SMALL_MESSAGES)) / 1e8


def test_the_tables_show_the_error_of_the_model() -> None:
    step = Step(0.02, (4_000_000, 2_000_000))
    measured = {
        "link": LINK._asdict(),
        "settings": {"mlp": [{"one process": 0.03, "compute": 0.02, "two ranks": 0.8 * step.predict(2, LINK)}]},
        "gradients": {"mlp": [4_000_000, 2_000_000]},
    }
    two, many = ranks.tables(measured)
    [row] = two.rows
    assert row[0] == "mlp" and row[5] == "+25%"
    assert [line[0] for line in many.rows] == ["mlp, loopback", "mlp, 10 Gb/s Ethernet", "mlp, 100 Gb/s RDMA"]
