"""Changes of shape between features and images, in both layouts."""

from __future__ import annotations

from mindspore import Tensor, nn

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import BatchLast


class Flatten(Fast, nn.Flatten, BatchLast):  # type: ignore[misc]
    """:class:`mindspore.nn.Flatten` of images to features, which also takes batch-last layout."""

    pays = False
    counts = False

    @staticmethod
    def stands_for(layer: nn.Flatten) -> bool:
        return bool((layer.start_dim, layer.end_dim) == (1, -1))

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return features (C * H * W, N) for images (C, H, W, N)."""
        return x.reshape(-1, x.shape[-1])


class Unflatten(Fast, nn.Unflatten, BatchLast):  # type: ignore[misc]
    """:class:`mindspore.nn.Unflatten` of features to images, which also takes batch-last layout."""

    ranks = (2,)
    pays = False
    counts = False

    @staticmethod
    def stands_for(layer: nn.Unflatten) -> bool:
        return bool(layer.axis == 1)

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return images (C, H, W, N) for features (C * H * W, N)."""
        return x.reshape((*self.unflattened_size, x.shape[1]))
