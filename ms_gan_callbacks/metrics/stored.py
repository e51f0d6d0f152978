"""Cache of the features of real images on disk, shared by all runs.

::

    <cache>/ms_gan_callbacks/features/<name of the features>-<key>.safetensors     features, and their digest

The key is a hash of the features' name and of the shape and pixels of the images. Damaged files are ignored, and a
folder that is not writable is not an error. Files are never removed; the folder can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ms_gan_callbacks.metrics.features import FeatureExtractor, Features, Pixels, extract, name_features
from ms_gan_callbacks.metrics.lenet import load_lenet
from ms_gan_callbacks.storage.files import replace_file


class StoredFeatures:
    """A feature extractor with a cache on disk: ``Sample(real_images, StoredFeatures())``.

    For real images, which are the same in every run; caching fakes would only fill the disk.

    Args:
        extractor: the extractor to cache; by default the included LeNet. Features of an extractor without ``name``
            are not cached, because they cannot be identified.
        folder: folder of the cache; by default in the user's cache folder.
    """

    def __init__(self, extractor: FeatureExtractor | None = None, folder: Path | None = None) -> None:
        self._extractor: FeatureExtractor = load_lenet() if extractor is None else extractor
        cache = Path(platformdirs.user_cache_dir("ms_gan_callbacks", appauthor=False))
        self._folder = cache / "features" if folder is None else folder
        self.name = name_features(self._extractor)
        self._caches = bool(getattr(self._extractor, "name", None))
        if hasattr(self._extractor, "classify"):
            self.classify = self._extractor.classify

    def __call__(self, images: Pixels) -> Features:
        """Return the features of images, from the cache if possible."""
        if not self._caches:
            return extract(self._extractor, images)
        key = _hash(f"{self.name}\n{images.shape}\n", images).hex()
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self.name)[:40]}-{key[:32]}.safetensors"
        features = _read(path, key, len(images))
        if features is None:
            features = extract(self._extractor, images)
            with contextlib.suppress(OSError):
                digest = _hash_features(key, features)
                replace_file(path, save({"features": np.ascontiguousarray(features), "digest": digest}))
        return features


def _hash_features(key: str, features: Features) -> NDArray[np.uint8]:
    return np.frombuffer(_hash(f"{key}\n{features.dtype.str}\n{features.shape}\n", features), np.uint8)


def _hash(text: str, array: NDArray[Any]) -> bytes:
    digest = hashlib.sha256(text.encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _read(path: Path, key: str, count: int) -> Features | None:
    """Return the features in a file, or None if it is missing, damaged or for other images."""
    try:
        content = load(path.read_bytes())
        features, digest = content["features"], content["digest"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return features if len(features) == count and np.array_equal(digest, _hash_features(key, features)) else None
