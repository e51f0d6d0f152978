"""Diversity is a ratio of mean distances, also where not all distances are held at once."""

from __future__ import annotations

import numpy as np
import pytest

from ms_gan_callbacks.metrics import distances
from ms_gan_callbacks.metrics.diversity import diversity
from ms_gan_callbacks.metrics.sample import Sample


def rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32)


@pytest.mark.parametrize("cells", [1, 7 * 23, 1 << 23])
def test_it_is_the_ratio_of_mean_distances(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "_CELLS", cells)  # a row at a time, seven, all
    random = np.random.default_rng(0)
    real, fake = (random.integers(0, 256, (23, 1, 2, 3), dtype=np.uint8) for _ in range(2))
    means = [
        np.mean([np.linalg.norm(a - b) for place, a in enumerate(rows(x)) for b in rows(x)[:place]])
        for x in (real, fake)
    ]
    assert diversity(Sample(real, rows), Sample(fake, rows)) == pytest.approx(means[1] / means[0])


def test_one_image_again_and_again_has_none() -> None:
    real = np.random.default_rng(0).integers(0, 256, (5, 1, 2, 3), dtype=np.uint8)
    assert diversity(Sample(real, rows), Sample(real[[0] * 5], rows)) == 0
