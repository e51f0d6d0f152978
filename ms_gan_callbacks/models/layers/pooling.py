"""Average pooling in batch-last layout."""

from __future__ import annotations

from mindspore import Tensor, nn

from ms_gan_callbacks.models.layers.base import Fast
from ms_gan_callbacks.models.layers.batch_last import BatchLast
from ms_gan_callbacks.models.layers.correlation import Windows
from ms_gan_callbacks.models.layers.geometry import Geometry, count_windows


class AvgPool2d(Fast, nn.AvgPool2d, BatchLast):  # type: ignore[misc]
    """:class:`mindspore.nn.AvgPool2d` without padding, which also takes images in batch-last layout."""

    ranks = (4,)
    pays = False
    counts = False

    @staticmethod
    def stands_for(layer: nn.AvgPool2d) -> bool:
        return bool(not layer.is_expand and layer.format == "NCHW" and layer.pad_mode.upper() == "VALID")

    def refit(self) -> None:
        kernel, stride = (one if isinstance(one, tuple) else (one, one) for one in (self.kernel_size, self.stride))
        self.windows = Windows(Geometry(kernel[-2:], stride[-2:], (1, 1), "valid", (0, 0, 0, 0)))

    def run_batch_last(self, x: Tensor) -> Tensor:
        """Return the means of windows, (C, H', W', N), of images (C, H, W, N)."""
        height, width = count_windows(self.windows.geometry, x.shape[1:3])
        taps = self.windows(x).reshape(x.shape[0], -1, height * width * x.shape[3])
        return taps.mean(1).reshape(x.shape[0], height, width, x.shape[3])
