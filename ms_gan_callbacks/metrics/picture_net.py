"""Features of small pictures, grey or in color, that are not digits: a convolutional network in NumPy.

``scripts/train_picture_net.py`` trained it on Fashion-MNIST and on icons; its weights are included in the package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.metrics.pretrained import WEIGHTS, Floats, convolve, load_weights, scale_rows
from ms_gan_callbacks.metrics.resizing import resize

SHA256 = "a9e3d17bd5b8251f7985c0c08a3bab9721098703f90de7524d54000af2d600f1"
STRIDES = {"conv1": 2, "conv2": 2, "conv3": 2, "conv4": 1, "conv5": 2}
"""The convolutions, in order, each with a padding of 1."""
SIDE = 64
_CHUNK = 100  # images; the patches of a chunk take 20 MB


class PictureNet:
    """A feature extractor from uint8 images (N, 1 or 3, H, W) to 80 features each.

    Images are resized to 64 x 64 pixels. The network is made for images of 28 to 64 pixels; details of larger ones
    are lost. A gray image has the features of a color image with three equal channels. The features of an image
    are scaled to a mean square of 1.

    Attributes:
        name: ``"picture-net-"`` and the first 8 digits of the weights' sha256.

    Args:
        path: file of the weights; by default the one included in the package.
        sha256: the sha256 that the file must have.

    Raises:
        GanError: the file cannot be read, or its sha256 is wrong.
    """

    def __init__(self, path: Path = WEIGHTS / "picture_net.safetensors", sha256: str = SHA256) -> None:
        self._weights = load_weights(path, sha256)
        self.name = f"picture-net-{sha256[:8]}"

    def __call__(self, images: NDArray[np.uint8]) -> Floats:
        """Return the features, float32 (N, 80); raise UsageError if the images have another shape."""
        if images.shape[1] not in (1, 3):
            raise UsageError(
                f"PictureNet requires images of 1 or 3 channels, not {images.shape[1:]}; use other features: "
                "Recipe(features=thumbnails), ms-gan evaluate --features thumbnails, or a custom extractor"
            )
        chunks = [self._extract(images[i : i + _CHUNK]) for i in range(0, len(images), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, 80), np.float32)

    def _extract(self, images: NDArray[np.uint8]) -> Floats:
        # In the layout (N, H, W, C) a convolution is one matrix product.
        maps = resize(images, SIDE).transpose(0, 2, 3, 1) / np.float32(127.5) - np.float32(1)
        maps = np.repeat(maps, 3, axis=3) if maps.shape[3] == 1 else maps
        for layer, stride in STRIDES.items():
            maps = self._convolve(layer, maps, stride)
        flat = maps.transpose(0, 3, 1, 2).reshape(len(images), -1)  # the layout of the weights
        return scale_rows(flat @ self._weights["dense.weight"].T + self._weights["dense.bias"])

    def _convolve(self, layer: str, maps: Floats, stride: int) -> Floats:
        """Apply a convolution with a padding of 1 and ReLU to maps (N, H, W, C)."""
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
        products = convolve(padded, self._weights[f"{layer}.weight"], stride)
        activated: Floats = np.maximum(products + self._weights[f"{layer}.bias"], np.float32(0))
        return activated
