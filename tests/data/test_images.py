"""Pictures are made to be looked at: small images are enlarged by whole pixels; arrays are never touched."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ms_gan_callbacks import image_grid
from ms_gan_callbacks.data.images import MOST_PIXELS, write_npz


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_becomes_a_square(channels: int) -> None:
    images = numbers(3, channels, 5, 7)
    plain, large = image_grid(images, 2), image_grid(images, 2, scale=4)
    assert plain.shape[:2] == (2 * (5 + 2) + 2, 2 * (7 + 2) + 2)
    assert large.shape[:2] == (2 * (4 * 5 + 2) + 2, 2 * (4 * 7 + 2) + 2)
    for index, image in enumerate(images):
        top, left = 2 + index // 2 * 22, 2 + index % 2 * 30
        square = large[top : top + 20, left : left + 28].reshape(5, 4, 7, 4, -1)
        expected = image.transpose(1, 2, 0)[:, np.newaxis, :, np.newaxis]
        assert (square == expected).all()
    assert large.sum(dtype=int) == 16 * images.sum(dtype=int)  # the rest is black


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((28, 28), 3), ((32, 32), 3), ((64, 64), 2), ((84, 84), 1), ((96, 96), 1), ((128, 20), 1), ((4, 42), 2)],
)
def test_the_scale_is_chosen_by_the_images_size(shape: tuple[int, int], scale: int) -> None:
    images = numbers(1, 1, *shape)
    np.testing.assert_array_equal(image_grid(images, 1, scale=None), image_grid(images, 1, scale=scale))


def test_a_grid_that_would_be_too_large_is_enlarged_less() -> None:
    grid = image_grid(np.zeros((14_400, 1, 28, 28), np.uint8), 120, scale=None)
    assert grid.shape == (120 * (2 * 28 + 2) + 2,) * 2  # three times would be 10,322 squared
    assert grid.size <= MOST_PIXELS < 10_322**2


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"columns": 1, "scale": 0}])
def test_what_makes_no_grid_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        image_grid(numbers(1, 1, 4, 4), **wrong)


def test_an_array_that_is_written_in_parts_is_the_whole_array() -> None:
    whole, buffer = numbers(10, 3, 4, 4), io.BytesIO()
    write_npz(buffer, "images", whole.shape, (whole[start : start + 4] for start in range(0, 10, 4)))
    buffer.seek(0)
    with np.load(buffer) as arrays:
        assert arrays.files == ["images"]
        np.testing.assert_array_equal(arrays["images"], whole)
