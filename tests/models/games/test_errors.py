"""Wrong games end in one clear line before anything is compiled or written."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from ms_gan_callbacks import (
    ArraySource,
    Categorical,
    DataError,
    EarlyStopping,
    Evaluation,
    Game,
    GanError,
    ImageGrid,
    Normal,
    Player,
    Recipe,
    RecipeError,
    Runner,
    UsageError,
    freeze,
    l1,
    pairs,
    thumbnails,
)
from ms_gan_callbacks.models.players import Players

from .zoo import SHAPE, Coded, Columns, Patches, Pix2Pix, Translator, adam, towards

NETWORKS: Mapping[str, object] = {"generator": partial(Coded, 4), "discriminator": Patches}
PLAYERS = {"discriminator": Player("discriminator", adam), "generator": Player("generator", adam)}


class Plain(Game):
    chance = {"noise": Normal(4)}

    def make(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def discriminator_loss(self, made: Tensor, real: Tensor) -> Tensor:
        return towards(self.discriminator(real), 1.0) + towards(self.discriminator(made), 0.0)

    def generator_loss(self, made: Tensor) -> Tensor:
        return towards(self.discriminator(made), 1.0)


def try_it(
    game: object = Plain,
    networks: Mapping[str, object] = NETWORKS,
    players: Mapping[str, Player] = PLAYERS,
    columns: tuple[str, ...] = ("real",),
) -> None:
    Players(game, networks, players).prepare(Columns(columns))


def change(**methods: Callable[..., object]) -> type[Game]:
    """Return the plain game with other methods or attributes."""
    return type("Changed", (Plain,), methods)


def per_image(self: Game, made: Tensor) -> Tensor:
    return ops.square(self.discriminator(made) - 1).mean((1, 2, 3))


def of_numbers(self: Game, made: Tensor) -> float:
    return 1.0


def in_half(self: Game, made: Tensor) -> Tensor:
    return towards(self.discriminator(made), 1.0).astype(ms.float16)


def with_list(self: Game, made: Tensor) -> object:
    return towards(self.discriminator(made), 1.0), [made.mean()]


def with_vector(self: Game, made: Tensor) -> object:
    return towards(self.discriminator(made), 1.0), {"spread": made.mean((1, 2, 3))}


def with_reserved(self: Game, made: Tensor) -> object:
    return towards(self.discriminator(made), 1.0), {"step": made.mean()}


def with_clash(self: Game, made: Tensor) -> object:
    return towards(self.discriminator(made), 1.0), {"discriminator_loss": made.mean()}


def of_nan(self: Game, made: Tensor) -> Tensor:
    return towards(self.discriminator(made), 1.0) * float("nan")


def ignores_it(self: Game, made: Tensor, real: Tensor) -> Tensor:
    return real.mean()


def takes_typo(self: Game, made: Tensor, reel: Tensor) -> Tensor:
    return towards(self.discriminator(reel), 1.0)


def takes_any(self: Game, made: Tensor, *rest: Tensor) -> Tensor:
    return towards(self.discriminator(made), 1.0)


def takes_made_late(self: Game, real: Tensor, made: Tensor) -> Tensor:
    return towards(self.discriminator(made), 1.0)


def raises(self: Game, made: Tensor) -> Tensor:
    raise ValueError("no scores")


def makes_number(self: Game, noise: Tensor) -> object:
    return 1.0


def makes_list(self: Game, noise: Tensor) -> object:
    return [self.generator(noise)]


def ignores_made(self: Game, real: Tensor) -> Tensor:
    return towards(self.discriminator(real), 1.0)


def makes_vectors(self: Game, noise: Tensor) -> Tensor:
    return self.generator(noise).reshape(noise.shape[0], -1)


def makes_small(self: Game, noise: Tensor) -> Tensor:
    return self.generator(noise)[:, :, :4, :4]


def extractor() -> nn.Cell:
    return nn.SequentialCell(nn.Conv2d(1, 2, 3))


def frozen_loss(self: Game, made: Tensor) -> Tensor:
    return towards(self.discriminator(made), 1.0) + ops.abs(self.features(made)).mean()


def without_smooth(self: Game, player: str, idle: object) -> str:
    return f"{player}_los" if player == "generator" and idle else f"{player}_loss"


def with_other(self: Game, player: str, idle: object) -> str:
    return "other_loss" if player == "generator" and not idle else f"{player}_loss"


def with_further(self: Game, made: Tensor) -> object:
    return towards(self.discriminator(made), 1.0), {"spread": made.std()}


WRONG = {
    "argument": (change(discriminator_loss=takes_typo), {}, r"Changed.discriminator_loss takes 'reel'; a step has real, noise; did you mean 'real'"),
    "starred argument": (change(generator_loss=takes_any), {}, r"Changed.generator_loss: the argument \*rest"),
    "made late": (change(discriminator_loss=takes_made_late), {}, "made must be the first argument"),
    "column": (Plain, {"columns": ("images",)}, "Plain.discriminator_loss takes 'real'; a step has images, noise"),
    "loss per image": (change(generator_loss=per_image), {}, r"float32 scalar, not Float32 of shape \(4,\): call .mean"),
    "loss of numbers": (change(generator_loss=of_numbers), {}, "must be a scalar Tensor, not float"),
    "loss in half": (change(generator_loss=in_half), {}, r"float32 scalar, not Float16 of shape \(\): call .astype"),
    "loss with a list": (change(generator_loss=with_list), {}, "must return a scalar, or"),
    "further vector": (change(generator_loss=with_vector), {}, "'spread' of Changed.generator_loss must be a float32 scalar"),
    "reserved name": (change(generator_loss=with_reserved), {}, "'step' is a reserved key"),
    "name twice": (change(generator_loss=with_clash), {}, "publishes two scalars named 'discriminator_loss'"),
    "nan": (change(generator_loss=of_nan), {}, "Changed.generator_loss is nan before the first step"),
    "no dependence": (change(discriminator_loss=ignores_it), {}, "Changed.discriminator_loss does not depend on the network 'discriminator'"),
    "no use of made": (change(generator_loss=ignores_made), {}, "Changed.generator_loss does not depend on the network 'generator', which the player 'generator' trains: it uses discriminator"),
    "exception": (change(generator_loss=raises), {}, "Changed.generator_loss raised ValueError: no scores"),
    "made a number": (change(make=makes_number), {}, "Changed.make must return a Tensor or a tuple of Tensors, not float"),
    "made a list": (change(make=makes_list), {}, "Changed.make must return a Tensor or a tuple of Tensors, not list"),
    "made vectors": (change(make=makes_vectors, discriminator_loss=lambda self, made, real: towards(self.discriminator(real), 1.0), generator_loss=lambda self, made: made.mean()), {}, r"must return images \(N, C, H, W\)"),
    "other shape": (change(make=makes_small), {}, r"makes images of shape \(1, 4, 4\), but the column 'real' has \(1, 8, 8\)"),
    "compared": (change(compared="reel"), {}, "Changed.compared is 'reel', which is not a column; did you mean 'real'"),
    "no make": (type("NoMake", (Game,), {"generator_loss": per_image, "discriminator_loss": per_image}), {}, "NoMake has no method make"),
    "not a game": (Translator, {}, "game must return a Game, not Translator"),
    "no loss": (Plain, {"players": {"critic": PLAYERS["discriminator"]}}, "Plain has no method critic_loss for the player 'critic'; did you mean 'discriminator_loss'"),
    "unknown network": (Plain, {"players": {**PLAYERS, "generator": Player("genrator", adam)}}, "trains 'genrator', which is not a network; did you mean 'generator'"),
    "untrained network": (Plain, {"players": {"discriminator": PLAYERS["discriminator"]}}, "no player trains the network 'generator'"),
    "unused network": (Plain, {"networks": {**NETWORKS, "extra": extractor}}, "no method of Plain uses the network 'extra'"),
    "network's name": (Plain, {"networks": {**NETWORKS, "make": extractor}}, "a network cannot be named 'make'"),
    "prefix": (Plain, {"networks": {**NETWORKS, "ema": extractor}}, "a network cannot be named 'ema'"),
    "column of chance": (change(chance={"noise": Normal(4), "real": Normal(4)}), {}, "has the name of a column"),
    "column step": (Plain, {"columns": ("real", "step")}, "a column cannot be named 'step'"),
    "network's identifier": (Plain, {"networks": {**NETWORKS, "a b": extractor}}, "a network's name must be an identifier of Python, got 'a b'"),
    "not a network": (Plain, {"networks": {**NETWORKS, "generator": dict}}, "the generator must be a mindspore.nn.Cell, not dict"),
    "chance": (change(chance={"noise": Normal}), {}, "must be a distribution such as Normal"),
    "chance of a function": (change(chance={"noise": lambda rng, count: rng.random()}), {}, "random input 'noise' must be numbers, one row for each of 4 images"),
    "terms": (change(terms=["smooth"]), {}, r"Changed.terms must be a dict of names and numbers of steps, got \['smooth'\]"),
    "steps of a term": (change(terms={"smooth": 0}), {}, r"Changed.terms\['smooth'\] must be a whole number of steps of at least 1, got 0"),
    "name of a term": (change(terms={"generator": 2}), {}, "Changed.terms: 'generator' is the name of a player"),
    "no loss without a term": (change(terms={"smooth": 2}, get_loss=without_smooth), {}, "Changed has no method generator_los for the player 'generator'; did you mean 'generator_loss'"),
    "other scalars without a term": (change(terms={"smooth": 2}, get_loss=with_other, other_loss=with_further), {}, "Changed.generator_loss must publish the same scalars as other_loss, spread, not none"),
    "two averages": (Plain, {"players": {"discriminator": Player("discriminator", adam, ema=0.9), "generator": Player(("generator", "discriminator"), adam, ema=0.9)}}, "two players average the network 'discriminator'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_game_is_refused_in_one_line(name: str) -> None:
    game, changes, message = WRONG[name]
    with pytest.raises(RecipeError, match=message) as caught:
        try_it(game, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Player((), adam), "trains must be the names of different networks"),
        (lambda: Player(("g", "g"), adam), "trains must be the names of different networks"),
        (lambda: Player(3, adam), "trains must be the names of different networks, got 3"),
        (lambda: Player("g", adam, every=0), "every must be a whole number of at least 1, got 0"),
        (lambda: Player("g", adam, ema=1), "ema must be a number between 0 and 1, or None, got 1"),
        (lambda: Player("g", adam, clip_norm=0), "clip_norm must be a number above 0"),
        (lambda: Normal(0), "Normal: a length must be a whole number of at least 1"),
        (lambda: Categorical(1), "classes must be a whole number of at least 2, got 1"),
    ],
)
def test_wrong_players_and_distributions_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make()


def source() -> ArraySource:
    return ArraySource(np.random.default_rng(0).uniform(-1, 1, (20, *SHAPE)).astype(np.float32), 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": {}}, "a game needs networks=..."),
        ({"players": None}, "a game needs players=..."),
        ({"players": {"generator": adam}}, r"players\['generator'\] must be a Player"),
        ({"noise_dim": 3}, "noise_dim does not apply to a game"),
        ({"ema": 0.9}, "ema does not apply to a game"),
        ({"game": Plain()}, "game must be a class or a function that builds it, not an instance"),
        ({"networks": {"generator": Coded(4)}}, r"networks\['generator'\] must be a class or a function"),
        ({"game": None}, "networks=... requires a game"),
        ({"game": None, "networks": {}, "players": {}}, "objective=... is missing"),
    ],
)
def test_a_recipe_tells_games_from_two_players(changes: dict[str, object], message: str) -> None:
    settings = {"game": Plain, "networks": NETWORKS, "players": PLAYERS, "data": source, "epochs": 1}
    with pytest.raises(RecipeError, match=message):
        Recipe(**(settings | changes))


def test_a_network_that_nobody_trains_may_be_frozen() -> None:
    game = change(generator_loss=frozen_loss)
    with pytest.raises(RecipeError, match=r"no player trains the network 'features': .*freeze\("):
        try_it(game, {**NETWORKS, "features": extractor})
    players = Players(game, {**NETWORKS, "features": freeze(extractor)}, PLAYERS)
    players.prepare(Columns(("real",)))
    before = players.weights()
    batch = next(Columns(("real",)).batches(0, 1))
    players.train_step({**batch, "noise": np.ones((4, 4), np.float32)})
    after = players.weights()
    changed = {name.partition(".")[0] for name in before if not np.array_equal(before[name], after[name])}
    assert {"generator", "discriminator"} <= changed and "features" not in changed


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"evaluation": Evaluation({"l1": l1}, samples=8)}, UsageError, "'l1' compares each generated image with its target"),
        ({"callbacks": [EarlyStopping("generator_loss", mode="min")]}, GanError, "a player's loss does not measure quality"),
        ({"callbacks": [EarlyStopping("d_real", target=0.5)]}, GanError, "unknown monitor 'd_real'; .*discriminator_loss"),
        ({"data": pairs(a=np.zeros((8, 1, 8, 8), np.uint8), b=np.zeros((8, 1, 8, 8), np.uint8), batch_size=4)}, RecipeError, "takes 'real'; a step has a, b, noise"),
    ],
)  # fmt: skip
def test_callbacks_metrics_and_data_that_do_not_fit_a_game_are_refused(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    runner = Runner(game=Plain, networks=NETWORKS, players=PLAYERS, out_dir="run")
    with pytest.raises(error, match=message):
        runner.train(1, **({"data": source(), "quiet": True} | arguments))
    assert not Path("run").exists()


def test_pairs_of_other_games_are_told_what_they_lack() -> None:
    runner = Runner(
        game=Pix2Pix,
        networks={"generator": Translator, "discriminator": partial(Patches, 2)},
        players=PLAYERS,
        out_dir="run",
    )
    with pytest.raises(RecipeError, match=r"Pix2Pix\.make takes 'source'; a step has real"):
        runner.train(1, source(), quiet=True)
    with pytest.raises(UsageError, match=r"makes images from the column 'source': pass columns=\{'source'"):
        runner.sample(2)
    with pytest.raises(UsageError, match="no network 'critic'; available: generator, discriminator"):
        runner._players.get_network("critic")
    with pytest.raises(DataError, match="differ in length"):
        runner.sample(2, columns={"source": np.zeros((2, 1, 8, 8)), "target": np.zeros((3, 1, 8, 8))})


def test_grids_of_what_is_not_an_image_are_refused(images: np.ndarray) -> None:
    class Halves(Plain):
        def picture(self, made: Tensor) -> Tensor:
            return ops.concat((made, made), 1)

    runner = Runner(game=Halves, networks=NETWORKS, players=PLAYERS, out_dir="run")
    with pytest.raises(
        GanError, match=r"ImageGrid requires images of shape \(1, H, W\) or \(3, H, W\).* \(2, 8, 8\)"
    ):
        runner.train(1, source(), [ImageGrid()], quiet=True)


def test_metrics_measure_the_images_of_a_game() -> None:
    runner = Runner(game=Plain, networks=NETWORKS, players=PLAYERS, out_dir="run")

    def brightness(real: object, fake: object) -> float:
        return float(fake.images.mean())  # type: ignore[attr-defined]

    evaluation = Evaluation({"brightness": brightness}, samples=20, extractor=thumbnails)
    result = runner.train(1, source(), evaluation=evaluation, quiet=True)
    expected = np.rint((runner.sample(20, "evaluation") + 1) * 127.5).mean()
    assert result.metrics["brightness"] == pytest.approx(expected, abs=0.01)
