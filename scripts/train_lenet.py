"""Train the LeNet-5 whose features the quality metrics compare, and write the weights the package ships.

    python scripts/train_lenet.py [weights.safetensors]

The network is that of LeCun et al., "Gradient-based learning applied to document recognition" (1998), with ReLU,
max pooling, and the 84 features scaled to a mean square of 1 (Zhang and Sennrich 2019) instead of bent by a
nonlinearity: unscaled, features of blurred or noisy digits shrink towards 0, where any sample is dense, and
precision and density rise when they should fall.

Adam, cosine learning rate, random shifts of up to two pixels; the last epoch's weights are taken, so that the test
set chooses nothing. One run takes a few minutes on two cores; ``train_lenet.log`` is its output.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import save

from ms_gan_callbacks import mnist, stream
from ms_gan_callbacks.data.protocol import to_unit
from ms_gan_callbacks.storage.files import replace_file

SEED = 0
EPOCHS = 12
BATCH = 128
LEARNING_RATE = 2e-3
SHIFT = 2  # pixels
EPSILON = 1e-6
WEIGHTS = Path(__file__).parent.parent / "ms_gan_callbacks" / "metrics" / "weights" / "lenet.safetensors"


def initial(name: str, *shape: int) -> Parameter:
    """Draw weights as He et al. (2015) do, from the seed and the parameter's name alone."""
    fan_in = math.prod(shape[1:])
    values = stream(SEED, name, 0).standard_normal(shape) * math.sqrt(2 / fan_in)
    return Parameter(values.astype(np.float32), name=name)


class Layer(nn.Cell):
    """Weights (out, ...) and a bias (out,)."""

    def __init__(self, name: str, *shape: int) -> None:
        super().__init__()
        self.weight = initial(f"{name}.weight", *shape)
        self.bias = Parameter(np.zeros(shape[0], np.float32), name=f"{name}.bias")


class Convolution(Layer):
    """A convolution as one product of matrices, and ReLU: nn.Conv2d trains slowly on a CPU."""

    def __init__(self, name: str, *shape: int, padding: int = 0) -> None:
        super().__init__(name, *shape)
        self.size, self.padding = shape[-1], padding

    def construct(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out, H', W'), square."""
        patches = ops.unfold(images, self.size, padding=self.padding)
        out = ops.matmul(self.weight.reshape(len(self.bias), -1), patches) + self.bias.reshape(-1, 1)
        side = images.shape[-1] + 2 * self.padding - self.size + 1
        return ops.relu(out).reshape(len(images), -1, side, side)


class Dense(Layer):
    """A dense layer: (N, in) to (N, out)."""

    def construct(self, inputs: Tensor) -> Tensor:
        """Map (N, in) to (N, out)."""
        return ops.matmul(inputs, self.weight.T) + self.bias


def halve(images: Tensor) -> Tensor:
    """Keep the greatest of every 2 x 2 pixels."""
    n, channels, side, _ = images.shape
    return images.reshape(n, channels, side // 2, 2, side // 2, 2).max(axis=5).max(axis=3)


class LeNet(nn.Cell):
    """Images (N, 1, 28, 28) in [-1, 1] to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.conv1 = Convolution("conv1", 6, 1, 5, 5, padding=2)
        self.conv2 = Convolution("conv2", 16, 6, 5, 5)
        self.fc1 = Dense("fc1", 120, 400)
        self.fc2 = Dense("fc2", 84, 120)
        self.fc3 = Dense("fc3", 10, 84)

    def features(self, images: Tensor) -> Tensor:
        """Return what the last layer classifies by, (N, 84), each row of mean square 1."""
        maps = halve(self.conv2(halve(self.conv1(images))))
        values = self.fc2(ops.relu(self.fc1(maps.reshape(len(images), -1))))
        return values * ops.rsqrt((values * values).mean(axis=1, keep_dims=True) + EPSILON)

    def construct(self, images: Tensor) -> Tensor:
        """Return logits (N, 10)."""
        return self.fc3(self.features(images))


class WithLoss(nn.Cell):
    """Images and labels to the mean cross entropy."""

    def __init__(self, network: nn.Cell) -> None:
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar."""
        return ops.cross_entropy(self.network(images), labels)


def batches(images: NDArray[np.uint8], labels: NDArray[np.int32], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches, every image shifted at random."""
    random = stream(SEED, "lenet", epoch)
    windows = sliding_window_view(np.pad(images[:, 0], ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT))), (28, 28), (1, 2))
    order = random.permutation(len(images))
    for start in range(0, len(images) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        down, right = random.integers(0, 2 * SHIFT + 1, (2, BATCH))
        pixels = windows[chosen, down, right][:, np.newaxis]
        yield Tensor(to_unit(pixels)), Tensor(labels[chosen])


def accuracy(network: nn.Cell, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> float:
    """Return the share of images whose greatest logit is their label's."""
    right = 0
    for start in range(0, len(images), 1000):
        logits = network(Tensor(to_unit(images[start : start + 1000]))).asnumpy()
        right += int((logits.argmax(axis=1) == labels[start : start + 1000]).sum())
    return right / len(images)


def main(target: Path) -> None:
    """Train, report, write."""
    ms.set_context(mode=ms.GRAPH_MODE)
    train, test = mnist(split="train"), mnist(split="test")
    labels = np.asarray(train.labels, np.int32)
    network = LeNet()
    steps = EPOCHS * (train.count // BATCH)
    rates = [LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    step = nn.TrainOneStepCell(WithLoss(network), nn.Adam(network.trainable_params(), learning_rate=rates))
    print(
        f"LeNet-5, {train.name} (sha256 {train.sha256()[:8]}), seed {SEED}, mindspore {ms.__version__}", flush=True
    )
    for epoch in range(1, EPOCHS + 1):
        losses = [float(step(*batch).asnumpy()) for batch in batches(train.images, labels, epoch)]
        score = accuracy(network, test.images, np.asarray(test.labels, np.int32))
        print(f"epoch {epoch:2d}  loss {np.mean(losses):.4f}  {test.name} accuracy {score:.2%}", flush=True)
    content = save({parameter.name: parameter.asnumpy().copy() for parameter in network.get_parameters()})
    replace_file(target, content)
    print(f"wrote {target.name}, {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS)
