"""Conditional runs: labels go with their images, to both networks, and out again through samples and grids."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from conftest import (
    TinyDiscriminator,
    TinyGenerator,
    assert_same_weights,
    tiny_players,
    tiny_runner,
    train_step,
    weights_of,
)
from mindspore import Tensor, nn, ops
from PIL import Image

from models.losses.plain import batch, doubles, players
from ms_gan_callbacks import (
    DRAGAN,
    R1,
    R2,
    ArraySource,
    AuxiliaryClassifier,
    Checkpoint,
    DataError,
    DatasetSource,
    Every,
    GradientPenalty,
    Hinge,
    ImageGrid,
    Penalty,
    RecipeError,
    RunDirError,
    UsageError,
)
from ms_gan_callbacks.data.labels import check_labels, read_with_labels

CLASSES = 3
LABELS = np.array([2, 0, 1, 1, 2], np.int32)


class Generator(nn.Cell):
    """Noise (N, 3) and labels (N,) to images (N, 1, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.classes, self.tanh = nn.Dense(3, 16), nn.Embedding(CLASSES, 16), nn.Tanh()

    def construct(self, noise: Tensor, labels: Tensor) -> Tensor:
        return self.tanh(self.dense(noise) + self.classes(labels)).reshape(-1, 1, 4, 4)


class Projection(nn.Cell):
    """Images and labels to scores, by a projection (Miyato & Koyama, 2018, arXiv:1802.05637)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.classes = nn.Dense(16, 1), nn.Embedding(CLASSES, 16)

    def construct(self, images: Tensor, labels: Tensor) -> Tensor:
        pixels = images.reshape(-1, 16)
        return self.dense(pixels) + (pixels * self.classes(labels)).sum(1, keepdims=True)


class Classifier(nn.Cell):
    """Images to (scores, class logits)."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.classify = nn.Dense(16, 1), nn.Dense(16, CLASSES)

    def construct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = images.reshape(-1, 16)
        return self.dense(pixels), self.classify(pixels)


def drawn(w: dict[str, np.ndarray], noise: np.ndarray) -> np.ndarray:
    by_class = w["generator.classes.embedding_table"][LABELS]
    return np.tanh(noise @ w["generator.dense.weight"].T + w["generator.dense.bias"] + by_class)


def scored(w: dict[str, np.ndarray], pixels: np.ndarray) -> np.ndarray:
    return pixels @ w["discriminator.dense.weight"][0] + w["discriminator.dense.bias"]


def hinge(real: np.ndarray, fake: np.ndarray) -> float:
    return np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()


def test_real_images_and_fakes_of_a_step_have_the_same_labels() -> None:
    made, (real, noise) = players(Projection, Generator, objective=Hinge(), classes=CLASSES), batch()
    before = doubles(made)
    by_class = before["discriminator.classes.embedding_table"][LABELS]
    scores = [scored(before, x) + (x * by_class).sum(1) for x in (real.reshape(-1, 16), drawn(before, noise))]
    d_loss, _, d_real, d_fake, _ = train_step(made, real, noise, LABELS).asnumpy()
    assert [d_loss, d_real, d_fake] == pytest.approx([hinge(*scores), *(s.mean() for s in scores)], abs=1e-5)
    after = doubles(made)
    # Every class that was there has learned, in both networks.
    for name in ("generator.classes.embedding_table", "discriminator.classes.embedding_table"):
        assert (np.abs(after[name] - before[name]).max(1) > 0).all()


def compute_slopes(w: dict[str, np.ndarray]) -> np.ndarray:
    """Return the gradient of each score of a projection with respect to its image, (N, 16)."""
    return w["discriminator.dense.weight"][0] + w["discriminator.classes.embedding_table"][LABELS]


@pytest.mark.parametrize(
    ("kind", "accelerate"),
    [
        (R1, True),
        *[
            pytest.param(kind, accelerate, marks=pytest.mark.slow)
            for kind, accelerate in product((R1, R2, GradientPenalty, DRAGAN), (True, False))
            if (kind, accelerate) != (R1, True)
        ],
    ],
)
def test_a_penalty_of_scores_of_labels(kind: type[Penalty], accelerate: bool) -> None:
    def step(penalty: object) -> tuple[float, dict[str, np.ndarray], dict[str, np.ndarray]]:
        settings = {"objective": Hinge(), "classes": CLASSES, "penalty": penalty, "accelerate": accelerate}
        made, (real, noise) = players(Projection, Generator, **settings), batch()
        before = doubles(made)
        told = train_step(made, real, noise, LABELS, drawn=np.full((5, 1, 1, 1), 0.3, np.float32)).asnumpy()
        return float(told[0]), before, doubles(made)

    (plain, before, without), (penalised, _, after) = step(None), step(kind(2.0))
    slopes = compute_slopes(before)
    norms = np.sqrt((slopes**2).sum(1, keepdims=True))
    if kind in (R1, R2):
        wanted, pull = (norms**2).mean(), 2 * slopes / len(LABELS)
    else:
        wanted, pull = 2 * ((norms - 1) ** 2).mean(), 4 * (norms - 1) * slopes / norms / len(LABELS)
    assert penalised - plain == pytest.approx(wanted, rel=1e-4)
    # The rate is 1: an update is the gradient, of the weights of all images and of those of each class.
    moved = without["discriminator.dense.weight"][0] - after["discriminator.dense.weight"][0]
    np.testing.assert_allclose(moved, pull.sum(0), atol=1e-5)
    table = "discriminator.classes.embedding_table"
    by_class = np.stack([pull[one == LABELS].sum(0) for one in range(CLASSES)])
    np.testing.assert_allclose(without[table] - after[table], by_class, atol=1e-5)


@pytest.mark.slow
def test_a_lazy_penalty_of_scores_of_labels_resumes_exactly(tmp_path: Path) -> None:
    images, labels = numbered()

    def run(folder: str, **options: object) -> dict[str, np.ndarray]:
        settings = {"classes": CLASSES, "penalty": [R1(1.0, every=3), R2(1.0)]}
        networks = {"generator": Generator, "discriminator": Projection}
        runner = tiny_runner(tmp_path / folder, **networks, **settings, **options)
        runner.train(2, ArraySource(images, 4, labels=labels), [Checkpoint(Every.steps(4), keep=None)], quiet=True)
        return weights_of(runner)

    whole = run("run")
    assert_same_weights(run("run", resume=4), whole)


class Custom(Penalty):
    """A penalty of no class of the package."""

    def loss(self, critic: object, real: Tensor, fake: Tensor, drawn: Tensor) -> Tensor:
        return ops.square(ms.grad(critic)(real)).mean()


@pytest.mark.slow
def test_a_custom_penalty_of_scores_of_labels_needs_stock_layers() -> None:
    settings = {"objective": Hinge(), "classes": CLASSES, "penalty": Custom()}
    with pytest.raises(RecipeError, match=r"Custom: MindSpore cannot compile .* set accelerate=False"):
        players(Projection, Generator, **settings)
    made, (real, noise) = players(Projection, Generator, accelerate=False, **settings), batch()
    before = doubles(made)
    penalised = train_step(made, real, noise, LABELS, drawn=np.zeros(1, np.float32)).asnumpy()[0]
    plain_made = players(Projection, Generator, objective=Hinge(), classes=CLASSES)
    plain = train_step(plain_made, real, noise, LABELS).asnumpy()[0]
    assert penalised - plain == pytest.approx((compute_slopes(before) ** 2).mean(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("both", [True, False])
def test_a_classifier_teaches_both_players_the_classes(both: bool) -> None:
    objective = AuxiliaryClassifier(Hinge(), weight=0.5)
    made, (real, noise) = players(Classifier, Generator, objective=objective, classes=CLASSES), batch()

    def class_loss(w: dict[str, np.ndarray], pixels: np.ndarray) -> float:
        logits = pixels @ w["discriminator.classify.weight"].T + w["discriminator.classify.bias"]
        likely = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return 0.5 * -likely[np.arange(len(LABELS)), LABELS].mean()

    before = doubles(made)
    got = train_step(made, real, noise, LABELS, both=both).asnumpy()
    fake, pixels = drawn(before, noise), real.reshape(-1, 16)
    wanted = (
        hinge(scored(before, pixels), scored(before, fake)) + class_loss(before, pixels) + class_loss(before, fake)
    )
    then = {**before, **{k: v for k, v in doubles(made).items() if both and k.startswith("disc")}}
    assert got[:2] == pytest.approx([wanted, class_loss(then, fake) - scored(then, fake).mean()], rel=1e-5)


def numbered(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return images that tell their labels: all pixels of one are its label, but for a white corner."""
    labels = np.arange(count) % CLASSES
    images = np.broadcast_to(labels[:, None, None, None], (count, 1, 4, 4)).astype(np.uint8)
    images[..., -1, -1] = 255
    return images, labels


@pytest.mark.parametrize("kind", ["array", "pipeline"])
def test_labels_keep_to_their_images(kind: str) -> None:
    images, labels = numbered()
    if kind == "array":
        source = ArraySource(images, 4, labels=labels)
    else:
        pipeline = ms.dataset.NumpySlicesDataset((labels, images), ["label", "image"], shuffle=True)
        source = DatasetSource(pipeline.batch(4, drop_remainder=True), column="image", labels="label")
    check_labels(source, CLASSES)
    plain = list(source.batches(1, 2, start=1))
    for place, batch_of in enumerate(read_with_labels(source, CLASSES, 1, 2, start=1)):
        pictures, told = batch_of["real"], batch_of["labels"]
        assert np.array_equal(pictures, plain[place]["real"])
        assert told.dtype == np.int32
        assert np.array_equal(np.rint((pictures[:, 0, 0, 0] + 1) * 127.5), told)
    assert place == 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "array has no labels, but a conditional run"),
        (np.arange(20), "labels range from 0 to 19, but classes=3 requires 0 to 2"),
        (np.arange(20) % 3 - 1, "labels range from -1 to 1, but classes=3 requires 0 to 2"),
        (np.arange(20) % 3 / 2, "labels must be whole numbers from 0 to 2, got float64"),
    ],
)
def test_labels_that_cannot_be_used_are_one_line_and_no_folder(labels: np.ndarray | None, message: str) -> None:
    runner = conditional()
    with pytest.raises(DataError, match=message):
        runner.train(1, ArraySource(numbered()[0], 4, labels=labels), quiet=True)
    assert not Path("run").exists()


def conditional(out_dir: str = "run", **changes: object):
    settings = {"generator": Generator, "discriminator": Projection, "classes": CLASSES}
    return tiny_runner(out_dir, **(settings | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, r"the generator takes 2 inputs, .* requires a conditional run: .*classes="),
        ({"classes": None, "generator": TinyGenerator}, "the discriminator takes 2 inputs"),
        (
            {"generator": TinyGenerator},
            r"the generator does not take any: define construct\(self, noise, labels\)",
        ),
        (
            {"discriminator": TinyDiscriminator},
            r"discriminator does not take any: define construct\(self, images, labels\)",
        ),
        ({"discriminator": Classifier, "objective": Hinge()}, "discriminator does not take any"),
        (
            {"objective": AuxiliaryClassifier(Hinge())},
            r"must return \(scores, class logits\), \(4, 1\) and \(4, 3\)",
        ),
        ({"objective": AuxiliaryClassifier(Hinge()), "classes": None}, "AuxiliaryClassifier needs labels"),
        ({"classes": 4}, r"generator does not accept noise of shape \(4, 3\) with labels 0 to 3"),
    ],
)
def test_networks_and_classes_must_agree(changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        conditional(**changes).train(1, ArraySource(*numbered()[:1], 4, labels=numbered()[1]), quiet=True)


def test_an_unconditional_discriminator_that_returns_class_logits_is_told_of(images: np.ndarray) -> None:
    made = tiny_players(TinyGenerator, Classifier)
    with pytest.raises(RecipeError, match=r"not 2 outputs; .*objective=AuxiliaryClassifier"):
        made.compile_for(np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32))


@pytest.mark.slow
def test_samples_and_grids_go_through_the_classes_and_a_resume_is_exact() -> None:
    images, labels = numbered()
    source = ArraySource(images, 4, labels=labels)
    runner = conditional(fresh=True)
    runner.train(2, source, [Checkpoint(Every.steps(4)), ImageGrid(rows=2, scale=1)], quiet=True)
    with Image.open("run/samples/epoch-0001.png") as grid:
        assert grid.size == (CLASSES * 4 + (CLASSES + 1) * 2, 2 * 4 + 3 * 2)
    noise = np.tile(np.ones((1, 3), np.float32), (6, 1))
    turns = runner._players.generate(noise)
    assert np.array_equal(turns[:3], turns[3:])
    assert np.abs(turns[0] - turns[1]).max() > 1e-3
    assert np.array_equal(runner._players.generate(noise, [1] * 6)[0], turns[1])
    assert np.array_equal(runner.sample(4, labels=[2, 2, 2, 2])[2], runner.sample(4)[2])
    table = runner.eval(images, labels)
    scores = runner._players.score((images / 127.5 - 1).astype(np.float32), labels)
    assert table["d_real"] == pytest.approx((1 / (1 + np.exp(-scores.astype(np.float64)))).mean(), abs=1e-5)
    other = conditional(resume=4)
    other.train(2, source, [Checkpoint(Every.steps(4))], quiet=True)
    assert_same_weights(weights_of(runner), weights_of(other))
    with pytest.raises(RunDirError, match="this run has labels = "):
        conditional(resume=True).train(3, ArraySource(images, 4, labels=labels[::-1].copy()), quiet=True)
    for wrong, message in (
        ([0, 3], "labels must be from 0 to 2, not from 0 to 3"),
        ([0.0, 1.0], "require 2 integers"),
    ):
        with pytest.raises(UsageError, match=message):
            runner.sample(2, labels=wrong)
    with pytest.raises(UsageError, match=r"eval\(images, labels\)"):
        runner.eval(images)
    with pytest.raises(UsageError, match="do not take labels"):
        tiny_runner("plain").sample(2, labels=[0, 1])
