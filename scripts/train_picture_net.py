"""Train the network whose features compare small pictures, and write the weights the package ships.

    python scripts/train_picture_net.py [weights.safetensors]

It learns two tasks at once: the classes of Fashion-MNIST, in grey or two random colors, and to tell icons apart,
each of which is a class (Dosovitskiy et al., 2014, arXiv:1406.6909). Digits are not among its images. The data are
those of the Debian packages dataset-fashion-mnist, moka-icon-theme, faba-icon-theme, adwaita-icon-theme and
gnome-icon-theme. Images are moved, enlarged and mirrored at random, but neither blurred nor made noisy: features
must tell such images from others. Features are scaled to a mean square of 1, as those of train_lenet.py.

Adam, cosine learning rate; the last weights are taken. One run takes ten minutes on two cores;
``train_picture_net.log`` is its output.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save

from ms_gan_callbacks import Source, fashion_mnist, stream
from ms_gan_callbacks.metrics.picture_net import SIDE, PictureNet
from ms_gan_callbacks.metrics.resizing import resize
from ms_gan_callbacks.models.networks import accelerate_network
from ms_gan_callbacks.storage.files import replace_file

SEED = 0
STEPS = 3000
BATCH = 64  # of each task
LEARNING_RATE = 1e-3
EPSILON = 1e-6
MOST = 6  # pixels of a shift
ICONS = ("Moka/64x64", "Faba/64x64", "Adwaita/64x64", "gnome/256x256")
WEIGHTS = Path(__file__).parent.parent / "ms_gan_callbacks" / "metrics" / "weights" / "picture_net.safetensors"
Pixels = NDArray[np.float32]


def read_icons() -> NDArray[np.uint8]:
    """Return all icons with different contents, with their opacity, (N, 4, 64, 64)."""
    found: dict[str, NDArray[np.uint8]] = {}
    for theme in ICONS:
        for path in sorted(Path("/usr/share/icons", theme).rglob("*.png")):
            if path.is_symlink():
                continue  # another name of an icon
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.BOX))
            found.setdefault(hashlib.sha256(pixels.tobytes()).hexdigest(), pixels)
    return np.stack(list(found.values())).transpose(0, 3, 1, 2)


def move(images: Pixels, random: np.random.Generator) -> Pixels:
    """Return images (N, C, 64, 64), each shifted, enlarged by 0.85 to 1.2 and, every other one, mirrored."""
    count = len(images)
    scales, shifts = random.uniform(0.85, 1.2, (1, count, 1)), random.uniform(-MOST, MOST, (2, count, 1))
    rows, columns = (np.arange(SIDE) - SIDE / 2 - shifts) / scales + SIDE / 2
    mirrored = random.random(count) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    return _interpolate(rows) @ images @ _interpolate(columns).transpose(0, 1, 3, 2)


def _interpolate(positions: NDArray[np.floating]) -> Pixels:
    """Return matrices (N, 1, 64, 64) that interpolate linearly at positions (N, 64) in an image."""
    clipped = np.clip(positions, 0, SIDE - 1)[:, np.newaxis, :, np.newaxis]
    return np.maximum(0, 1 - np.abs(clipped - np.arange(SIDE))).astype(np.float32)


def draw_clothes(images: NDArray[np.uint8], random: np.random.Generator) -> Pixels:
    """Return images (N, 1, 28, 28) as pixels (N, 3, 64, 64) from 0 to 1; two of three in two random colors."""
    grey = move(resize(images, SIDE) / 255, random)
    colors = random.random((2, len(images), 3, 1, 1)).astype(np.float32)
    plain = random.random((len(images), 1, 1, 1)) < 1 / 3
    return np.where(plain, grey, colors[0] + (colors[1] - colors[0]) * grey)


def draw_icons(icons: NDArray[np.uint8], random: np.random.Generator) -> Pixels:
    """Return icons (N, 4, 64, 64) as pixels (N, 3, 64, 64) from 0 to 1, half of them on black or white."""
    moved = move(icons.astype(np.float32) / 255, random)
    ground = random.random((len(icons), 3, 1, 1)).astype(np.float32)
    ground[: len(icons) // 2] = random.integers(0, 2, (len(icons) // 2, 1, 1, 1))
    opaque = moved[:, 3:]
    return moved[:, :3] * opaque + ground * (1 - opaque)


def make_layer(name: str, inputs: int, outputs: int, size: int = 4, stride: int = 2) -> nn.Cell:
    """Return a convolution, or a dense layer of size 1, with initial weights of He et al. (2015)."""
    shape = (outputs, inputs, size, size) if size > 1 else (outputs, inputs)
    weights = stream(SEED, name, 0).standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    if size > 1:
        layer = nn.Conv2d(inputs, outputs, size, stride, "pad", 1, has_bias=True)
    else:
        layer = nn.Dense(inputs, outputs)
    layer.weight = Parameter(weights.astype(np.float32), name=f"{name}.weight")
    layer.bias = Parameter(np.zeros(outputs, np.float32), name=f"{name}.bias")
    return layer


class Network(nn.Cell):
    """Images (N, 3, 64, 64) in [-1, 1] to features (N, 80), each row of mean square 1."""

    def __init__(self) -> None:
        super().__init__()
        self.named = {
            "conv1": make_layer("conv1", 3, 16),
            "conv2": make_layer("conv2", 16, 32),
            "conv3": make_layer("conv3", 32, 64),
            "conv4": make_layer("conv4", 64, 64, size=3, stride=1),
            "conv5": make_layer("conv5", 64, 64),
            "dense": make_layer("dense", 64 * 4 * 4, 80, size=1),
        }
        *convolutions, dense = self.named.values()
        layers = [layer for convolution in convolutions for layer in (convolution, nn.ReLU())]
        self.layers = nn.SequentialCell(*layers, nn.Flatten(), dense)

    def read_weights(self) -> dict[str, NDArray[np.float32]]:
        """Return weights and biases by the name of their layer."""
        kinds = [(name, layer, kind) for name, layer in self.named.items() for kind in ("weight", "bias")]
        return {f"{name}.{kind}": getattr(layer, kind).asnumpy().copy() for name, layer, kind in kinds}

    def construct(self, images: Tensor) -> Tensor:
        """Return the features."""
        values = self.layers(images)
        return values * ops.rsqrt((values * values).mean(axis=1, keep_dims=True) + EPSILON)


class WithLoss(nn.Cell):
    """The mean cross entropy of clothes and of icons."""

    def __init__(self, network: nn.Cell, icons: int) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.clothes, self.icons = make_layer("clothes", 80, 10, size=1), make_layer("icons", 80, icons, size=1)

    def construct(self, images: Tensor, clothes: Tensor, icons: Tensor) -> Tensor:
        """Return a scalar; the first half of the images are clothes."""
        features = self.network(images)
        half = len(clothes)
        loss_of_clothes = ops.cross_entropy(self.clothes(features[:half]), clothes)
        return loss_of_clothes + ops.cross_entropy(self.icons(features[half:]), icons)


def draw_batch(step: int, clothes: Source, icons: NDArray[np.uint8]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the images of a step, and the classes of both halves."""
    random = stream(SEED, "pictures", step)
    chosen, shown = random.integers(0, clothes.count, BATCH), random.integers(0, len(icons), BATCH)
    pixels = np.concatenate((draw_clothes(clothes.images[chosen], random), draw_icons(icons[shown], random)))
    images = np.ascontiguousarray(2 * pixels - 1, np.float32)
    return Tensor(images), Tensor(clothes.labels[chosen].astype(np.int32)), Tensor(shown.astype(np.int32))


def main(target: Path) -> None:
    """Train, report, write."""
    ms.set_context(mode=ms.GRAPH_MODE)
    train, test, icons = fashion_mnist(), fashion_mnist(split="test"), read_icons()
    network = Network()
    accelerate_network(network, "pictures", SEED)
    loss = WithLoss(network, len(icons))
    rates = [LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS)) for step in range(STEPS)]
    cell = nn.TrainOneStepCell(loss, nn.Adam(loss.trainable_params(), learning_rate=rates))
    print(f"{train.name} (sha256 {train.sha256()[:8]}), {len(icons):,} icons, seed {SEED}, {ms.__version__=}")
    losses = []
    for step in range(STEPS):
        losses.append(float(cell(*draw_batch(step, train, icons)).asnumpy()))
        if (step + 1) % 500 == 0:
            print(f"step {step + 1:,}  loss {np.mean(losses[-500:]):.3f}", flush=True)
    content = save(network.read_weights())
    replace_file(target, content)
    digest = hashlib.sha256(content).hexdigest()
    features = PictureNet(target, digest)(test.images)
    logits = features @ loss.clothes.weight.asnumpy().T + loss.clothes.bias.asnumpy()
    print(f"{test.name} accuracy {(logits.argmax(axis=1) == test.labels).mean():.2%}")
    print(f"wrote {target.name}, {len(content):,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS)
