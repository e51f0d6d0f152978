"""TensorBoard beside a run: it follows learning rates, disturbs nothing, and fails alone."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from conftest import assert_same_weights, compiled_players, tiny_runner, weights_of
from mindspore import nn

from callbacks.events import points, read
from ms_gan_callbacks import Callback, Every, GanWarning, Run, TensorBoard


class Reads(Callback):
    """Reads the curve at every step's end, as a TensorBoard that stands open does."""

    order = 99

    def __init__(self) -> None:
        self.steps: list[list[int]] = []

    def on_train_step_end(self, run: Run) -> None:
        self.steps.append([step for step, _ in points(read(run.out_dir), "gan/d_loss")])


def test_curves_grow_while_the_run_goes_on(images: np.ndarray) -> None:
    reads = Reads()
    tensorboard = TensorBoard(Every.steps(1), flush_seconds=0)
    tiny_runner().train(1, images, [tensorboard, reads], batch_size=4, quiet=True)
    assert reads.steps == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]]


RATES = [0.01, 0.02, 0.0, 0.03, 0.04, 0.0, 0.05, 0.06, 0.07, 0.08]  # a rate of 0 leaves its mark: no weight moves


class Stuck(Callback):
    """Records the steps that left the discriminator's first weights alone."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def weights(self, run: Run) -> bytes:
        return next(iter(run.discriminator.trainable_params())).asnumpy().tobytes()

    def on_train_step_begin(self, run: Run) -> None:
        self.before = self.weights(run)

    def on_train_step_end(self, run: Run) -> None:
        if self.weights(run) == self.before:
            self.steps.append(run.step)


@pytest.mark.slow
def test_the_learning_rate_at_a_step_is_the_one_its_update_used(images: np.ndarray) -> None:
    stuck, optimizer = Stuck(), partial(nn.Adam, learning_rate=RATES)
    callbacks = [TensorBoard(Every.steps(1)), stuck]
    tiny_runner(optimizer=optimizer).train(2, images, callbacks, batch_size=4, quiet=True)
    written = points(read(Path("run")), "optimizer/learning_rate_discriminator")
    # Adam's moments move the weights only by way of the rate.
    assert [step for step, rate in written if rate == 0] == stuck.steps == [3, 6]
    assert written == [(step, pytest.approx(rate)) for step, rate in enumerate(RATES, start=1)]


def cosine(parameters: list[ms.Parameter]) -> nn.Optimizer:
    return nn.Adam(parameters, learning_rate=nn.CosineDecayLR(0.001, 0.01, 8))


def exponential(parameters: list[ms.Parameter]) -> nn.Optimizer:
    rates = nn.exponential_decay_lr(0.01, 0.5, total_step=10, step_per_epoch=5, decay_epoch=1)
    return nn.Adam(parameters, learning_rate=rates)


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [
        pytest.param(
            cosine, lambda done: 0.001 + 0.0045 * (1 + np.cos(np.pi * min(done, 8) / 8)), marks=pytest.mark.slow
        ),
        pytest.param(exponential, lambda done: 0.01 * 0.5 ** (done // 5), marks=pytest.mark.slow),
    ],
)
def test_schedules_are_followed_and_not_disturbed(optimizer: object, rate: object, images: np.ndarray) -> None:
    runner = tiny_runner("alone", optimizer=optimizer)
    runner.train(2, images, [], batch_size=4, quiet=True)
    alone = weights_of(runner)
    compiled_players.free_all()
    watched = tiny_runner("watched", optimizer=optimizer)
    watched.train(2, images, [TensorBoard(Every.steps(2))], batch_size=4, quiet=True)
    expected = [(step, pytest.approx(rate(step - 1), rel=1e-5)) for step in (2, 4, 6, 8, 10)]  # type: ignore[operator]
    assert points(read(Path("watched")), "optimizer/learning_rate_generator") == expected
    assert_same_weights(weights_of(watched), alone)


class InTheWay(Callback):
    """Puts a file where the event folder belongs."""

    order = -1

    def on_train_begin(self, run: Run) -> None:
        (run.out_dir / "tensorboard").write_text("in the way")


def test_a_folder_that_cannot_be_made_costs_the_curves_not_the_run(images: np.ndarray) -> None:
    with pytest.warns(GanWarning, match=r"TensorBoard.on_train_begin.*the run continues without it"):
        result = tiny_runner().train(
            2, images, [InTheWay(), TensorBoard(Every.steps(2))], batch_size=4, quiet=True
        )
    assert result.step == 10
    assert len(result.faults) == 1


class FullDisk(Callback):
    """Lets no file grow beyond 20,000 bytes, and logs a picture of more than that at every step."""

    order = -1

    def on_train_begin(self, run: Run) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    def on_train_step_end(self, run: Run) -> None:
        run.log(noise=np.random.default_rng(run.step).integers(0, 256, (150, 150), np.uint8))


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("file_size_limit")
def test_a_full_disk_costs_the_curves_and_neither_ends_nor_hangs_the_run(images: np.ndarray) -> None:
    with pytest.warns(GanWarning, match=r"TensorBoard.see_logged.*File too large.*continues without it"):
        result = tiny_runner().train(
            8, images, [FullDisk(), TensorBoard(Every.steps(2), flush_seconds=0)], batch_size=4, quiet=True
        )
    assert result.step == 40
    assert result.faults[0].startswith("TensorBoard")
