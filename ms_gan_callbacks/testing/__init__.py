"""Tests of callbacks: simulated runs in milliseconds and without MindSpore, and checks of callbacks.

::

    trace = drive(WonOutright(patience=3), scalars={"d_loss": [0.5, 0.001, 0.001, 0.001]})
    assert trace.stopped == 4
    assert_state_round_trips(WonOutright(patience=3), scalars={"d_loss": 0.001})
    assert_leaves_training_alone(WonOutright())          trains a tiny GAN, in seconds
"""

from ms_gan_callbacks.testing.checks import assert_leaves_training_alone, assert_state_round_trips
from ms_gan_callbacks.testing.script import Script, drive
from ms_gan_callbacks.testing.simulated_run import EQUILIBRIUM, make_run
from ms_gan_callbacks.testing.trace import Trace

__all__ = [
    "EQUILIBRIUM",
    "Script",
    "Trace",
    "assert_leaves_training_alone",
    "assert_state_round_trips",
    "drive",
    "make_run",
]
