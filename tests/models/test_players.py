"""The compiled step is the tutorial's two-phase eager step, and leaves its surroundings alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

import mindspore as ms
import numpy as np
import pytest
from conftest import RECIPE, TinyDiscriminator, TinyGenerator, tiny_players, train_step
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import GanWarning, Minimax, NonSaturating, RecipeError, load_recipe, mnist, stream
from ms_gan_callbacks.models.games.adversarial import SCALARS
from ms_gan_callbacks.models.losses.objective import check_scores
from ms_gan_callbacks.models.networks import seed_weights
from ms_gan_callbacks.models.probe import probe_networks
from ms_gan_callbacks.models.two_players import TwoPlayers


class Tutorial:
    """The tutorial's networks and loop, written out: each player has its own phase and its own forwards."""

    def __init__(self) -> None:
        widths = (128, 256, 512, 1024)
        layers: list[nn.Cell] = []
        for before, after in pairwise(widths):
            layers += [nn.Dense(before, after), nn.ReLU(), nn.BatchNorm1d(after)]
        self.generator = nn.SequentialCell(*layers, nn.Dense(1024, 784), nn.Tanh())
        self.discriminator = nn.SequentialCell(
            nn.Dense(784, 512),
            nn.LeakyReLU(0.2),
            nn.Dense(512, 256),
            nn.LeakyReLU(0.2),
            nn.Dense(256, 1),
            nn.Sigmoid(),
        )
        self.generator.update_parameters_name("generator.layers.")
        self.discriminator.update_parameters_name("discriminator.layers.")
        self.g_optimizer = nn.Adam(self.generator.trainable_params(), learning_rate=2e-4)
        self.d_optimizer = nn.Adam(self.discriminator.trainable_params(), learning_rate=2e-4)
        self.bce = nn.BCELoss(reduction="mean")
        self.d_grad = ms.value_and_grad(self.d_forward, None, self.d_optimizer.parameters, has_aux=True)
        self.g_grad = ms.value_and_grad(self.g_forward, None, self.g_optimizer.parameters)
        self.generator.set_train(True)
        self.discriminator.set_train(True)

    def parameters(self) -> dict[str, ms.Parameter]:
        cells = (self.generator, self.discriminator)
        return {parameter.name: parameter for cell in cells for parameter in cell.get_parameters()}

    def d_forward(self, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real_scores = self.discriminator(real)
        fake_scores = self.discriminator(self.generator(noise))
        loss = self.bce(real_scores, ops.ones_like(real_scores)) + self.bce(
            fake_scores, ops.zeros_like(fake_scores)
        )
        return loss, real_scores, fake_scores

    def g_forward(self, noise: Tensor) -> Tensor:
        scores = self.discriminator(self.generator(noise))
        return self.bce(scores, ops.ones_like(scores))

    def step(self, real: np.ndarray, noise: np.ndarray) -> dict[str, float]:
        x, z = Tensor(real.reshape(len(real), -1)), Tensor(noise)
        (d_loss, real_scores, fake_scores), gradients = self.d_grad(x, z)
        self.d_optimizer(gradients)
        g_loss, gradients = self.g_grad(z)
        self.g_optimizer(gradients)
        p_real, p_fake = real_scores.asnumpy().astype(np.float64), fake_scores.asnumpy().astype(np.float64)
        return {
            "d_loss": float(d_loss.asnumpy()),
            "g_loss": float(g_loss.asnumpy()),
            "d_real": p_real.mean(),
            "d_fake": p_fake.mean(),
            "value": np.log(p_real).mean() + np.log(1 - p_fake).mean(),
        }


def our_players(accelerate: bool, tutorial: Tutorial) -> TwoPlayers:
    """Return players of the recipe, with the tutorial's weights."""
    recipe = load_recipe(RECIPE)
    players = TwoPlayers(recipe.generator, recipe.discriminator, replace(recipe, seed=3, accelerate=accelerate))
    hand_over(tutorial.parameters(), players.parameters())
    return players


def hand_over(weights: Mapping[str, ms.Parameter], to: Mapping[str, ms.Parameter]) -> None:
    for name in weights.keys() & to.keys():
        to[name].set_data(Tensor(weights[name].asnumpy().copy()))


def twenty_batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    batches = mnist(count=5000, batch_size=32).batches(seed=0, epoch=1)
    for step, batch in zip(range(20), batches, strict=False):
        yield batch["real"], stream(0, "noise", step).standard_normal((32, 128), dtype=np.float32)


def our_step(players: TwoPlayers, real: np.ndarray, noise: np.ndarray) -> dict[str, float]:
    players.compile_for(real, noise)
    return dict(zip(SCALARS, train_step(players, real, noise).asnumpy().tolist(), strict=True))


def assert_same_but_for_roundings(ours: TwoPlayers, tutorial: Tutorial, step: int) -> None:
    """Fail unless fast layers, which started the step with the tutorial's weights, ended it with them."""
    left, right = (
        np.concatenate([one.parameters()[name].asnumpy().ravel() for name in tutorial.parameters()])
        for one in (ours, tutorial)
    )
    # Sums in another order: a number a rounding away from 0 may come out on a ReLU's other side, and Adam makes
    # much of little. So a few weights may differ by part of what a step moves them, 2e-4.
    difference = np.abs(left - right)
    assert (difference > 1e-6).mean() < 1e-3, f"step {step}"
    assert difference.max() < 2e-4, f"step {step}"


@pytest.mark.slow
def test_steps_equal_the_tutorials_two_phase_eager_steps_over_twenty_of_them() -> None:
    # Stock layers train on by themselves; fast ones are compared in each step from wherever the tutorial stands.
    with seed_weights(1, "tutorial"):  # with others a number may round to a ReLU's other side
        tutorial = Tutorial()
    stock, fast = our_players(False, tutorial), our_players(True, tutorial)
    assert fast.accelerated["SequentialCell"] == 2
    for step, (real, noise) in enumerate(twenty_batches()):
        hand_over(tutorial.parameters(), fast.parameters())
        expected = pytest.approx(tutorial.step(real, noise), abs=1e-6)
        assert our_step(stock, real, noise) == expected, f"step {step}"
        assert our_step(fast, real, noise) == expected, f"step {step}"
        assert_same_but_for_roundings(fast, tutorial, step)
    # The running averages of the generator's BatchNorm are among them: the recipe's momentum makes one update
    # of ours two of the tutorial's.
    ours = stock.parameters()
    theirs = {name: parameter.asnumpy() for name, parameter in tutorial.parameters().items()}
    assert sum("moving" in name for name in theirs) == 6
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name].asnumpy(), value, rtol=0, atol=1e-5, err_msg=name)


class BatchNormalised(TinyDiscriminator):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(nn.Dense(16, 8), nn.BatchNorm1d(8), nn.Dense(8, 1))


class ComparesImages(TinyDiscriminator):
    """Scores an image by how far it is from the batch's mean: batch statistics without BatchNorm."""

    def construct(self, images: Tensor) -> Tensor:
        return super().construct(images - images.mean(axis=0))


@pytest.mark.parametrize(
    ("discriminator", "joined"), [(TinyDiscriminator, True), (BatchNormalised, False), (ComparesImages, False)]
)
def test_real_and_fake_share_a_batch_only_where_no_image_changes_anothers_score(
    discriminator: type[nn.Cell], joined: bool
) -> None:
    rng = np.random.default_rng(0)
    real = rng.uniform(-1, 1, (4, 1, 4, 4)).astype(np.float32)
    noise = rng.standard_normal((4, 3)).astype(np.float32)
    players = tiny_players(TinyGenerator, discriminator)
    before = players.weights()
    assert probe_networks(players.generator, players.discriminator, real, noise).joined is joined
    after = players.weights()
    assert all(np.array_equal(before[name], after[name]) for name in before), "trying moved the statistics"


def test_networks_whose_parameters_share_names_are_told_apart() -> None:
    players = tiny_players(seed=0)
    names = list(players.parameters())
    trained = [*players.generator.trainable_params(), *players.discriminator.trainable_params()]
    # Adam keeps two moments a weight; the rest are its counters, once for each player.
    assert sum(".moment" in name for name in names) == 2 * len(trained)
    assert {name.split(".")[0] for name in names} == {"generator", "discriminator", "g_optimizer", "d_optimizer"}
    assert len({id(parameter) for parameter in players.parameters().values()}) == len(names)


def test_initial_weights_follow_from_the_seed_and_leave_numpys_state_alone() -> None:
    np.random.seed(5)
    expected = np.random.random(3).tolist()
    np.random.seed(5)
    first = tiny_players(seed=1).weights()
    assert np.random.random(3).tolist() == expected
    again = tiny_players(seed=1).weights()
    other = tiny_players(seed=2).weights()
    kernel = "generator.layers.0.weight"
    assert first[kernel].tobytes() == again[kernel].tobytes()
    assert not np.array_equal(first[kernel], other[kernel])


@pytest.mark.slow
def test_training_leaves_mindspores_mode_as_it_was() -> None:
    players = tiny_players(seed=0)
    real, noise = np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32)
    assert ms.get_context("mode") == ms.PYNATIVE_MODE
    players.compile_for(real, noise)
    train_step(players, real, noise)
    players.generate(noise)
    assert ms.get_context("mode") == ms.PYNATIVE_MODE


def test_generate_is_in_evaluation_mode_for_any_count_and_sees_new_weights() -> None:
    players = tiny_players(seed=0)
    noise = np.random.default_rng(0).standard_normal((70, 3)).astype(np.float32)
    drawn = players.generate(noise)
    assert drawn.shape == (70, 1, 4, 4)
    # In evaluation mode an image depends on its own noise alone.
    np.testing.assert_allclose(players.generate(noise[66:67])[0], drawn[66], atol=1e-6)
    real = np.ones((4, 1, 4, 4), np.float32)
    players.compile_for(real, noise[:4])
    for _ in range(5):
        train_step(players, real, noise[:4])
    assert np.abs(players.generate(noise) - drawn).max() > 1e-3


class NormalisesByBatch(TinyGenerator):
    """Images that depend on the batch they are drawn with, in evaluation, too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.SequentialCell(
            nn.Dense(3, 16), nn.BatchNorm1d(16, use_batch_statistics=True, gamma_init="normal")
        )


def test_a_chunk_is_filled_up_with_its_own_rows_and_not_with_zeros() -> None:
    players = tiny_players(NormalisesByBatch)
    dense, norm = players.generator.layers[0], players.generator.layers[1]
    noise = np.random.default_rng(0).normal(size=(64 + 32, 3)).astype(np.float32)
    weight, bias, gamma, eps = dense.weight.asnumpy(), dense.bias.asnumpy(), norm.gamma.asnumpy(), norm.eps

    def drawn(batch: np.ndarray) -> np.ndarray:
        rows = batch.astype(np.float64) @ weight.T + bias
        return gamma * (rows - rows.mean(0)) / np.sqrt(rows.var(0) + eps)

    # 32 rows twice over have the mean and the variance of 32 rows.
    expected = np.concatenate((drawn(noise[:64]), drawn(noise[64:]))).reshape(-1, 1, 4, 4)
    np.testing.assert_allclose(players.generate(noise), expected, atol=1e-4)
    # The one row of a batch is its mean.
    np.testing.assert_allclose(players.generate(noise[:1]), 0, atol=1e-4)


def test_minimax_steps_minimise_what_the_paper_says() -> None:
    players = tiny_players(objective=Minimax())
    rng = np.random.default_rng(0)
    real = rng.uniform(-1, 1, (4, 1, 4, 4)).astype(np.float32)
    noise = rng.standard_normal((4, 3)).astype(np.float32)
    players.compile_for(real, noise)
    scalars = dict(zip(SCALARS, train_step(players, real, noise).asnumpy().tolist(), strict=True))
    assert scalars["value"] == pytest.approx(-scalars["d_loss"], abs=1e-6)
    assert scalars["g_loss"] < 0  # E[log(1 - D(G(z)))] of probabilities


class WrongWay(nn.Cell):
    def construct(self, images: Tensor) -> Tensor:
        return images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": np.zeros((4, 5), np.float32)}, r"the generator does not accept noise of shape \(4, 5\)"),
        (
            {"real": np.zeros((4, 3, 4, 4), np.float32)},
            r"returns images of shape \(1, 4, 4\), but the data has \(3, 4, 4\)",
        ),
        ({"discriminator": WrongWay()}, r"must return one score per image, \(4, 1\), not \(4, 1, 4, 4\)"),
        ({"discriminator": nn.Dense(7, 1)}, r"does not accept the generator's images, \(4, 1, 4, 4\)"),
    ],
)
def test_networks_that_do_not_fit_are_told_in_one_line(changes: dict, message: str) -> None:
    fitting = {
        "generator": TinyGenerator(),
        "discriminator": TinyDiscriminator(),
        "real": np.zeros((4, 1, 4, 4), np.float32),
        "noise": np.zeros((4, 3), np.float32),
    }
    with pytest.raises(RecipeError, match=message) as caught:
        probe_networks(**(fitting | changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": lambda: 3}, "the generator must be a mindspore.nn.Cell, not int"),
        ({"discriminator": WrongWay}, "the discriminator has no trainable parameters"),
        ({"optimizer": lambda parameters: None}, "optimizer must return a mindspore.nn.Optimizer, not NoneType"),
    ],
)
def test_factories_that_make_something_else_are_named(changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        tiny_players(**changes)


class Endless(nn.Cell):
    """Scores (N, 1) that are what the test says."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.dense = nn.Dense(16, 1)
        self.low, self.high = low, high

    def construct(self, images: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * ops.sigmoid(self.dense(images.reshape(-1, 16)))


def compiled(objective: object, low: float, high: float) -> None:
    players = tiny_players(TinyGenerator, lambda: Endless(low, high), objective=objective)
    players.compile_for(np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32))


@pytest.mark.parametrize("seed", range(8))
def test_logits_are_not_taken_for_probabilities_whatever_the_initial_weights(seed: int) -> None:
    players = tiny_players(seed=seed)
    real = np.random.default_rng(seed).uniform(-1, 1, (4, 1, 4, 4)).astype(np.float32)
    scores = probe_networks(players.generator, players.discriminator, real, np.ones((4, 3), np.float32)).scores
    check_scores(NonSaturating(), scores)  # a warning would fail this test
    with pytest.raises(RecipeError, match="outside"):
        check_scores(NonSaturating(from_logits=False), scores)


class AlmostUndecided(nn.Cell):
    """Logits of an untrained network, all between 0.4 and 0.6 however bright the images are."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise, self.dense = nn.BatchNorm1d(16), nn.Dense(16, 1)
        self.dense.weight.set_data(Tensor(np.full((1, 16), 0.001, np.float32)))
        self.dense.bias.set_data(Tensor(np.full(1, 0.5, np.float32)))

    def construct(self, images: Tensor) -> Tensor:
        return self.dense(self.normalise(images.reshape(-1, 16)))


def test_logits_that_are_all_close_to_one_half_are_not_taken_for_probabilities() -> None:
    players = tiny_players(TinyGenerator, AlmostUndecided)
    before = players.weights()
    real = np.random.default_rng(0).uniform(-1, 1, (4, 1, 4, 4)).astype(np.float32)
    players.compile_for(real, np.ones((4, 3), np.float32))  # a warning would fail this test
    assert all(np.array_equal(value, before[name]) for name, value in players.weights().items())
    again = tiny_players(TinyGenerator, AlmostUndecided, objective=Minimax(from_logits=False))
    with pytest.raises(RecipeError, match=r"requires probabilities, but scores are outside \[0, 1\]"):
        again.compile_for(real, np.ones((4, 3), np.float32))


def test_scores_of_the_wrong_kind_for_the_objective_are_told_before_the_first_step() -> None:
    with pytest.warns(GanWarning, match=r"requires logits, but all scores are between 0 and 1.*from_logits=False"):
        compiled(NonSaturating(), 0, 1)
    with pytest.raises(RecipeError, match=r"requires probabilities, but scores are outside \[0, 1\].*sigmoid"):
        compiled(Minimax(from_logits=False), 2, 3)
    compiled(NonSaturating(), -1, 2)
    compiled(NonSaturating(from_logits=False), 0, 1)


class TriesInConstruct(TinyDiscriminator):
    def construct(self, images: Tensor) -> Tensor:
        try:
            return super().construct(images)
        except ValueError:
            return images


def test_what_does_not_compile_says_so() -> None:
    players = tiny_players(TinyGenerator, TriesInConstruct)
    real, noise = np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32)
    players.compile_for(real, noise)
    with pytest.raises(RuntimeError, match="Unsupported statement 'Try'") as caught:
        train_step(players, real, noise)
    assert caught.value.__notes__ == ["raised by the compiled training step"]
    assert ms.get_context("mode") == ms.PYNATIVE_MODE
