"""Augmentation of real and generated images before the discriminator, differentiable, inside the compiled step.

A discriminator that has seen every real image many times remembers them. If real and generated images are changed
at random before it sees them, it has more to learn from, while the generator, whose gradient passes through the
changes, still learns to draw unchanged images.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from mindspore import Parameter, Tensor, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, is_whole

VALUES = 8
"""Random numbers of an image that determine the strength of its changes, and after them ..."""
CHANGES = 6
"""... those that determine which changes are applied."""


class Augmentation(Protocol):
    """Random changes of images. Any object with both methods is an augmentation.

    A method ``adapt(real_scores, fake_scores, boundary, count)``, if there is one, is called in every step with
    the discriminator's scores; see :class:`AdaptiveAugment`.
    """

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return the random numbers for ``count`` images, an array (count, ...)."""
        ...

    @abstractmethod
    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Return changed images, from images (N, C, H, W) and the numbers of :meth:`draw`, inside the graph."""
        ...


@dataclass(frozen=True)
class Augment(Augmentation):
    """DiffAugment, Zhao et al., 2020 (arXiv:2006.10738): color, translation and cutout, by default all of them.

    0 switches a change off. Pixels that a change leaves without a value become 0, the middle of the range.

    Args:
        brightness: a number from -brightness to brightness is added to the image.
        saturation: the distance of each pixel to its mean over channels is multiplied by a number from
            1 - saturation to 1 + saturation. Without effect on grey images.
        contrast: the distance to the mean of the image is multiplied by a number from 1 - contrast to
            1 + contrast.
        translation: the image is shifted by whole pixels, by up to this part of its height and width; below 1.
        cutout: a rectangle of this part of the height and width is cut out, at a random place; at most 1.
        flip: whether half of the images are mirrored left to right; not for digits and letters.
        probability: the probability of each change to be applied to an image, from 0 to 1.

    Raises:
        RecipeError: a number is out of range.
    """

    brightness: float = 0.5
    saturation: float = 1.0
    contrast: float = 0.5
    translation: float = 0.125
    cutout: float = 0.5
    flip: bool = False
    probability: float = 1.0

    def __post_init__(self) -> None:
        for name in ("brightness", "saturation", "contrast"):
            _check_range(self, name, math.inf)
        for name in ("translation", "cutout", "probability"):
            _check_range(self, name, 1.0)
        if not isinstance(self.flip, bool):
            raise RecipeError(f"{type(self).__name__}: flip must be True or False, got {self.flip!r}")

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return numbers from 0 to 1, (count, 14)."""
        return rng.random((count, VALUES + CHANGES), dtype=np.float32)

    def get_probability(self) -> Any:
        """Return the probability of each change, a number or a Parameter (1,)."""
        return self.probability

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Return changed images (N, C, H, W)."""
        channels, height, width = images.shape[1:]
        drawn = ops.stop_gradient(drawn)
        used = (drawn[:, VALUES:] < self.get_probability()).astype(images.dtype)
        change = (2 * drawn[:, :3] - 1) * used[:, :3]
        if self.brightness:
            images = images + self.brightness * change[:, 0].reshape(-1, 1, 1, 1)
        if self.saturation and channels > 1:
            grey = images.mean(1, keep_dims=True)
            images = grey + (images - grey) * (1 + self.saturation * change[:, 1].reshape(-1, 1, 1, 1))
        if self.contrast:
            mean = images.mean((1, 2, 3), keep_dims=True)
            images = mean + (images - mean) * (1 + self.contrast * change[:, 2].reshape(-1, 1, 1, 1))
        if self.translation or self.flip:
            mirrored = (drawn[:, 5] < 0.5).astype(images.dtype) * used[:, 4] * float(self.flip)
            down = _draw_shift(drawn[:, 3], used[:, 3], self.translation, height)
            right = _draw_shift(drawn[:, 4], used[:, 3], self.translation, width)
            images = _move(images, down, right, mirrored)
        if self.cutout:
            rows, columns = (
                _draw_cut(drawn[:, 6], used[:, 5], self.cutout, height),
                _draw_cut(drawn[:, 7], used[:, 5], self.cutout, width),
            )
            images = images * (1 - rows.reshape(-1, 1, height, 1) * columns.reshape(-1, 1, 1, width))
        return images


@dataclass(frozen=True)
class AdaptiveAugment(Augment):
    """Adaptive augmentation, Karras et al., 2020 (arXiv:2006.06676), section 3: as much as is needed.

    The probability of the changes is state of the game. It rises while the discriminator recognises more than a
    share of the real images, measured by r = E[sign D(x)] (equation 1), and falls otherwise, at a speed at which
    it would go from 0 to 1 within ``images`` images. The paper adjusts it every 4 steps, this class in every step.
    For scores of which only differences are meaningful (Wasserstein and relativistic objectives), D(x) is compared
    with the mean score of generated images. The probability is published as ``augment_p``.

    Args:
        probability: the initial probability.
        target: r above which the probability rises, between -1 and 1.
        images: number of real images in which the probability would go from 0 to 1, at least 1.
        most: the probability does not exceed it, from 0 to 1; the paper finds that generated images begin to
            look augmented above 0.8.

    Raises:
        RecipeError: a number is out of range.
    """

    probability: float = 0.0
    target: float = 0.6
    images: int = 500_000
    most: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range(self, "most", 1.0)
        if isinstance(self.target, bool) or not -1 < self.target < 1:
            raise RecipeError(f"AdaptiveAugment: target must be between -1 and 1, got {self.target!r}")
        if not is_whole(self.images, 1):
            raise RecipeError(f"AdaptiveAugment: images must be a whole number of at least 1, got {self.images!r}")
        start = Tensor(np.full(1, self.probability, np.float32))
        object.__setattr__(self, "p", Parameter(start, name="p", requires_grad=False))

    def get_probability(self) -> Any:
        """Return the probability of each change, a Parameter (1,)."""
        return self.p  # type: ignore[attr-defined]

    def adapt(self, real_scores: Tensor, fake_scores: Tensor, boundary: float | None, count: int) -> Tensor:
        """Adjust the probability after a step with ``count`` real images; return it, (1,).

        Args:
            real_scores: scores of real images.
            fake_scores: scores of generated images.
            boundary: the score between those of real and of generated images, or None if there is none.
            count: number of real images of this step.
        """
        between = fake_scores.mean() if boundary is None else boundary
        overfitting = ops.sign(ops.stop_gradient(real_scores - between)).mean()
        p = self.p + ops.sign(overfitting - self.target) * (count / self.images)  # type: ignore[attr-defined]
        return ops.assign(self.p, ops.clip_by_value(p, 0.0, self.most))  # type: ignore[attr-defined]


def _draw_shift(drawn: Tensor, used: Tensor, part: float, length: int) -> Tensor:
    """Return whole numbers of pixels, (N,), as floats."""
    most = int(part * length + 0.5)
    return (ops.floor(drawn * (2 * most + 1)) - most) * used


def _move(images: Tensor, down: Tensor, right: Tensor, mirrored: Tensor) -> Tensor:
    """Return images shifted by ``down`` and ``right`` pixels, mirrored where ``mirrored`` is 1 and not 0."""
    count, channels, height, width = images.shape
    # One row or column of each matrix selects one row or column of the image: products are faster than gathers,
    # and have a second derivative.
    rows = ops.arange(height).astype(images.dtype)
    columns = ops.arange(width).astype(images.dtype)
    sources = rows.reshape(1, -1, 1) - down.reshape(-1, 1, 1)  # of each row of the result
    up_down = (rows.reshape(1, 1, -1) == sources).astype(images.dtype)  # (N, result, image)
    sources = columns.reshape(1, 1, -1) - right.reshape(-1, 1, 1)
    flip = mirrored.reshape(-1, 1, 1)
    sources = flip * (width - 1 - sources) + (1 - flip) * sources
    left_right = (columns.reshape(1, -1, 1) == sources).astype(images.dtype)  # (N, image, result)
    images = ops.bmm(images.reshape(count, channels * height, width), left_right)
    images = images.reshape(count, channels, height, width).swapaxes(1, 2).reshape(count, height, channels * width)
    return ops.bmm(up_down, images).reshape(count, height, channels, width).swapaxes(1, 2)


def _draw_cut(drawn: Tensor, used: Tensor, part: float, length: int) -> Tensor:
    """Return 1 for the rows or columns that are cut out, else 0, (N, length)."""
    size = int(part * length + 0.5)
    start = (ops.floor(drawn * (length + 1 - size % 2)) - size // 2).reshape(-1, 1)
    places = ops.arange(length).astype(used.dtype).reshape(1, -1)
    inside = ops.logical_and(places >= start, places < start + size)
    return inside.astype(used.dtype) * used.reshape(-1, 1)


def _check_range(augment: object, name: str, most: float) -> None:
    value = getattr(augment, name)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0 <= value <= most
        or value == math.inf
    ):
        within = "0 or more" if most == math.inf else f"from 0 to {most:g}"
        raise RecipeError(f"{type(augment).__name__}: {name} must be a number {within}, got {value!r}")
