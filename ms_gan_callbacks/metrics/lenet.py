"""The default feature extractor: a LeNet-5 for 28 x 28 grey images, in NumPy.

``scripts/train_lenet.py`` trained it on MNIST; its weights are included in the package. Ten thousand images take
about two seconds, without importing MindSpore.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from ms_gan_callbacks.data.protocol import to_unit
from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.pretrained import WEIGHTS, Floats, convolve, load_weights, scale_rows

SHA256 = "c03a804abdc625c5232717f587440beee291faa814562ed6f9c22f17e201ed82"
_CHUNK = 250  # images; the patches of a chunk take 20 MB


class LeNet:
    """A feature extractor from uint8 images (N, 1, 28, 28) to 84 features each.

    The features of an image are scaled to a mean square of 1, so squared distances are between 0 and 4 * 84, and a
    dot product divided by 84 is a cosine.

    Attributes:
        name: ``"lenet-"`` and the first 8 digits of the weights' sha256.

    Args:
        path: file of the weights; by default the one included in the package.

    Raises:
        GanError: the file cannot be read, or its sha256 is wrong.
    """

    def __init__(self, path: Path = WEIGHTS / "lenet.safetensors") -> None:
        self._weights = load_weights(path, SHA256)
        self.name = f"lenet-{SHA256[:8]}"

    def __call__(self, images: NDArray[np.uint8]) -> Floats:
        """Return the features, float32 (N, 84); raise UsageError if the images have another shape."""
        if images.shape[1:] != (1, 28, 28):
            raise UsageError(
                f"the LeNet requires images of shape (1, 28, 28), not {images.shape[1:]}; use other features:"
                " Recipe(features=PictureNet()), ms-gan evaluate --features picture_net, or a custom extractor:"
                " images (N, C, H, W) uint8 -> features (N, D)"
            )
        chunks = [self._extract(images[i : i + _CHUNK]) for i in range(0, len(images), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, 84), np.float32)

    def classify(self, features: Floats) -> Floats:
        """Return the probabilities of the ten digits, float32 (N, 10), from features (N, 84)."""
        probabilities: Floats = scipy.special.softmax(self._apply_dense("fc3", features), axis=1)
        return probabilities

    def _extract(self, images: NDArray[np.uint8]) -> Floats:
        # In the layout (N, H, W, C) a convolution is one matrix product.
        pixels = np.pad(to_unit(images[:, 0]), ((0, 0), (2, 2), (2, 2)))[..., np.newaxis]
        maps = self._convolve("conv2", self._convolve("conv1", pixels))
        flat = maps.transpose(0, 3, 1, 2).reshape(len(images), -1)  # the layout of fc1's weights
        return scale_rows(self._apply_dense("fc2", _relu(self._apply_dense("fc1", flat))))

    def _convolve(self, layer: str, maps: Floats) -> Floats:
        """Apply a convolution, 2 x 2 max pooling and ReLU to maps (N, H, W, C)."""
        maps = convolve(maps, self._weights[f"{layer}.weight"])
        rows = np.maximum(maps[:, ::2], maps[:, 1::2])
        # Bias and ReLU commute with the pooling; after it there are four times fewer values.
        return _relu(np.maximum(rows[:, :, ::2], rows[:, :, 1::2]) + self._weights[f"{layer}.bias"])

    def _apply_dense(self, layer: str, inputs: Floats) -> Floats:
        outputs: Floats = inputs @ self._weights[f"{layer}.weight"].T + self._weights[f"{layer}.bias"]
        return outputs


@lru_cache(maxsize=1)
def load_lenet() -> LeNet:
    """Return the included LeNet, loaded once per process."""
    return LeNet()


def _relu(values: Floats) -> Floats:
    return np.maximum(values, np.float32(0))
