"""Translation of a folder of images by a game whose generator is fed images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ms_gan_callbacks.data.decoding import decode_images, list_images
from ms_gan_callbacks.data.folders import require_folder
from ms_gan_callbacks.data.images import save_png, to_uint8
from ms_gan_callbacks.data.protocol import to_unit
from ms_gan_callbacks.errors import UsageError, warn
from ms_gan_callbacks.results.inference import Trained

PART = 64
"""Images translated at a time."""


def translate_folder(trained: Trained, inputs: Path, out: Path, overwrite: bool = False) -> int:
    """Write an image for every image of a folder, as PNG under the same name, and return their number.

    Images are cropped to the centre square and resized to the size of the training images. If the game makes
    images from several columns of the same shape, each gets the same image.

    Args:
        trained: the run's networks.
        inputs: the folder of images.
        out: the folder to write to, created if it does not exist.
        overwrite: whether existing files may be replaced.

    Raises:
        UsageError: the run's generator is not fed images of one shape, or a file to write exists; nothing is
            written then.
        DataError: the folder is missing or has no images.
    """
    channels, size = _get_shape(trained)
    root = require_folder(inputs, "images")
    files = list_images(root).files
    targets = [out / file.relative_to(root).with_suffix(".png") for file in files]
    taken = [target for target in targets if target.exists()]
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; -o names a folder with --input")
    if taken and not overwrite:
        raise UsageError(f"{taken[0]} exists; pass --overwrite to replace it, or choose another folder with -o")
    if len(set(targets)) < len(targets):
        raise UsageError(f"{inputs} has images that differ in their endings only: rename one of them")
    written = 0
    for start in range(0, len(files), PART):
        part, goals = files[start : start + PART], targets[start : start + PART]
        [pixels], damaged = decode_images(str(inputs), part, size, channels == 1)
        for place, fault in damaged.items():
            warn(f"{part[place]} was left out: {fault}")
        intact = [place for place in range(len(part)) if place not in damaged]
        if not intact:
            continue
        columns = {name: to_unit(pixels[intact]) for name in trained.image_columns}
        images = to_uint8(trained.sample(len(intact), columns=columns))
        for place, image in zip(intact, images, strict=True):
            goals[place].parent.mkdir(parents=True, exist_ok=True)
            # (H, W) or (H, W, 3)
            save_png(goals[place], image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
        written += len(intact)
    return written


def _get_shape(trained: Trained) -> tuple[int, int]:
    """Return the number of channels and the size of the images that a generator is fed."""
    shapes = {tuple(shape) for shape in trained.manifest.data.columns.values()}
    if not trained.image_columns:
        raise UsageError("--input is for generators that are fed images; this run generates them from noise")
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != 3 or shape[1] != shape[2] or shape[0] not in (1, 3):
        known = ", ".join(f"{name} {shape}" for name, shape in trained.manifest.data.columns.items())
        raise UsageError(f"--input needs a generator of square images of one shape; this run is fed {known}")
    return shape[0], shape[1]
