"""Augmentation: each change against NumPy, the same for both players, and the probability that adapts itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from conftest import StopsAt, tiny_players, tiny_runner
from mindspore import Tensor, ops

from models.losses.plain import Perceptron, batch, doubles, perceptron, players
from models.losses.plain import draw as draw_fake
from ms_gan_callbacks import (
    R1,
    AdaptiveAugment,
    Augment,
    Checkpoint,
    Every,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    RecipeError,
    RelativisticPairing,
    Wasserstein,
)

NOTHING = Augment(0, 0, 0, 0, 0)
SHAPE = (6, 3, 8, 10)


def change(augment: Augment, images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return what the papers' code makes of images, in double precision."""
    changed = images.astype(np.float64)
    for number, row in enumerate(drawn):
        image = changed[number]
        numbers, used = row[:8], row[8:] < float(np.asarray(augment.get_probability()).reshape(-1)[0])
        strength = 2 * numbers - 1
        if used[0]:
            image[:] = image + augment.brightness * strength[0]
        if used[1]:
            grey = image.mean(0, keepdims=True)
            image[:] = grey + (image - grey) * (1 + augment.saturation * strength[1])
        if used[2]:
            image[:] = image.mean() + (image - image.mean()) * (1 + augment.contrast * strength[2])
        if used[4] and augment.flip and numbers[5] < 0.5:
            image[:] = image[:, :, ::-1].copy()
        if used[3]:
            shift = [0, 0]
            for axis, value in enumerate(numbers[3:5]):
                most = int(augment.translation * image.shape[1 + axis] + 0.5)
                shift[axis] = int(np.floor(value * (2 * most + 1))) - most
            moved = np.zeros_like(image)
            for row_at in range(image.shape[1]):
                for column_at in range(image.shape[2]):
                    y, x = row_at - shift[0], column_at - shift[1]
                    if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                        moved[:, row_at, column_at] = image[:, y, x]
            image[:] = moved
        if used[5]:
            cuts = []
            for axis, value in enumerate(numbers[6:8]):
                length = image.shape[1 + axis]
                size = int(augment.cutout * length + 0.5)
                first = int(np.floor(value * (length + 1 - size % 2))) - size // 2
                cuts.append(slice(max(first, 0), max(first + size, 0)))
            image[:, cuts[0], cuts[1]] = 0
    return changed


@pytest.mark.parametrize(
    "augment",
    [
        NOTHING,
        replace(NOTHING, brightness=0.5),
        replace(NOTHING, saturation=1.0),
        replace(NOTHING, contrast=0.5),
        replace(NOTHING, translation=0.25),
        replace(NOTHING, flip=True),
        replace(NOTHING, cutout=0.5),
        replace(NOTHING, cutout=0.3),
        Augment(flip=True),
        Augment(flip=True, probability=0.4),
        AdaptiveAugment(flip=True, probability=0.6),
    ],
    ids=repr,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_changed_as_in_the_paper(augment: Augment, channels: int) -> None:
    rng = np.random.default_rng(2)
    shape = (40, channels, *SHAPE[2:])
    images, drawn = rng.uniform(-1, 1, shape).astype(np.float32), augment.draw(rng, shape[0])
    got = augment.apply(Tensor(images), Tensor(drawn)).asnumpy()
    wanted = change(replace(augment, saturation=0.0) if channels == 1 else augment, images, drawn)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    changed = np.abs(got - images).reshape(len(images), -1).max(1) > 1e-6
    assert changed.any() == (
        augment is not NOTHING and (channels == 3 or augment != replace(NOTHING, saturation=1.0))
    )


def test_the_gradient_passes_through_the_changes() -> None:
    rng, augment = np.random.default_rng(4), Augment(flip=True)
    images, drawn = rng.uniform(-1, 1, SHAPE).astype(np.float32), augment.draw(rng, SHAPE[0])
    weight = rng.normal(size=SHAPE)

    def loss(shown: Tensor) -> Tensor:
        return (augment.apply(shown, Tensor(drawn)) * Tensor(weight.astype(np.float32))).sum()

    got = ms.grad(loss)(Tensor(images)).asnumpy()
    for place in [(0, 0, 0, 0), (1, 2, 3, 4), (5, 1, 7, 9), (3, 0, 4, 2)]:
        moved = [images.astype(np.float64), images.astype(np.float64)]
        moved[0][place] += 1e-4
        moved[1][place] -= 1e-4
        up, down = ((change(augment, one, drawn) * weight).sum() for one in moved)
        assert got[place] == pytest.approx((up - down) / 2e-4, abs=2e-3)


def draws(augment: Augment) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    return {name: augment.draw(rng, len(batch()[0])) for name in ("augment_fake", "augment_real")}


@pytest.mark.slow
@pytest.mark.parametrize("objective", [Wasserstein(), RelativisticPairing()], ids=repr)
def test_both_players_see_changed_images(objective) -> None:
    augment = Augment()
    made, (real, noise) = players(Perceptron, objective=objective, augment=augment), batch()
    before, drawn = doubles(made), draws(augment)
    scalars = made.train_step({"real": real, "noise": noise, **drawn}, ("d", "g")).asnumpy()
    after = doubles(made)

    def score(w, images: np.ndarray, name: str) -> np.ndarray:
        return perceptron(w, change(augment, images, drawn[name]))

    fake = draw_fake(before, noise)
    of_real, of_fake = score(before, real, "augment_real"), score(before, fake, "augment_fake")
    now_real, now_fake = score(after, real, "augment_real"), score(after, fake, "augment_fake")
    paired = isinstance(objective, RelativisticPairing)
    d_loss = np.logaddexp(0, of_fake - of_real).mean() if paired else of_fake.mean() - of_real.mean()
    g_loss = np.logaddexp(0, now_real - now_fake).mean() if paired else -now_fake.mean()
    assert scalars[:4] == pytest.approx([d_loss, g_loss, of_real.mean(), of_fake.mean()], rel=1e-4)


@pytest.mark.slow
def test_penalties_are_computed_from_changed_images() -> None:
    augment = Augment()
    made, (real, noise) = players(Perceptron, objective=Wasserstein(), augment=augment, penalty=R1(2.0)), batch()
    before, drawn = doubles(made), draws(augment)
    inputs = {"real": real, "noise": noise, "penalty": np.zeros(1, np.float32), **drawn}
    d_loss = made.train_step(inputs, ("d",)).asnumpy()[0]
    shown, fake = change(augment, real, drawn["augment_real"]), draw_fake(before, noise)
    hidden = shown.reshape(-1, 16) @ before["discriminator.first.weight"].T + before["discriminator.first.bias"]
    slopes = (
        np.where(hidden > 0, 1, 0.2) * before["discriminator.last.weight"] @ before["discriminator.first.weight"]
    )
    gap = (
        perceptron(before, change(augment, fake, drawn["augment_fake"])).mean() - perceptron(before, shown).mean()
    )
    assert d_loss == pytest.approx(gap + (slopes**2).sum(1).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("objective", "real", "fake", "signs"),
    [
        (NonSaturating(), [1.0, 2.0, -1.0, 3.0], [0.0] * 4, 0.5),
        (NonSaturating(from_logits=False), [0.9, 0.6, 0.4, 0.7], [0.5] * 4, 0.5),
        (Minimax(), [-1.0, -2.0, 1.0, -3.0], [0.0] * 4, -0.5),
        (LeastSquares(), [0.9, 0.6, 0.4, 0.7], [0.0] * 4, 0.5),
        (Hinge(), [1.0, 2.0, -1.0, 3.0], [5.0] * 4, 0.5),
        (Wasserstein(), [11.0, 12.0, 9.0, 13.0], [9.0, 11.0, 10.0, 10.0], 0.5),
        (RelativisticPairing(), [11.0, 12.0, 9.0, 13.0], [9.0, 11.0, 10.0, 10.0], 0.5),
    ],
    ids=repr,
)
@pytest.mark.parametrize("target", [0.4, 0.6, -0.6])
def test_the_probability_follows_the_signs_of_real_scores(
    objective, real, fake, signs: float, target: float
) -> None:
    augment = AdaptiveAugment(probability=0.5, target=target, images=1000)
    tensors = [Tensor(np.array(one, np.float32)[:, None]) for one in (real, fake)]
    p = augment.adapt(*tensors, objective.boundary, 4).asnumpy()
    assert p == pytest.approx(0.5 + (0.004 if signs > target else -0.004), abs=1e-6)
    assert augment.get_probability().asnumpy() == pytest.approx(p)


def test_the_probability_stays_between_0_and_its_limit() -> None:
    right, wrong = (Tensor(np.full((4, 1), sign, np.float32)) for sign in (1, -1))
    augment = AdaptiveAugment(images=10, most=0.7)
    assert augment.adapt(wrong, right, 0.0, 4).asnumpy() == 0
    assert [float(augment.adapt(right, wrong, 0.0, 4).asnumpy()[0]) for _ in range(3)] == pytest.approx(
        [0.4, 0.7, 0.7]
    )


@pytest.mark.slow
def test_an_adaptive_run_publishes_its_probability_and_resumes_exactly(images: np.ndarray, tmp_path: Path) -> None:
    def runner(folder: str, **more: object):
        return tiny_runner(augment=AdaptiveAugment(target=-0.9, images=50), out_dir=tmp_path / folder, **more)

    whole = runner("whole")
    result = whole.train(2, images, batch_size=4, quiet=True)
    steps = np.minimum(0.08 * np.arange(6, 11), 0.8)  # D recognises the real images in all of them
    assert result.scalars["augment_p"] == pytest.approx(steps.mean(), rel=1e-5)
    assert whole._players.weights()["augment.p"] == pytest.approx([0.8])
    runner("halves").train(2, images, [StopsAt(7), Checkpoint(Every.steps(7))], batch_size=4, quiet=True)
    resumed = runner("halves", resume=True)
    assert resumed.train(2, images, [Checkpoint(Every.steps(7))], batch_size=4, quiet=True).step == 10
    for name, value in whole._players.weights().items():
        assert np.array_equal(value, resumed._players.weights()[name]), name


class Darker:
    """An augmentation of a user's own."""

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.random((count, 1, 1, 1), dtype=np.float32)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        return images - ops.stop_gradient(drawn)


@pytest.mark.slow
def test_an_augmentation_of_a_users_own_is_one_class() -> None:
    made, (real, noise) = players(Perceptron, objective=Wasserstein(), augment=Darker()), batch()
    before = doubles(made)
    drawn = {
        name: np.full((5, 1, 1, 1), value, np.float32)
        for name, value in (("augment_fake", 1), ("augment_real", 2))
    }
    scalars = made.train_step({"real": real, "noise": noise, **drawn}, ("d",)).asnumpy()
    wanted = [perceptron(before, real - 2.0).mean(), perceptron(before, draw_fake(before, noise) - 1).mean()]
    assert scalars[2:4] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Augment(brightness=-1), "Augment: brightness must be a number 0 or more, got -1"),
        (lambda: Augment(contrast=float("nan")), "Augment: contrast must be a number 0 or more, got nan"),
        (lambda: Augment(translation=1.5), "Augment: translation must be a number from 0 to 1, got 1.5"),
        (lambda: Augment(cutout="0.5"), "Augment: cutout must be a number from 0 to 1, got '0.5'"),
        (lambda: Augment(flip=1), "Augment: flip must be True or False, got 1"),
        (lambda: Augment(probability=2), "Augment: probability must be a number from 0 to 1, got 2"),
        (lambda: AdaptiveAugment(target=1), "AdaptiveAugment: target must be between -1 and 1, got 1"),
        (lambda: AdaptiveAugment(images=0), "AdaptiveAugment: images must be a whole number of at least 1, got 0"),
        (lambda: AdaptiveAugment(most=1.2), "AdaptiveAugment: most must be a number from 0 to 1, got 1.2"),
        (lambda: tiny_players(augment=Augment), "augment must be an object with a method draw, not <class"),
        (lambda: tiny_players(augment="flip"), "augment must be an object with a method draw, not 'flip'"),
    ],
)
def test_wrong_settings_are_refused(make, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make()
