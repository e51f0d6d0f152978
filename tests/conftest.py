"""What the tests share: a GAN that trains in no time, and a clean surrounding for each test."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Collection, Hashable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path

# Before anything imports MindSpore.
os.environ.setdefault("GLOG_v", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # several processes share the cores
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started behind a shell's "&", whose children ignore Ctrl-C: the processes that tests interrupt must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import numpy as np
import pytest
from mindspore import Tensor, nn

from ms_gan_callbacks import Callback, NonSaturating, Run, Runner
from ms_gan_callbacks.models.networks import Network
from ms_gan_callbacks.models.settings import Method
from ms_gan_callbacks.models.two_players import TwoPlayers
from ms_gan_callbacks.testing.tiny import TinyDiscriminator, TinyGenerator

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "mnist_mlp.py"

# Hypothesis lets a test fail if an example takes more than 200 ms, as any does on a busy machine.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: pass --slow"))


def pytest_collection_finish() -> None:
    # MindSpore collects garbage before it compiles anything: spare it all that was imported.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def clean_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache is not used: not by the fixtures of a module, either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own working directory and its own cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class StopsAt(Callback):
    """Asks a run to stop after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_step_end(self, run: Run) -> None:
        if run.step == self.step:
            run.stop("enough")


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Return 20 images of shape (1, 4, 4): five batches of 4."""
    return np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)


adam = partial(nn.Adam, learning_rate=1e-2)


def tiny_players(
    generator: object = TinyGenerator, discriminator: object = TinyDiscriminator, **changes: object
) -> TwoPlayers:
    """Return players of the tiny GAN, or of other networks, by its method with changes."""
    settings: dict = {"objective": NonSaturating(), "optimizer": adam, "noise_dim": 3}
    return TwoPlayers(generator, discriminator, Method(**(settings | changes)))


def train_step(
    players: TwoPlayers,
    real: np.ndarray,
    noise: np.ndarray,
    labels: np.ndarray | None = None,
    drawn: np.ndarray | None = None,
    both: bool = True,
) -> Tensor:
    """Update both players, or the discriminator only; return the scalars on the device."""
    inputs = {"real": real, "noise": noise, "labels": labels, "penalty": drawn}
    given = {name: value for name, value in inputs.items() if value is not None}
    return players.train_step(given, ("d", "g") if both else ("d",))


class Itself:
    """Stands for an object that equals no other."""

    def __init__(self, value: object) -> None:
        self.value = value  # kept alive, so that its id stays its own

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def ingredients(value: object) -> Hashable:
    """Return what is equal for two values of which the same graph is compiled."""
    if isinstance(value, partial):
        named = sorted((name, ingredients(one)) for name, one in value.keywords.items())
        return ("partial", ingredients(value.func), tuple(map(ingredients, value.args)), tuple(named))
    if is_dataclass(value) and not isinstance(value, type):
        kept = [field.name for field in fields(value) if field.name != "seed"]
        return (type(value), tuple((name, ingredients(getattr(value, name))) for name in kept))
    if isinstance(value, dict):
        return ("dict", tuple((name, ingredients(one)) for name, one in value.items()))
    if value is None or isinstance(value, (bool, int, float, str)):
        return (type(value), value)
    name = getattr(value, "__qualname__", "<")
    if "<" not in name and value.__module__.startswith("ms_gan_recipe_"):
        return (
            value.__module__,
            name,
        )  # made anew each time the recipe is loaded; the module is named by its text
    return Itself(value)


class CompiledPlayers:
    """Players that earlier tests have trained: what takes one to three seconds is to compile them.

    They get every parameter that new ones have, and are tried on their first batch again. No two runners of a test
    share them, unless it calls :meth:`free_all` between them.
    """

    MOST = 12
    """Of so many makes they are kept, those that were asked for most often: each takes some 30 MB."""

    def __init__(self) -> None:
        self.asked = Counter[Hashable]()
        self.free: dict[Hashable, list[TwoPlayers]] = {}
        self.taken: list[tuple[Hashable, TwoPlayers]] | None = (
            None  # outside of tests nobody says when they are free
        )

    def make(self, generator: Network, discriminator: Network, method: Method) -> TwoPlayers:
        """Return free players of this make, or new ones."""
        new = TwoPlayers(generator, discriminator, method)
        if self.taken is None or isinstance(generator, nn.Cell) or isinstance(discriminator, nn.Cell):
            return new
        settings = Method(**{field.name: getattr(method, field.name) for field in fields(Method)})
        make = (ingredients(generator), ingredients(discriminator), ingredients(settings))
        self.asked[make] += 1
        players = self.free[make].pop() if self.free.get(make) else new
        if players is not new:
            players.load_weights(new.weights())
            players.method, players.seed = method, method.seed  # the same but for its seed
        self.taken.append((make, players))
        return players

    def free_all(self, but: Collection[TwoPlayers] = ()) -> None:
        """Let other runners have the players that were taken until now, which nobody may use any more."""
        kept = [(make, players) for make, players in self.taken or () if any(players is one for one in but)]
        for make, players in self.taken or ():
            if (make, players) not in kept:
                self.free.setdefault(make, []).append(players)
        while len(self.free) > self.MOST:
            del self.free[min(self.free, key=self.asked.__getitem__)]
        self.taken = kept


compiled_players = CompiledPlayers()


@pytest.fixture(autouse=True)
def reused_players(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train with players that an earlier test has compiled, and leave them to the next one.

    ``@pytest.mark.fresh_players`` compiles them, as a run in a process of its own does.
    """
    if "fresh_players" not in request.keywords:
        monkeypatch.setattr("ms_gan_callbacks.models.two_players.TwoPlayers", compiled_players.make)
    compiled_players.taken = []
    yield
    compiled_players.free_all()
    compiled_players.taken = None


def tiny_runner(out_dir: Path | str = "run", *, fresh: bool = False, **changes: object) -> Runner:
    """Return a runner of the tiny GAN.

    Args:
        out_dir: its folder.
        fresh: whether it has to compile its players, as a run does in a process of its own.
        **changes: to the runner's arguments.
    """
    settings: dict = {
        "generator": TinyGenerator,
        "discriminator": TinyDiscriminator,
        "objective": NonSaturating(),
        "optimizer": adam,
        "noise_dim": 3,
        "out_dir": out_dir,
    }
    with pytest.MonkeyPatch.context() as patch:
        if fresh:
            patch.setattr("ms_gan_callbacks.models.two_players.TwoPlayers", TwoPlayers)
        return Runner(**(settings | changes))


def weights_of(runner: Runner) -> dict[str, np.ndarray]:
    """Return a copy of every parameter of a runner."""
    return runner._players.weights()


def assert_same_weights(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    """Fail unless both hold the same parameters to the bit."""
    assert left.keys() == right.keys()
    different = [name for name in left if left[name].tobytes() != right[name].tobytes()]
    assert not different
