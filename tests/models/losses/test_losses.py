"""Losses, against their papers' formulas in NumPy, and the compiled step that is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import mindspore as ms
import numpy as np
import pytest
from conftest import TinyDiscriminator, TinyGenerator, tiny_players, tiny_runner, train_step
from mindspore import Tensor, nn, ops

from models.losses.plain import Perceptron, batch, doubles, draw, gradient, perceptron, players
from ms_gan_callbacks import (
    AuxiliaryClassifier,
    GanWarning,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    RecipeError,
    RelativisticAverage,
    RelativisticPairing,
    Wasserstein,
)
from ms_gan_callbacks.models.graph_mode import graph_mode
from ms_gan_callbacks.models.losses.objective import check_scores, complete_objective


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -x)


def relativistic(left: np.ndarray, right: np.ndarray) -> float:
    """Return the cross entropy of left being more real than the average right, and right less."""
    return -log_sigmoid(left - right.mean()).mean() - log_sigmoid(-(right - left.mean())).mean()


FORMULAS = {
    # Each discriminator's loss of (real, fake), and each generator's of (fake, real).
    NonSaturating(): (
        lambda r, f: -log_sigmoid(r).mean() - log_sigmoid(-f).mean(),
        lambda f, r: -log_sigmoid(f).mean(),
    ),
    NonSaturating(smoothing=0.1): (
        lambda r, f: -(0.9 * log_sigmoid(r) + 0.1 * log_sigmoid(-r)).mean() - log_sigmoid(-f).mean(),
        lambda f, r: -log_sigmoid(f).mean(),
    ),
    Minimax(): (
        lambda r, f: -log_sigmoid(r).mean() - log_sigmoid(-f).mean(),
        lambda f, r: log_sigmoid(-f).mean(),
    ),
    LeastSquares(): (
        lambda r, f: 0.5 * ((r - 1) ** 2).mean() + 0.5 * (f**2).mean(),
        lambda f, r: 0.5 * ((f - 1) ** 2).mean(),
    ),
    Hinge(): (
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        lambda f, r: -f.mean(),
    ),
    Wasserstein(): (lambda r, f: f.mean() - r.mean(), lambda f, r: -f.mean()),
    RelativisticAverage(): (relativistic, relativistic),
    RelativisticPairing(): (
        lambda r, f: np.logaddexp(0, f - r).mean(),
        lambda f, r: np.logaddexp(0, r - f).mean(),
    ),
}


def slopes(loss, *at: np.ndarray) -> list[np.ndarray]:
    """Return a loss's gradient with respect to each array of scores, by central differences."""
    found = []
    for place, scores in enumerate(at):
        moves = 1e-6 * np.eye(len(scores))
        sides = [
            [loss(*(one + sign * move if n == place else one for n, one in enumerate(at))) for move in moves]
            for sign in (1, -1)
        ]
        found.append((np.array(sides[0]) - sides[1]) / 2e-6)
    return found


class Gradient(nn.Cell):
    def __init__(self, loss) -> None:
        super().__init__(auto_prefix=False)
        self.gradient = ms.value_and_grad(loss, (0, 1))

    def construct(self, *scores: Tensor):
        return self.gradient(*scores)


def compile_gradient(loss, *scores: Tensor):
    """Return a loss and its gradient with respect to both arrays of scores, compiled as in the training step.

    MindSpore's gradient of cross entropies without compilation divides by the number of scores of an earlier call.
    """
    with graph_mode():
        return Gradient(loss)(*scores)


@pytest.mark.parametrize("objective", FORMULAS, ids=repr)
def test_losses_and_their_gradients_are_those_of_the_papers(objective) -> None:
    rng = np.random.default_rng(1)
    real, fake = rng.normal(0.5, 2, 9), rng.normal(-0.5, 2, 9)
    of_discriminator, of_generator = FORMULAS[objective]
    sees_real = objective.generator_sees_real

    def seen(fakes: Tensor, reals: Tensor) -> Tensor:
        return objective.generator_loss(fakes, reals) if sees_real else objective.generator_loss(fakes)

    for ours, theirs, at in (
        (objective.discriminator_loss, of_discriminator, (real, fake)),
        (seen, of_generator, (fake, real)),
    ):
        value, gradients = compile_gradient(ours, *(Tensor(one[:, None].astype(np.float32)) for one in at))
        assert float(value.asnumpy()) == pytest.approx(theirs(*at), rel=1e-5)
        for got, wanted in zip(gradients, slopes(theirs, *at), strict=True):
            np.testing.assert_allclose(got.asnumpy()[:, 0], wanted, rtol=1e-4, atol=1e-6)


def test_probabilities_are_taken_where_the_discriminator_ends_in_a_sigmoid() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (9, 1)).astype(np.float32)
    scores = Tensor(sigmoid(logits)), Tensor(sigmoid(logits[::-1].copy()))
    for kind in (NonSaturating, Minimax):
        got = kind(from_logits=False, smoothing=0.2).discriminator_loss(*scores).asnumpy()
        wanted = kind(smoothing=0.2).discriminator_loss(Tensor(logits), Tensor(logits[::-1].copy())).asnumpy()
        assert float(got) == pytest.approx(float(wanted), rel=1e-5)


def test_the_gradient_of_pairing_does_not_vanish_where_scores_are_equal() -> None:
    scores = [Tensor(np.full((3, 1), 0.7, np.float32)) for _ in range(2)]
    for loss in (RelativisticPairing().discriminator_loss, RelativisticPairing().generator_loss):
        first, second = (one.asnumpy() for one in compile_gradient(loss, *scores)[1])
        np.testing.assert_allclose(first, -0.5 / 3, rtol=1e-6)
        np.testing.assert_allclose(second, 0.5 / 3, rtol=1e-6)


@pytest.mark.slow
def test_a_relativistic_generator_sees_what_the_updated_discriminator_says_of_real_images() -> None:
    made, (real, noise) = players(Perceptron, objective=RelativisticAverage()), batch()
    before = doubles(made)
    scalars = train_step(made, real, noise).asnumpy()
    after = doubles(made)
    middle = {name: (after if name.startswith("disc") else before)[name] for name in before}

    def d_loss(w) -> float:
        return relativistic(perceptron(w, real), perceptron(w, draw(w, noise)))

    def g_loss(w) -> float:
        return relativistic(perceptron(w, draw(w, noise)), perceptron(w, real))

    assert scalars[:2] == pytest.approx([d_loss(before), g_loss(middle)], rel=1e-5)
    for player, loss, at in (("discriminator", d_loss, before), ("generator", g_loss, middle)):
        for name, value in gradient(loss, at, player).items():
            np.testing.assert_allclose(before[name] - after[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    means = [perceptron(before, images).mean() for images in (real, draw(before, noise))]
    assert scalars[2:] == pytest.approx([*means, means[0] - means[1]], abs=1e-5)


@pytest.mark.slow
def test_a_clipped_critics_weights_end_every_step_within_bounds() -> None:
    made, (real, noise) = players(Perceptron, objective=Wasserstein(clip=0.05)), batch()
    before, plain = doubles(made), players(Perceptron, objective=Wasserstein())
    train_step(made, real, noise, both=False)
    train_step(plain, real, noise, both=False)
    for name, value in doubles(plain).items():
        if name.startswith("discriminator."):
            np.testing.assert_allclose(doubles(made)[name], np.clip(value, -0.05, 0.05), atol=1e-6)
        else:
            assert np.array_equal(doubles(made)[name], before[name])
    middle = doubles(made)
    d_loss, g_loss = train_step(made, real, noise).asnumpy()[:2]
    fake = perceptron(middle, draw(middle, noise)).mean()
    assert d_loss == pytest.approx(fake - perceptron(middle, real).mean(), abs=1e-6)
    # The generator meets the critic as it is after its clipping.
    clipped = {**doubles(made), **{name: middle[name] for name in middle if name.startswith("generator.")}}
    assert g_loss == pytest.approx(-perceptron(clipped, draw(clipped, noise)).mean(), abs=1e-6)


class Cauchy:
    """A user's own, which inherits from nothing and has some of the attributes of an objective."""

    generator_sees_real = True
    clip = 0.5

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return 1 / (1 + ops.square(real_scores.mean() - fake_scores.mean()))

    def generator_loss(self, fake_scores: Tensor, real_scores: Tensor) -> Tensor:
        return ops.square(real_scores.mean() - fake_scores.mean())


@pytest.mark.slow
def test_any_object_with_both_losses_is_an_objective(images: np.ndarray) -> None:
    runner = tiny_runner(objective=Cauchy())
    result = runner.train(2, images, batch_size=4, quiet=True)
    assert result.scalars["value"] == pytest.approx(result.scalars["d_real"] - result.scalars["d_fake"], abs=1e-6)
    assert max(np.abs(p.asnumpy()).max() for p in runner.discriminator.trainable_params()) <= 0.5
    table = runner.eval(images)
    gap = table["d_real"] - table["d_fake"]
    assert table["d_loss"] == pytest.approx(1 / (1 + gap**2), rel=1e-5)
    assert table["g_loss"] == pytest.approx(gap**2, rel=1e-4)


class Exponential(Objective):
    """A user's own: the loss of AdaBoost, whose scores are half the log odds."""

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return (ops.exp(-real_scores) + ops.exp(fake_scores)).mean()

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        return ops.exp(-fake_scores).mean()

    def probability(self, scores: Tensor) -> Tensor:
        return ops.sigmoid(2 * scores)


@pytest.mark.slow
def test_a_subclass_is_an_objective_and_needs_nothing_else() -> None:
    made, (real, noise) = players(Perceptron, objective=Exponential()), batch()
    before = doubles(made)
    scalars = train_step(made, real, noise, both=False).asnumpy()
    of_real, of_fake = perceptron(before, real), perceptron(before, draw(before, noise))
    losses = [(np.exp(-of_real) + np.exp(of_fake)).mean(), np.exp(-of_fake).mean()]
    means = [sigmoid(2 * of_real).mean(), sigmoid(2 * of_fake).mean()]
    value = log_sigmoid(2 * of_real).mean() + log_sigmoid(-2 * of_fake).mean()
    assert scalars == pytest.approx([*losses, *means, value], rel=1e-5)


def test_a_subclass_has_the_defaults_of_an_objective() -> None:
    class Plain(Objective):
        def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
            return fake_scores.mean() - real_scores.mean()

        def generator_loss(self, fake_scores: Tensor) -> Tensor:
            return -fake_scores.mean()

    plain = Plain()
    assert complete_objective(plain) is plain
    assert [plain.probability, plain.class_loss, plain.clip, plain.from_logits] == [None] * 4
    assert [plain.generator_sees_real, plain.unbounded] == [False, False]


@dataclass(frozen=True)
class Bounded:
    """A user's own frozen dataclass, of which one attribute is set to None and one is a function."""

    clip: float
    unbounded = True
    class_loss = None

    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return self.clip * (fake_scores.mean() - real_scores.mean())

    def generator_loss(self, fake_scores: Tensor) -> Tensor:
        return -fake_scores.mean()

    @staticmethod
    def probability(scores: Tensor) -> Tensor:
        return scores / 4


def test_an_object_is_completed_with_defaults_and_keeps_its_own_attributes() -> None:
    bounded = Bounded(0.25)
    completed = complete_objective(bounded)
    assert isinstance(completed, Objective)
    assert completed.discriminator_loss == bounded.discriminator_loss  # bound to it
    assert completed.generator_loss == bounded.generator_loss
    assert float(completed.probability(Tensor(np.float32(3))).asnumpy()) == 0.75
    assert [completed.clip, completed.unbounded] == [0.25, True]
    assert [completed.class_loss, completed.generator_sees_real, completed.from_logits] == [None, False, None]
    assert vars(bounded) == {"clip": 0.25}
    with pytest.warns(GanWarning, match="^Bounded requires unbounded scores"):
        check_scores(completed, np.array([[0.25], [0.75]], np.float32))


def test_a_classifier_has_the_losses_of_its_base_and_a_class_loss_of_its_own() -> None:
    base = Cauchy()
    classifier = AuxiliaryClassifier(base, weight=0.5)
    assert isinstance(classifier, Objective)
    real, fake = Tensor(np.float32([[4.0], [2.0]])), Tensor(np.float32([[1.0], [1.0]]))
    assert float(classifier.discriminator_loss(real, fake).asnumpy()) == pytest.approx(1 / (1 + 2**2))
    assert float(classifier.generator_loss(fake, real).asnumpy()) == pytest.approx(2**2)
    assert [classifier.clip, classifier.generator_sees_real, classifier.probability] == [0.5, True, None]
    assert repr(AuxiliaryClassifier(Hinge(), weight=0.5)) == "AuxiliaryClassifier(base=Hinge(), weight=0.5)"
    # Of equal logits the cross entropy is log(3), and it counts once however often a classifier is wrapped.
    logits, labels = Tensor(np.zeros((2, 3), np.float32)), Tensor(np.int32([0, 2]))
    for one in (classifier, AuxiliaryClassifier(AuxiliaryClassifier(base, weight=8.0), weight=0.5)):
        assert float(one.class_loss(logits, labels).asnumpy()) == pytest.approx(0.5 * np.log(3))


def test_a_warning_about_a_classifiers_scores_names_its_base() -> None:
    scores = np.array([[0.25], [0.75]], np.float32)
    for base, name in ((Hinge(), "Hinge"), (Bounded(0.5), "Bounded")):
        with pytest.warns(GanWarning, match=f"^{name} requires unbounded scores"):
            check_scores(AuxiliaryClassifier(base), scores)
    with pytest.raises(RecipeError, match=r"^Minimax\(from_logits=False\) requires probabilities"):
        check_scores(AuxiliaryClassifier(Minimax(from_logits=False)), 8 * scores)


class HasNoGeneratorLoss(Objective):
    def discriminator_loss(self, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
        return fake_scores.mean() - real_scores.mean()


class EndsInSigmoid(TinyDiscriminator):
    def construct(self, images: Tensor) -> Tensor:
        return ops.sigmoid(super().construct(images))


@pytest.mark.parametrize(
    "objective", [Wasserstein(), Hinge(), RelativisticAverage(), RelativisticPairing()], ids=repr
)
def test_a_critic_that_ends_in_a_sigmoid_is_warned_of(objective) -> None:
    made = tiny_players(TinyGenerator, EndsInSigmoid, objective=objective)
    with pytest.warns(GanWarning, match="requires unbounded scores, but all scores are between 0 and 1"):
        made.compile_for(np.ones((4, 1, 4, 4), np.float32), np.ones((4, 3), np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NonSaturating(smoothing=1.0), "smoothing=...*at least 0 and below 1, got 1.0"),
        (lambda: Minimax(smoothing=-0.1), "Minimax.smoothing"),
        (lambda: tiny_players(objective=Wasserstein(clip=0.0)), "clip must be a number above 0, got 0.0"),
        (lambda: tiny_players(objective=NonSaturating), "objective must be an object with a method"),
        (lambda: tiny_players(objective=HasNoGeneratorLoss()), "must be an object with a method generator_loss"),
        (lambda: tiny_players(objective="hinge"), "objective must be an object with a method"),
        (lambda: AuxiliaryClassifier(NonSaturating(), weight=0), "must be more than 0, got 0"),
        (lambda: tiny_players(objective=Bounded(True)), "clip must be a number above 0, got True"),
        (lambda: AuxiliaryClassifier("hinge"), "objective must be an object with a method"),
    ],
)
def test_what_is_no_objective_says_so(make, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make()
