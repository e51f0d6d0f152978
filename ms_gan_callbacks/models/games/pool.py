"""ReplayPool: earlier generated images, which a discriminator sees again."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from numpy.typing import NDArray

from ms_gan_callbacks.errors import RecipeError, is_whole
from ms_gan_callbacks.models.games.chance import Chance
from ms_gan_callbacks.models.world import get_world


class ReplayPool(nn.Cell):  # type: ignore[misc]
    """The pool of Shrivastava et al., 2017 (arXiv:1612.07828), section 2.3, as in CycleGAN (arXiv:1703.10593).

    While there is room, each image is stored and returned. Afterwards each image is either returned itself or
    exchanged for a stored image, with equal probability. The pool is state of the game that it is an attribute of:
    saved in checkpoints, and not changed by evaluation. If a batch is divided among ranks, the pools of all ranks
    exchange the images of the whole batch.

    ::

        class CycleGAN(Game):
            def __init__(self):
                super().__init__()
                self.pool_a = ReplayPool(50, (3, 64, 64))
                self.chance = {"draws_a": self.pool_a.draws}

            def d_a_loss(self, made, a, draws_a):
                fake = self.pool_a(made[0], draws_a)
                ...

    Args:
        size: number of images, at least the number of images in a batch.
        shape: shape of one image, (C, H, W).

    Attributes:
        draws: the random input that decides which images are exchanged.

    Raises:
        RecipeError: ``size`` is not a whole number of at least 1.
    """

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__(auto_prefix=False)
        if not is_whole(size, 1):
            raise RecipeError(f"ReplayPool: size must be a whole number of at least 1, got {size!r}")
        self.size, self.ones = size, (1,) * len(shape)
        self.images = Parameter(Tensor(np.zeros((size, *shape), np.float32)), name="images", requires_grad=False)
        self.count = Parameter(Tensor(np.zeros(1, np.int32)), name="count", requires_grad=False)
        self.images.same_on_all_ranks = True
        world = get_world()
        self.rank, self.shared = world.rank, world.size > 1
        self.gather_ranks: Any = ops.AllGather() if self.shared else None

    @property
    def draws(self) -> Chance:
        """The random input of a step: for each image a place in the pool, and whether to exchange, (N, 2)."""
        return self._draw

    def _draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        if count > self.size:
            raise RecipeError(f"a ReplayPool of {self.size} images is smaller than a batch of {count}")
        places = rng.permutation(self.size)[:count]
        return np.stack((places, rng.integers(0, 2, count)), axis=1, dtype=np.int32)

    def construct(self, fresh: Tensor, draws: Tensor) -> Tensor:
        """Return images (N, C, H, W), some of them earlier ones, and store the others.

        Args:
            fresh: new images, (N, C, H, W); no gradient flows through the pool.
            draws: the random input, (N, 2).
        """
        if self.shared and self.training:
            mine = fresh.shape[0]
            whole = self.gather_ranks(ops.stop_gradient(fresh))
            # AllGather accepts floats only.
            draws = self.gather_ranks(draws.astype(ms.float32)).astype(draws.dtype)
            return ops.split(self.exchange(whole, draws), mine, 0)[self.rank]
        return self.exchange(fresh, draws)

    def exchange(self, fresh: Tensor, draws: Tensor) -> Tensor:
        """Return images for those of a whole batch."""
        batch = fresh.shape[0]
        following = ops.broadcast_to(self.count, (batch,)) + ops.arange(batch).astype(draws.dtype)
        free, full = following < self.size, ops.broadcast_to(self.count, (batch,)) >= self.size
        # Places differ: the rest of a batch that fills the pool has occupied places, which keep their image.
        place = ops.select(full, draws[:, 0], following % self.size)
        exchange = ops.logical_and(full, draws[:, 1] > 0)
        stored = ops.gather(self.images, place, 0)
        kept = ops.logical_or(free, exchange).astype(fresh.dtype).reshape(batch, *self.ones)
        old = exchange.astype(fresh.dtype).reshape(batch, *self.ones)
        returned = old * stored + (1 - old) * fresh
        images = ops.tensor_scatter_update(
            self.images, place.reshape(-1, 1), kept * ops.stop_gradient(fresh) + (1 - kept) * stored
        )
        returned = ops.depend(returned, ops.assign(self.images, images))
        return ops.depend(returned, ops.assign(self.count, ops.minimum(self.count + batch, self.size)))
