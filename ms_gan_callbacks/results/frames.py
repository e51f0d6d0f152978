"""Frames of an animation: a run's image grids through the epochs, or a walk in latent space."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ms_gan_callbacks.data.images import image_grid, to_uint8
from ms_gan_callbacks.errors import RunDirError, UsageError, pluralize, warn
from ms_gan_callbacks.models.networks import Floats
from ms_gan_callbacks.results.inference import Trained
from ms_gan_callbacks.results.log import Lines, read_log
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.files import list_folder

GRID = re.compile(r"(?P<unit>epoch|step)-(?P<number>[0-9]{4,})\.png")
MOST_PIXELS = 400_000_000
"""Maximum number of pixels of all frames together, which are kept in memory."""
STOPS = 4
"""Number of noise vectors that a walk visits for each image before it returns to the first."""


@dataclass(frozen=True)
class Frame:
    """An image of an animation, grey ("L") or "RGB", with its caption."""

    image: Image.Image
    caption: str


@dataclass(frozen=True)
class Grid:
    """An image grid of a run, and the moment it shows.

    Attributes:
        path: the PNG file, or the directory of the checkpoint.
        epoch: the epoch that ended at this moment, or None.
        step: the step, or None if the log does not contain it.
        values: metrics that were logged at this step.
    """

    path: Path
    epoch: int | None
    step: int | None
    values: Mapping[str, float | None]

    @property
    def title(self) -> str:
        """The epoch or the step, as shown in captions."""
        return f"step {self.step:,}" if self.epoch is None else f"epoch {self.epoch}"

    def make_caption(self, metric: str | None) -> str:
        """Return the title, with the value of a metric if it was logged."""
        value = self.values.get(metric or "")
        return self.title if value is None else f"{self.title}, {metric} {value:.3g}"


def list_grids(run_dir: Path, folder: str = "samples") -> list[Grid]:
    """Return the image grids of a run, oldest first; those after the newest logged epoch are left out.

    A run that was resumed from an earlier checkpoint still contains the later grids, until they are replaced.

    Raises:
        RunDirError: the folder or the log cannot be read.
    """
    lines = read_log(run_dir)
    ends = {line["epoch"]: line["step"] for line in lines if "epoch_means" in line}
    values = _collect_values(lines)
    try:
        paths = list_folder(run_dir / folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunDirError(f"{run_dir / folder} cannot be read: {error.strerror or error}") from error
    found = []
    for path in paths:
        if (words := GRID.fullmatch(path.name)) and path.is_file():
            number = int(words["number"])
            epoch, step = (number, ends.get(number)) if words["unit"] == "epoch" else (None, number)
            if not lines or (step is not None and step <= lines[-1]["step"]):
                found.append(Grid(path, epoch, step, values.get(step or -1, {})))
    return sorted(found, key=lambda grid: (grid.step or 0, grid.epoch or 0, grid.path.name))


def _collect_values(lines: Lines) -> dict[int, dict[str, Any]]:
    """Return the values that were logged at each step."""
    values: dict[int, dict[str, Any]] = {}
    for line in lines:
        values.setdefault(line["step"], {}).update(line)
    return values


def _find_checkpoint(trained: Trained) -> Grid:
    """Return the moment of a run whose weights are in use."""
    lines = read_log(trained.run_dir)
    epochs = {line["step"]: line["epoch"] for line in lines if "epoch_means" in line}
    values = _collect_values(lines).get(trained.step, {})
    return Grid(trained.run_dir / "checkpoints", epochs.get(trained.step), trained.step, values)


def open_image(path: Path) -> Image.Image:
    """Return a PNG file as an image in grey or RGB; raise RunDirError if it is damaged."""
    try:
        with Image.open(path) as image:
            opened: Image.Image = image.convert("L" if image.mode in ("1", "L") else "RGB")
            return opened
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RunDirError(f"{path} is damaged: {error}") from error


def read_saved_frames(run_dir: Path, folder: str, metric: str | None) -> list[Frame]:
    """Return a frame for each saved image grid of a run; damaged grids are left out with a warning.

    Raises:
        RunDirError: there are no image grids.
    """
    frames, faults = [], []
    for grid in list_grids(run_dir, folder):
        try:
            image = open_image(grid.path)
        except RunDirError as error:
            faults.append(str(error))
            continue
        frames.append(Frame(image, grid.make_caption(metric)))
    if not frames:
        reason = f": {faults[0]}" if faults else ""
        raise RunDirError(f"{run_dir} does not contain image grids in {folder}/{reason}")
    check_size(len(frames), frames[-1].image)
    for fault in faults:
        warn(f"{fault}; the frame is left out")
    return frames


def draw_frames(
    trained: Trained, length: int | None, count: int, label: int | None, seed: int | None, metric: str
) -> tuple[list[Frame], str]:
    """Return the frames of a walk of a length, or else of the run's checkpoints, and what they show."""
    if length is not None:
        frames = list(walk(trained, count, length, label, seed, metric))
        return frames, f"a walk in latent space, step {trained.step:,}"
    frames = draw_checkpoints(trained, count, label, seed, metric)
    return frames, f"the checkpoints in {trained.run_dir / 'checkpoints'}"


def draw_checkpoints(
    trained: Trained, count: int, label: int | None, seed: int | None, metric: str | None
) -> list[Frame]:
    """Return a frame for each checkpoint that the run keeps, of the same noise.

    Args:
        trained: the run's networks.
        count: number of images.
        label: the class of all images, in a conditional run.
        seed: seed of the noise; by default the run's.
        metric: the metric shown in captions.

    Raises:
        UsageError: the game does not generate images from noise, or the run keeps one checkpoint only.
    """
    _require_noise(trained, "an animation of checkpoints")
    steps = CheckpointStore(trained.run_dir / "checkpoints").list_steps()
    if len(steps) < 2:
        raise UsageError(
            f"{trained.run_dir} keeps {pluralize(len(steps), 'checkpoints')}, and an animation needs two or more: "
            "train with Checkpoint(keep=None), or animate the saved grids"
        )
    noise, labels, frames = trained.noise(count, seed=seed), _make_labels(trained, count, label), []
    for step in steps:
        trained.load(step)
        image = _arrange(trained, trained.generate(noise, labels), label)
        frames.append(Frame(image, _find_checkpoint(trained).make_caption(metric)))
    return frames


def walk(
    trained: Trained, count: int, length: int, label: int | None, seed: int | None, metric: str | None
) -> Iterator[Frame]:
    """Yield the frames of a closed walk in latent space: each image visits several noise vectors in turn.

    Args:
        trained: the generator.
        count: number of images.
        length: number of frames; after the last one the walk begins again.
        label: the class of all images, in a conditional run.
        seed: seed of the noise; by default the run's.
        metric: the metric shown in captions.

    Raises:
        UsageError: the game does not generate images from noise, or the frames are too large.
    """
    _require_noise(trained, "--interpolate")
    noise = trained.noise(count * STOPS, seed=seed).reshape(STOPS, count, -1)
    labels, caption = _make_labels(trained, count, label), _find_checkpoint(trained).make_caption(metric)
    for place in np.arange(length) * STOPS / length:
        start, share = int(place), place % 1
        between = interpolate(noise[start], noise[(start + 1) % STOPS], share)
        image = _arrange(trained, trained.generate(between, labels), label)
        check_size(length, image)
        yield Frame(image, caption)


def interpolate(start: Floats, end: Floats, share: float) -> Floats:
    """Interpolate spherically between vectors, (N, D): along the great circle, with the norm changing linearly.

    Normally distributed vectors of many dimensions lie close to a sphere, which a straight line leaves (Shoemake
    1985; White 2016, arXiv:1609.04468). Vectors in opposite directions are interpolated linearly.
    """
    norms = [np.linalg.norm(one, axis=1, keepdims=True).clip(1e-12) for one in (start, end)]
    units = [one / norm for one, norm in zip((start, end), norms, strict=True)]
    angle = np.arccos((units[0] * units[1]).sum(1, keepdims=True).clip(-1, 1))
    sine = np.sin(angle)
    curved = sine > 1e-4
    weights = [
        np.where(curved, np.sin(part * angle) / np.where(curved, sine, 1), part) for part in (1 - share, share)
    ]
    norm = (1 - share) * norms[0] + share * norms[1]
    between = weights[0] * units[0] + weights[1] * units[1]
    return np.ascontiguousarray(between * norm, np.float32)


def check_size(length: int, image: Image.Image) -> None:
    """Raise UsageError if so many frames of the size of an image are too many."""
    if length * image.width * image.height > MOST_PIXELS:
        raise UsageError(
            f"{pluralize(length, 'frames')} of {image.width:,} x {image.height:,} pixels are too many for one "
            "animation; reduce --count or --frames"
        )


def _require_noise(trained: Trained, use: str) -> None:
    if not trained.takes_noise:
        raise UsageError(f"{use} needs a generator of noise, and the game of {trained.run_dir} has other inputs")


def _make_labels(trained: Trained, count: int, label: int | None) -> NDArray[Any] | None:
    classes = trained.recipe.classes
    if label is not None and not classes:
        raise UsageError(f"--class is for conditional runs, and {trained.run_dir} was trained without classes")
    if label is not None and classes and label >= classes:
        raise UsageError(f"--class must be from 0 to {classes - 1}, not {label}")
    return None if label is None else np.full(count, label)  # without labels, all classes in turn


def _arrange(trained: Trained, images: Floats, label: int | None) -> Image.Image:
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UsageError(f"an animation needs images of shape (1, H, W) or (3, H, W), not {images.shape[1:]}")
    by_class = trained.recipe.classes if label is None and len(images) >= (trained.recipe.classes or 0) else None
    columns = by_class or round(len(images) ** 0.5)
    return Image.fromarray(image_grid(to_uint8(images), min(columns, len(images)), scale=None))
