"""Features of real images kept in the user's cache folder, so that no run computes them twice.

::

    <cache>/ms_gan_callbacks/features/<name of the features>-<key>.safetensors     features, and their digest

The key is a hash of the features' name and of the images: their number, their shape, every pixel. A file that is
damaged is as good as none; a folder that cannot be written is no error. Nothing is ever removed: it is a cache,
delete the folder as you like.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ms_gan_callbacks.metrics.features import FeatureExtractor, Features, Pixels, extract, feature_name
from ms_gan_callbacks.metrics.lenet import lenet
from ms_gan_callbacks.storage.files import replace_file


class StoredFeatures:
    """A feature extractor that looks on the disk first: ``Sample(real_images, StoredFeatures())``.

    For real images, which are the same in every run; fakes would only fill the disk.

    Args:
        extractor: what makes the features; by default the LeNet that comes with the package. One without a
            ``name`` of its own is never stored, since nothing tells its features from another's.
        folder: where to keep them; by default the user's cache folder.
    """

    def __init__(self, extractor: FeatureExtractor | None = None, folder: Path | None = None) -> None:
        self._extractor: FeatureExtractor = lenet() if extractor is None else extractor
        self._folder = _cache() if folder is None else folder
        self.name = feature_name(self._extractor)
        self._keeps = bool(getattr(self._extractor, "name", None))
        if hasattr(self._extractor, "classify"):
            self.classify = self._extractor.classify

    def __call__(self, images: Pixels) -> Features:
        """Return the features of images, from the disk where they are there and whole."""
        if not self._keeps:
            return extract(self._extractor, images)
        key = _key(self.name, images)
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self.name)[:40]}-{key[:32]}.safetensors"
        features = _read(path, key, len(images))
        if features is None:
            features = extract(self._extractor, images)
            with contextlib.suppress(OSError):
                replace_file(
                    path, save({"features": np.ascontiguousarray(features), "digest": _digest(key, features)})
                )
        return features


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("ms_gan_callbacks", appauthor=False)) / "features"


def _key(name: str, images: Pixels) -> str:
    told = hashlib.sha256(f"{name}\n{images.shape}\n".encode())
    told.update(np.ascontiguousarray(images).data)
    return told.hexdigest()


def _digest(key: str, features: Features) -> NDArray[np.uint8]:
    told = hashlib.sha256(f"{key}\n{features.dtype.str}\n{features.shape}\n".encode())
    told.update(np.ascontiguousarray(features).data)
    return np.frombuffer(told.digest(), np.uint8)


def _read(path: Path, key: str, count: int) -> Features | None:
    """The features in a file, or None where it is missing, damaged or somebody else's."""
    try:
        content = load(path.read_bytes())
        features, digest = content["features"], content["digest"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return features if len(features) == count and np.array_equal(digest, _digest(key, features)) else None
