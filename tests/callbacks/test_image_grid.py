"""Grids: the same noise each time, the generator in evaluation mode, training none the wiser."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_same_weights, tiny_runner, weights_of
from mindspore import Tensor, nn
from PIL import Image

from ms_gan_callbacks import Callback, CallbackError, Every, GanWarning, ImageGrid, Run

PADDING = 2


class AnyGenerator(nn.Cell):
    """Noise (N, 3) to images (N, channels, 4, 4), without batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.dense = nn.Dense(3, channels * 16)

    def construct(self, noise: Tensor) -> Tensor:
        return self.dense(noise).tanh().reshape(-1, self.channels, 4, 4)


class AnyDiscriminator(nn.Cell):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.size = channels * 16
        self.dense = nn.Dense(self.size, 1)

    def construct(self, images: Tensor) -> Tensor:
        return self.dense(images.reshape(-1, self.size))


def channels(count: int) -> dict[str, object]:
    return {"generator": partial(AnyGenerator, count), "discriminator": partial(AnyDiscriminator, count)}


class Samples(Callback):
    """Keeps what the generator makes of the preview noise at the end of every epoch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.images: list[np.ndarray] = []

    def on_train_epoch_end(self, run: Run) -> None:
        self.images.append(run.sample(self.count))


def tiles(path: Path, rows: int, columns: int) -> list[np.ndarray]:
    """Cut a grid of 4 x 4 images, each pixel a square of 21 x 21, 2 black pixels around each, into its images."""
    grid, cell = np.asarray(Image.open(path)), 84 + PADDING
    assert grid.shape[:2] == (rows * cell + PADDING, columns * cell + PADDING)
    corners = [(cell * r + PADDING, cell * c + PADDING) for r in range(rows) for c in range(columns)]
    squares = [grid[top : top + 84, left : left + 84] for top, left in corners]
    for square in squares:
        blocks = square.reshape(4, 21, 4, 21, -1)
        assert (blocks == blocks[:, :1, :, :1]).all()
    return [square[::21, ::21] for square in squares]


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_grid_holds_the_generators_images_row_by_row(images: np.ndarray) -> None:
    samples, grid = Samples(6), ImageGrid(Every.epochs(1), rows=2, columns=3)
    result = tiny_runner().train(2, images, [grid, samples], batch_size=4, quiet=True)
    assert names("run/samples") == ["epoch-0001.png", "epoch-0002.png"]
    assert result.highlights["ImageGrid"] == "samples/epoch-0002.png"
    for name, drawn in zip(names("run/samples"), samples.images, strict=True):
        for tile, image in zip(tiles(Path("run/samples") / name, 2, 3), drawn, strict=True):
            assert np.abs(tile - (image[0] + 1) * 127.5).max() <= 0.5 + 1e-4
    assert not np.array_equal(*samples.images)


def test_pictures_within_an_epoch_are_named_by_step_and_the_last_step_has_one(images: np.ndarray) -> None:
    grid = ImageGrid(Every.steps(4), rows=1, columns=1, folder="walk")
    tiny_runner().train(2, images, [grid], batch_size=4, quiet=True)
    assert names("run/walk") == ["step-00000004.png", "step-00000008.png", "step-00000010.png"]


@pytest.mark.slow
def test_the_noise_is_the_same_every_time(images: np.ndarray) -> None:
    frozen = partial(nn.Adam, learning_rate=0.0)
    grid = ImageGrid(Every.steps(2), rows=2, columns=2)
    tiny_runner(optimizer=frozen, **channels(1)).train(2, images, [grid], batch_size=4, quiet=True)
    pictures = {path.read_bytes() for path in Path("run/samples").iterdir()}
    assert len(names("run/samples")) == 5
    assert len(pictures) == 1


def test_the_generator_is_in_evaluation_mode(images: np.ndarray) -> None:
    # With batch statistics an image would depend on those drawn beside it.
    few, many = ImageGrid(rows=1, columns=1, folder="few"), ImageGrid(rows=3, columns=3, folder="many")
    tiny_runner(fresh=True).train(1, images, [few, many], batch_size=4, quiet=True)
    (alone,), (first, *_) = (
        tiles(Path("run/few/epoch-0001.png"), 1, 1),
        tiles(Path("run/many/epoch-0001.png"), 3, 3),
    )
    np.testing.assert_array_equal(alone, first)


@pytest.mark.slow
def test_one_seed_draws_identical_files_and_drawing_leaves_training_alone(images: np.ndarray) -> None:
    runs = {
        "often": [ImageGrid(Every.steps(1), rows=2, columns=2)],
        "once": [ImageGrid(Every.epochs(2), rows=2, columns=2)],
        "again": [ImageGrid(Every.epochs(2), rows=2, columns=2)],
        "never": [],
    }
    weights = {}
    for folder, callbacks in runs.items():
        runner = tiny_runner(folder, seed=5)
        runner.train(2, images, callbacks, batch_size=4, quiet=True)
        weights[folder] = weights_of(runner)
    once, again, often = (
        Path(path).read_bytes()
        for path in (
            "once/samples/epoch-0002.png",
            "again/samples/epoch-0002.png",
            "often/samples/step-00000010.png",
        )
    )
    assert once == again == often
    for folder in ("once", "often", "again"):
        assert_same_weights(weights[folder], weights["never"])


def test_colour_images_make_colour_grids() -> None:
    images = np.random.default_rng(1).integers(0, 256, (8, 3, 4, 4), dtype=np.uint8)
    samples, grid = Samples(2), ImageGrid(rows=1, columns=2)
    tiny_runner(**channels(3)).train(1, images, [grid, samples], batch_size=4, quiet=True)
    for tile, image in zip(tiles(Path("run/samples/epoch-0001.png"), 1, 2), samples.images[0], strict=True):
        assert tile.shape == (4, 4, 3)
        assert np.abs(tile - (image.transpose(1, 2, 0) + 1) * 127.5).max() <= 0.5 + 1e-4


def test_images_that_are_no_pictures_are_refused_before_the_first_step() -> None:
    images = np.resize(np.arange(0, 256, 17, np.uint8), (8, 2, 4, 4))
    with pytest.raises(CallbackError, match=r"ImageGrid requires .* the generator's are \(2, 4, 4\)"):
        tiny_runner(**channels(2)).train(1, images, [ImageGrid()], batch_size=4, quiet=True)
    assert not Path("run").exists()


def test_a_schedule_beyond_the_run_is_warned_about(images: np.ndarray) -> None:
    with pytest.warns(GanWarning, match=r"ImageGrid: Every.epochs\(5\) is longer than this run of 1 epoch"):
        tiny_runner().train(1, images, [ImageGrid(Every.epochs(5))], batch_size=4, quiet=True)
    assert names("run/samples") == ["step-00000005.png"]


@pytest.mark.parametrize(
    "folder", ["", ".", "..", "../other", "a/../../b", "/tmp/a", "checkpoints", "checkpoints/a"]
)
def test_grids_stay_within_the_run(folder: str) -> None:
    with pytest.raises(
        CallbackError, match=r"ImageGrid\(folder=...\) must be a separate folder in the run directory"
    ):
        ImageGrid(folder=folder)


@pytest.mark.parametrize("setting", ["rows", "columns", "scale"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "3", True])
def test_rows_columns_and_scale_are_positive_whole_numbers(setting: str, value: object) -> None:
    with pytest.raises(CallbackError, match=rf"ImageGrid\({setting}=...\) must be an integer of at least 1"):
        ImageGrid(**{setting: value})  # type: ignore[arg-type]
