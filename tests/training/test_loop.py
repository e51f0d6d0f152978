"""The loop's inputs: what each step is given, however many are made ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_same_weights, tiny_players, tiny_runner, weights_of
from mindspore import Tensor, nn
from numpy.typing import NDArray

from ms_gan_callbacks import (
    R1,
    ArraySource,
    Callback,
    Checkpoint,
    Evaluation,
    GradientPenalty,
    Penalty,
    thumbnails,
)
from ms_gan_callbacks.data.protocol import Columns
from ms_gan_callbacks.data.rng import noise, stream
from ms_gan_callbacks.errors import Interrupted
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.progress import Progress
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.training.evaluator import Evaluator
from ms_gan_callbacks.training.loop import AHEAD_BYTES, NoInterruption, TrainingLoop

SIZE = 4


class Counted(ArraySource):
    """Counts the batches that are taken from it."""

    taken = 0

    def batches(self, seed: int, epoch: int, start: int = 0) -> Iterator[Columns]:
        for batch in super().batches(seed, epoch, start):
            self.taken += 1
            yield batch


def make_loop(source: ArraySource, step: int = 0, **changes: object) -> TrainingLoop:
    progress = Progress(9, source.steps_per_epoch, step=step)
    run = Run(progress, Path("run"), seed=7, noise_dim=3)
    evaluator = Evaluator(Evaluation(), source, 7)
    players = tiny_players(**changes)
    players.game.image_shape = source.image_shape
    store = CheckpointStore(Path("run/checkpoints"))
    return TrainingLoop(run, CallbackBus([]), store, players, source, evaluator, NoInterruption())


def images_of(side: int, count: int) -> NDArray[np.float32]:
    draw = np.random.default_rng(0)
    return np.tile(draw.uniform(-1, 1, (count, 1, 1, 1)).astype(np.float32), (1, 1, side, side))


@pytest.mark.parametrize(
    ("side", "ahead"),
    [(4, 16), (256, 4), (296, 2), (512, 1), (700, 1)],
)
def test_batches_are_made_ahead_as_far_as_memory_allows_and_one_at_least(side: int, ahead: int) -> None:
    bytes_of_batch = 4 * SIZE * side * side
    assert ahead == max(1, min(16, AHEAD_BYTES // bytes_of_batch))
    source = Counted(images_of(side, 20 * SIZE), SIZE)
    batches = make_loop(source)._prepare_inputs(1, 0)
    for number in range(1, min(2 * ahead + 2, 21)):
        next(batches)
        assert source.taken == min(-(-number // ahead) * ahead, 20)


@pytest.mark.parametrize("done", [0, 1, 15, 16, 17, 19])
@pytest.mark.parametrize("penalty", [None, GradientPenalty(), R1()])
def test_every_step_is_given_its_own_batch_noise_and_chance(done: int, penalty: Penalty | None) -> None:
    source = ArraySource(images_of(4, 20 * SIZE), SIZE)
    epoch = 2
    step = source.steps_per_epoch + done
    loop = make_loop(source, step, penalty=penalty)
    found = list(loop._prepare_inputs(epoch, done))
    expected = [batch["real"] for batch in source.batches(7, epoch, done)]
    assert len(found) == len(expected) == 20 - done
    for number, (inputs, real) in enumerate(zip(found, expected, strict=True), step + 1):
        np.testing.assert_array_equal(inputs["real"], real)
        np.testing.assert_array_equal(inputs["noise"], noise(7, "noise", number, SIZE, 3))
        if penalty is None:
            assert "penalty" not in inputs
        else:
            drawn = penalty.draw(stream(7, "penalty", number), real.shape)
            np.testing.assert_array_equal(inputs["penalty"], drawn)


def test_every_step_of_a_conditional_run_is_given_the_labels_of_its_images() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 20 * SIZE)
    loop = make_loop(ArraySource(images_of(4, 20 * SIZE), SIZE, labels=labels), classes=3)
    found = [inputs["labels"] for inputs in loop._prepare_inputs(1, 0)]
    assert np.concatenate(found).tolist() == labels[stream(7, "data", 1).permutation(20 * SIZE)].tolist()


def test_after_a_rollback_the_noise_is_another(images: np.ndarray) -> None:
    source = ArraySource(images, 4)
    loop = make_loop(source)
    loop.run.rollbacks = [{}, {}]
    first = next(loop._prepare_inputs(1, 0))
    np.testing.assert_array_equal(first["noise"], noise(7, "noise after rollback 2", 1, 4, 3))


def test_counters_of_an_older_checkpoint_begin_at_the_beginning(images: np.ndarray) -> None:
    loop = make_loop(ArraySource(images, 4))
    then = {"steps_per_epoch": 5, "step": 7, "epoch": 2, "d_updates": 7, "g_updates": 7}
    loop._restore_progress(then, None)
    assert loop.run.progress == Progress(9, 5, 7, 2, 7, 7)
    assert loop.run.progress.next_epoch == 2
    # It does not tell its batch size either: half of an epoch stays half of one.
    longer = make_loop(ArraySource(np.concatenate((images, images)), 4))
    longer._restore_progress(then, None)
    assert (longer.run.progress.next_epoch, longer.run.progress.begin(2)) == (2, 4)


def test_a_run_begins_with_nothing_counted_and_an_epoch_ends_with_its_last_step() -> None:
    progress = Progress(3, 5)
    counted = (progress.step, progress.epoch, progress.d_updates, progress.g_updates)
    assert counted == (0, 0, 0, 0)
    assert (progress.steps, progress.next_epoch) == (15, 1)
    ends = []
    for progress.step in range(12):
        ends.append(progress.ends_epoch)
    assert [step for step, end in enumerate(ends) if end] == [5, 10]
    assert Progress(1, 1, step=1).ends_epoch


class Means(Callback):
    """Keeps every step's d_loss, and the mean of it that an epoch ends with."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.means: list[float] = []

    def on_train_step_end(self, run: Run) -> None:
        self.losses.append(run.scalars["d_loss"])

    def on_train_epoch_end(self, run: Run) -> None:
        self.means.append(run.epoch_means["d_loss"])


def test_the_means_of_an_epoch_are_over_its_own_steps(images: np.ndarray) -> None:
    seen = Means()
    tiny_runner().train(2, images, seen, batch_size=4, quiet=True)
    assert seen.means == pytest.approx([np.mean(seen.losses[:5]), np.mean(seen.losses[5:])], abs=1e-6)


class Remembers(Callback):
    def on_train_begin(self, run: Run) -> None:
        self.metrics = dict(run.metrics)


def test_a_run_goes_on_with_what_it_measured_and_keeps_the_checkpoint_that_it_goes_on_from(
    images: np.ndarray,
) -> None:
    gap = Evaluation(
        {"gap": lambda real, fake: abs(real.images.mean() - fake.images.mean())}, samples=8, extractor=thumbnails
    )
    first = tiny_runner().train(1, images, Checkpoint(keep=1), evaluation=gap, batch_size=4, quiet=True)
    seen = Remembers()
    later = [seen, Checkpoint(keep=1)]  # the same owner, which keeps the newer one
    tiny_runner(resume=True).train(3, images, later, evaluation=gap, batch_size=4, quiet=True)
    assert seen.metrics == first.metrics and first.metrics["gap"] > 0
    assert [path.name for path in sorted(Path("run/checkpoints").iterdir())] == ["step-00000005", "step-00000015"]


def test_a_run_that_goes_back_forgets_what_it_measured_since(images: np.ndarray) -> None:
    loop = make_loop(ArraySource(images, 4))
    loop.run.metrics["gap"] = 1.0
    loop.save()
    loop.run.metrics.update(gap=2.0, other=3.0)
    loop.restore(loop.store.load(0, loop.players.weights()))
    assert loop.run.metrics == {"gap": 1.0}


class AsksAtOnce(Callback):
    def on_train_begin(self, run: Run) -> None:
        run.request_checkpoint()

    def on_train_epoch_begin(self, run: Run) -> None:
        self.found = run.checkpoint


def test_a_checkpoint_that_is_asked_for_at_the_beginning_is_written_before_the_first_step(
    images: np.ndarray,
) -> None:
    asks = AsksAtOnce()
    tiny_runner().train(1, images, asks, batch_size=4, quiet=True)
    assert asks.found is not None and asks.found.name == "step-00000000" and asks.found.is_dir()


def test_an_interruption_before_the_first_step_trains_none(images: np.ndarray) -> None:
    interruption = NoInterruption()
    interruption.received = 15
    with pytest.raises(Interrupted, match="before the first step; nothing was saved") as caught:
        tiny_runner(interruption=interruption).train(1, images, [], batch_size=4, quiet=True)
    assert caught.value.exit_code == 128 + 15


class CallsNetworks(Callback):
    """Calls both networks after every step, as a callback that evaluates them may."""

    def on_train_step_end(self, run: Run) -> None:
        images = Tensor(images_of(8, 5))
        for name, inputs in (("generator", Tensor(np.ones((5, 3), np.float32))), ("discriminator", images)):
            first, second = (run.networks[name](inputs).asnumpy() for _ in range(2))
            np.testing.assert_array_equal(first, second)  # Dropout would draw other masks


@pytest.mark.slow
def test_networks_that_a_callback_calls_are_in_evaluation_mode_and_train_as_without_it() -> None:
    def train(folder: str, callbacks: list[Callback]) -> dict[str, NDArray[np.float32]]:
        runner = tiny_runner(
            folder,
            fresh=True,
            generator=lambda: nn.SequentialCell(
                nn.Dense(3, 64), nn.Unflatten(1, (1, 8, 8)), nn.BatchNorm2d(1), nn.Tanh()
            ),
            discriminator=lambda: nn.SequentialCell(
                nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(p=0.5), nn.Dense(64, 1)
            ),
            noise_dim=3,
        )
        runner.train(2, ArraySource(images_of(8, 8), SIZE), callbacks, quiet=True)
        return weights_of(runner)

    assert_same_weights(train("without", []), train("with", [CallsNetworks()]))
