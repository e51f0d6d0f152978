"""Feature extractors, and the checks on their outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import GanError, UsageError, describe

Pixels: TypeAlias = NDArray[np.uint8]
Features: TypeAlias = NDArray[np.floating[Any]]
FeatureExtractor: TypeAlias = Callable[[Pixels], Features]
"""Any callable from uint8 images (N, C, H, W) to features, floats (N, D), one row per image.

It may have an attribute ``name``, a str that identifies the features in reports and in the cache on disk. Features
of the same name are assumed to be comparable, so the name should contain a hash of the extractor's weights. It may
also have a method ``classify(features)`` from features (N, D) to class probabilities (N, K), for metrics on
classes.
"""


def name_features(extractor: FeatureExtractor) -> str:
    """Return an extractor's ``name``, or the name of its function or type."""
    if isinstance(extractor, partial):
        given = [*map(repr, extractor.args), *(f"{name}={value!r}" for name, value in extractor.keywords.items())]
        return f"{name_features(extractor.func)}({', '.join(given)})"
    name = getattr(extractor, "name", None) or getattr(extractor, "__name__", None)
    return str(name or type(extractor).__name__)


def extract(extractor: FeatureExtractor, images: Pixels) -> Features:
    """Return features (N, D); raise UsageError unless the extractor returns a row of finite floats per image."""
    return _apply(extractor, extractor, images, "features (N, D)")


def classify(extractor: FeatureExtractor, features: Features) -> Features:
    """Return the class probabilities (N, K) of features; raise UsageError if the extractor does not classify."""
    method = getattr(extractor, "classify", None)
    if method is None:
        raise UsageError(
            f"the features {name_features(extractor)!r} have no classes, which this metric requires:"
            " add a method classify(features) -> probabilities (N, K) to the extractor"
        )
    return _apply(extractor, method, features, "probabilities (N, K)")


def _apply(
    extractor: FeatureExtractor, function: Callable[[Any], Any], argument: NDArray[Any], what: str
) -> Features:
    count, shape = len(argument), argument.shape
    try:
        returned = function(argument)
    except GanError:
        raise
    except Exception as error:
        raise UsageError(
            f"the features {name_features(extractor)!r} cannot be computed from an array of shape {shape}:"
            f" {describe(error)}"
        ) from error
    try:
        array = np.asarray(returned)
    except Exception as error:
        raise UsageError(f"{name_features(extractor)!r} must return {what}: {describe(error)}") from error
    if array.ndim != 2 or len(array) != count or array.dtype.kind != "f":
        raise UsageError(
            f"{name_features(extractor)!r} must return {what} as floats, one row for each of {count:,} images,"
            f" not {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise UsageError(f"{name_features(extractor)!r} returned {what} that are not finite (NaN or infinity)")
    return array
