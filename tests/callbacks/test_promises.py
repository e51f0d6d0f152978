"""What every callback of the package promises: to go on as it was, and to leave training alone."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console as Terminal

from ms_gan_callbacks import (
    BestCheckpoint,
    Callback,
    Checkpoint,
    CollapseGuard,
    Console,
    DivergenceGuard,
    EarlyStopping,
    Every,
    ImageGrid,
    MetricsLog,
    TensorBoard,
)
from ms_gan_callbacks.config.components import BUILT_IN
from ms_gan_callbacks.testing import assert_leaves_training_alone, assert_state_round_trips

UP_AND_DOWN = [3.0, 1.0, 2.0, 0.5, 4.0, 5.0, 6.0]


def quiet_console() -> Console:
    return Console(Terminal(file=io.StringIO()))


EACH: list[Callback] = [
    BestCheckpoint("m", mode="min"),
    Checkpoint(Every.steps(4), best=BestCheckpoint("d_real", target=0.5)),
    CollapseGuard(Every.steps(2), warm_up=3, samples=8),
    quiet_console(),
    DivergenceGuard(Every.steps(2), action="roll back"),
    EarlyStopping("m", mode="min", patience=3, restore_best=True),
    ImageGrid(Every.steps(3), rows=1, columns=2),
    MetricsLog(Every.steps(3)),
    TensorBoard(Every.steps(3)),
]


def test_here_is_every_one() -> None:
    assert {type(one).__name__ for one in EACH} == {*BUILT_IN["callbacks"]}


@pytest.mark.parametrize("callback", EACH, ids=lambda callback: callback.name)
def test_it_goes_on_as_it_was(callback: Callback) -> None:
    d_real = [0.9, 0.8, 0.4, 0.5, 0.7, 0.6]
    scalars = {"d_loss": [1.0] * 17 + [math.nan], "g_loss": 1.0, "d_real": d_real, "d_fake": 0.5}
    one = (
        quiet_console if isinstance(callback, Console) else callback
    )  # a terminal has locks, which have no copies
    assert_state_round_trips(one, epochs=7, steps_per_epoch=3, scalars=scalars, metrics={"m": UP_AND_DOWN})


def test_all_of_them_leave_training_alone() -> None:
    # The tiny GAN has no metrics; its Checkpoint brings a BestCheckpoint along.
    others = [one for one in EACH if getattr(one, "monitor", None) != "m"]
    assert_leaves_training_alone(*others, EarlyStopping("d_real", target=0.5, patience=1))
