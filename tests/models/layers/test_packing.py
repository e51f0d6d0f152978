"""PackedDiscriminator: its values, what a step computes with it, and its errors."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from conftest import TinyDiscriminator, tiny_players, tiny_runner
from mindspore import Tensor, nn

from models.losses.plain import batch, doubles, draw, gradient, players, slope
from ms_gan_callbacks import R1, PackedDiscriminator, RecipeError, UsageError, Wasserstein


class Judge(nn.Cell):
    """Packs of two images (N, 2, 4, 4) to scores (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.leaky, self.last = nn.Dense(32, 6), nn.LeakyReLU(0.2), nn.Dense(6, 1)

    def construct(self, images: Tensor) -> Tensor:
        return self.last(self.leaky(self.first(images.reshape(-1, 32))))


def pairs_of() -> PackedDiscriminator:
    return PackedDiscriminator(Judge(), 2)


def judge(w, packs: np.ndarray) -> np.ndarray:
    prefix = "discriminator.network"
    hidden = packs.reshape(-1, 32) @ w[f"{prefix}.first.weight"].T + w[f"{prefix}.first.bias"]
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    return hidden @ w[f"{prefix}.last.weight"][0] + w[f"{prefix}.last.bias"]


def test_consecutive_images_become_channels() -> None:
    images = np.arange(6 * 3 * 2 * 2, dtype=np.float32).reshape(6, 3, 2, 2)
    packs = PackedDiscriminator(nn.Flatten(), 2).join(Tensor(images)).asnumpy()
    assert packs.shape == (3, 6, 2, 2)
    for number, pack in enumerate(packs):
        assert np.array_equal(pack, np.concatenate(images[2 * number : 2 * number + 2]))


@pytest.mark.slow
def test_a_step_judges_packs_and_penalises_their_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.losses.plain.COUNT", 6)
    made, (real, noise) = players(pairs_of, objective=Wasserstein(), penalty=R1(2.0)), batch()
    assert made.game.joined
    before = doubles(made)

    def pack(images: np.ndarray) -> np.ndarray:
        return images.reshape(3, 2, 4, 4)

    def loss(w) -> float:
        gap = judge(w, pack(draw(w, noise))).mean() - judge(w, pack(real)).mean()
        return gap + (slope(lambda packs: judge(w, packs), pack(real.astype(float))) ** 2).mean()

    inputs = {"real": real, "noise": noise, "penalty": np.zeros(1, np.float32)}
    scalars = made.train_step(inputs, ("d", "g")).asnumpy()
    assert scalars[0] == pytest.approx(loss(before), rel=1e-4)
    after = doubles(made)
    for name, value in gradient(loss, before, "discriminator").items():
        np.testing.assert_allclose(before[name] - after[name], value, rtol=2e-3, atol=3e-4, err_msg=name)
    middle = {name: (after if name.startswith("disc") else before)[name] for name in before}
    assert scalars[1] == pytest.approx(-judge(middle, pack(draw(before, noise))).mean(), rel=1e-4)


@pytest.mark.slow
def test_scores_are_those_of_packs(images: np.ndarray) -> None:
    runner = tiny_runner(discriminator=pairs_of)
    runner.train(1, images, batch_size=4, quiet=True)
    made = runner._players
    many = np.random.default_rng(0).uniform(-1, 1, (150, 1, 4, 4)).astype(np.float32)
    assert made.score(many)[:, 0] == pytest.approx(judge(doubles(made), many.reshape(-1, 2, 4, 4)), abs=1e-5)
    with pytest.raises(UsageError, match="5 images cannot be divided into packs of 2"):
        made.score(many[:5])
    assert set(runner.eval(many)) == {"d_loss", "g_loss", "d_real", "d_fake", "value"}


def test_wrong_packs_are_refused(images: np.ndarray) -> None:
    for pack in (1, 0, 2.0, True):
        with pytest.raises(RecipeError, match="pack must be a whole number of at least 2"):
            PackedDiscriminator(Judge(), pack)
    with pytest.raises(RecipeError, match="PackedDiscriminator requires a network, not <class"):
        PackedDiscriminator(Judge)  # type: ignore[arg-type]
    runner = tiny_runner(discriminator=pairs_of)
    with pytest.raises(RecipeError, match=r"batch of 5 cannot be divided into packs of 2 images: .* 4 or 6"):
        runner.train(1, images, batch_size=5, quiet=True)
    assert not runner.out_dir.exists()
    with pytest.raises(RecipeError, match=r"one score per pack of 2 images, \(2, 1\), not \(4, 1\)"):
        unpacked = tiny_runner(discriminator=partial(PackedDiscriminator, TinyDiscriminator()))
        unpacked.train(1, images, batch_size=4, quiet=True)
    with pytest.raises(RecipeError, match="PackedDiscriminator does not take labels"):
        tiny_players(discriminator=pairs_of, classes=3)
