"""The closing summary."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ms_gan_callbacks.events.summary import format_metrics, format_summary


def test_rows_are_aligned_and_empty_ones_left_out() -> None:
    text = format_summary([("run", "finished"), ("metrics", ""), ("a longer name", "1")], Path("out"))
    assert text == "run            finished\na longer name  1\nfolder         out"


@pytest.mark.parametrize("name", ["out", "my run", "a'b", "(1)"])
def test_the_command_for_tensorboard_can_be_pasted(name: str) -> None:
    (Path(name) / "tensorboard").mkdir(parents=True)
    last = format_summary([], Path(name)).splitlines()[-1]
    assert shlex.split(last) == ["watch", "tensorboard", "--logdir", name]


def test_metrics_have_four_significant_digits() -> None:
    assert format_metrics({"fld": 12.34567, "kid": 0.000123456}.items()) == "fld 12.35  kid 0.0001235"
