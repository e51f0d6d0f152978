"""The classifier whose penultimate features the metrics compare by default: a LeNet-5 for 28 x 28 grey images.

``scripts/train_lenet.py`` trained it on MNIST; its weights come with the package. It runs in NumPy: ten thousand
images take about two seconds, nothing is compiled, and MindSpore need not be imported.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import load
from scipy.special import softmax

from ms_gan_callbacks.data.protocol import to_unit
from ms_gan_callbacks.errors import GanError, UsageError

Floats = NDArray[np.float32]

WEIGHTS = Path(__file__).parent / "weights" / "lenet.safetensors"
SHA256 = "c03a804abdc625c5232717f587440beee291faa814562ed6f9c22f17e201ed82"
_EPSILON = np.float32(1e-6)
_CHUNK = 250  # images at a time: the patches of a chunk, 20 MB, are all the memory it needs


class LeNet:
    """A feature extractor: uint8 images (N, 1, 28, 28) to 84 features each.

    An image's features have a mean square of 1: only their direction counts, squared distances are between 0 and
    4 * 84, and a dot product over 84 is a cosine.

    Attributes:
        name: ``"lenet-"`` and the first 8 digits of the weights' sha256. Numbers computed with features of
            different names cannot be compared.

    Args:
        path: the weights; by default those the package ships.

    Raises:
        GanError: the file cannot be read, or is not the one whose sha256 is written here.
    """

    def __init__(self, path: Path = WEIGHTS) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise GanError(f"{path} cannot be read ({error.strerror}); install ms-gan-callbacks anew") from error
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise GanError(f"{path} is damaged: its sha256 is not {SHA256[:8]}...; install ms-gan-callbacks anew")
        self.name = f"lenet-{SHA256[:8]}"
        self._weights: dict[str, Floats] = load(content)

    def __call__(self, images: NDArray[np.uint8]) -> Floats:
        """Return the features, float32 (N, 84).

        Raises:
            UsageError: the images are of another shape.
        """
        if images.shape[1:] != (1, 28, 28):
            raise UsageError(
                f"the LeNet's features are for images of shape (1, 28, 28), not {images.shape[1:]}; compare"
                " others: Recipe(features=thumbnails), ms-gan evaluate --features thumbnails, or an extractor of"
                " your own: images (N, C, H, W) uint8 -> features (N, D)"
            )
        chunks = [self._features(images[i : i + _CHUNK]) for i in range(0, len(images), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, 84), np.float32)

    def classify(self, features: Floats) -> Floats:
        """Return the probabilities of the ten digits, float32 (N, 10), from features (N, 84)."""
        probabilities: Floats = softmax(self._dense("fc3", features), axis=1)
        return probabilities

    def _features(self, images: NDArray[np.uint8]) -> Floats:
        # The layout is (N, H, W, C) in here, in which a convolution is one product of two matrices.
        pixels = np.pad(to_unit(images[:, 0]), ((0, 0), (2, 2), (2, 2)))[..., np.newaxis]
        maps = self._convolved("conv2", self._convolved("conv1", pixels))
        flat = maps.transpose(0, 3, 1, 2).reshape(len(images), -1)  # fc1 has learnt them as (C, H, W)
        values = self._dense("fc2", _relu(self._dense("fc1", flat)))
        scaled: Floats = values / np.sqrt(np.square(values).mean(axis=1, keepdims=True) + _EPSILON)
        return scaled

    def _convolved(self, layer: str, maps: Floats) -> Floats:
        """Convolve maps (N, H, W, C) and keep the greatest of every 2 x 2 pixels."""
        kernels, bias = self._weights[f"{layer}.weight"], self._weights[f"{layer}.bias"]
        patches = sliding_window_view(maps, (5, 5), axis=(1, 2))  # type: ignore[call-overload]  # (N, H', W', C, 5, 5)
        # Channels last, which are side by side in the maps: copying patches is what takes the time.
        flat = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernels[0].size)
        products = flat @ kernels.transpose(2, 3, 1, 0).reshape(-1, len(kernels))
        # The bias and the ReLU after the pooling, which they do not change: four times fewer of them.
        return _relu(_halved(products.reshape(*patches.shape[:3], -1)) + bias)

    def _dense(self, layer: str, inputs: Floats) -> Floats:
        outputs: Floats = inputs @ self._weights[f"{layer}.weight"].T + self._weights[f"{layer}.bias"]
        return outputs


@lru_cache(maxsize=1)
def lenet() -> LeNet:
    """Return the shipped LeNet, read and checked once."""
    return LeNet()


def _relu(values: Floats) -> Floats:
    return np.maximum(values, np.float32(0))


def _halved(maps: Floats) -> Floats:
    """Keep the greatest of every 2 x 2 pixels of maps (N, H, W, C)."""
    rows: Floats = np.maximum(maps[:, ::2], maps[:, 1::2])
    halved: Floats = np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
    return halved
