"""What turns images into the features that metrics compare, and the checks on what comes out of it."""

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
"""Any callable from uint8 images (N, C, H, W) to features, floats (N, D), one row an image.

It may also have an attribute ``name``, a str: what reports call the features. It should hold a hash of the
extractor's weights: features of one name are taken to be comparable, and are kept on disk under it. And it may
have a method ``classify(features)`` from its features (N, D) to class probabilities (N, K), for the metrics on
classes.
"""


def feature_name(extractor: FeatureExtractor) -> str:
    """Return what reports call an extractor's features: its ``name``, or that of its function or type."""
    if isinstance(extractor, partial):
        given = [*map(repr, extractor.args), *(f"{name}={value!r}" for name, value in extractor.keywords.items())]
        return f"{feature_name(extractor.func)}({', '.join(given)})"
    name = getattr(extractor, "name", None) or getattr(extractor, "__name__", None)
    return str(name or type(extractor).__name__)


def extract(extractor: FeatureExtractor, images: Pixels) -> Features:
    """Call an extractor and check what it returns.

    Raises:
        UsageError: it raises, or that is not one row of finite floats an image.
    """
    return _checked(extractor, _call(extractor, extractor, images), len(images), "features (N, D)")


def classify(extractor: FeatureExtractor, features: Features) -> Features:
    """Return the class probabilities (N, K) of features.

    Raises:
        UsageError: the extractor does not classify, raises, or returns something else.
    """
    method = getattr(extractor, "classify", None)
    if method is None:
        raise UsageError(
            f"the features {feature_name(extractor)!r} have no classes, which this metric counts;"
            " give their extractor a method classify(features) -> probabilities (N, K)"
        )
    return _checked(extractor, _call(extractor, method, features), len(features), "probabilities (N, K)")


def _call(extractor: FeatureExtractor, function: Callable[[Any], Any], argument: NDArray[Any]) -> Any:
    try:
        return function(argument)
    except GanError:
        raise
    except Exception as error:
        raise UsageError(
            f"the features {feature_name(extractor)!r} cannot be made of an array of shape {argument.shape}: "
            f"{describe(error)}"
        ) from error


def _checked(extractor: FeatureExtractor, returned: Any, count: int, what: str) -> Features:
    try:
        array = np.asarray(returned)
    except Exception as error:
        raise UsageError(f"{feature_name(extractor)!r} must return {what}: {describe(error)}") from error
    if array.ndim != 2 or len(array) != count or array.dtype.kind != "f":
        raise UsageError(
            f"{feature_name(extractor)!r} must return {what} as floats, one row for each of {count:,} images,"
            f" not {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise UsageError(f"{feature_name(extractor)!r} returned {what} that are not finite (NaN or infinity)")
    return array
