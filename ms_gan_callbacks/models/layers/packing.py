"""PackedDiscriminator: a discriminator of several images at once."""

from __future__ import annotations

from mindspore import Tensor, nn

from ms_gan_callbacks.errors import RecipeError, is_whole


class PackedDiscriminator(nn.Cell):  # type: ignore[misc]
    """A discriminator of packs of images (PacGAN: Lin et al., 2018, arXiv:1712.04086), against mode collapse.

    The images of a pack, all real or all generated, are concatenated along the channels: images of a generator
    that has lost modes are more similar to each other than real ones, which is visible in a pack. Only the number
    of input channels of the discriminator changes. Batches must be divisible by the size of a pack.

    Args:
        discriminator: maps packs (N / pack, pack * C, H, W) to scores (N / pack, 1) or (N / pack,).
        pack: number of images in a pack, at least 2; 2 to 4 in the paper.

    Raises:
        RecipeError: the discriminator is not a cell, or ``pack`` is not a whole number of at least 2.
    """

    def __init__(self, discriminator: nn.Cell, pack: int = 2) -> None:
        super().__init__()
        if not isinstance(discriminator, nn.Cell):
            raise RecipeError(f"PackedDiscriminator requires a network, not {discriminator!r}")
        if not is_whole(pack, 2):
            raise RecipeError(f"PackedDiscriminator: pack must be a whole number of at least 2, got {pack!r}")
        self.network, self.pack = discriminator, pack

    def join(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) as packs of consecutive images, (N / pack, pack * C, H, W)."""
        count, channels, height, width = images.shape
        return images.reshape(count // self.pack, self.pack * channels, height, width)

    def construct(self, images: Tensor) -> Tensor:
        """Return one score for each pack, from images (N, C, H, W)."""
        return self.network(self.join(images))
