"""What the tests share: a GAN that trains in no time, and a clean surrounding for each test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

# Before anything imports MindSpore.
os.environ.setdefault("GLOG_v", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # several processes share the cores
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started behind a shell's "&", whose children ignore Ctrl-C: the processes that tests interrupt must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from mindspore import nn

from ms_gan_callbacks import Callback, NonSaturating, Run, Runner
from ms_gan_callbacks.method import Method
from ms_gan_callbacks.testing.tiny import TinyDiscriminator, TinyGenerator
from ms_gan_callbacks.training import Players

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "mnist_mlp.py"


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
) -> Players:
    """Return players of the tiny GAN, or of other networks, by its method with changes."""
    settings: dict = {"objective": NonSaturating(), "optimizer": adam, "noise_dim": 3}
    return Players(generator, discriminator, Method(**(settings | changes)))


class CompiledPlayers:
    """Players of the tiny GAN that earlier tests have trained: what takes two seconds is to compile them.

    No two runners of a test share them.
    """

    def __init__(self) -> None:
        self.free: list[Players] = []
        self.taken: list[Players] | None = None  # outside of a test nobody says when they are free again

    def instead_of(self, new: Players) -> Players:
        """Return free ones that have every parameter as the new ones have it; these if none are free."""
        if self.taken is None:
            return new
        players = self.free.pop() if self.free else new
        players.load_weights(new.weights())
        players.method = new.method  # the same but for its seed
        self.taken.append(players)
        return players


compiled_players = CompiledPlayers()


@pytest.fixture(autouse=True)
def freed_players() -> Iterator[None]:
    """Leave the players that a test has trained to the next one."""
    compiled_players.taken = []
    yield
    compiled_players.free += compiled_players.taken
    compiled_players.taken = None


def tiny_runner(out_dir: Path | str = "run", *, fresh: bool = False, **changes: object) -> Runner:
    """Return a runner of the tiny GAN.

    Args:
        out_dir: its folder.
        fresh: whether it has to compile its players, as a run does in a process of its own. One that resumes
            always has to, and one that is made of anything else.
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
    runner = Runner(**(settings | changes))
    if not fresh and changes.keys() <= {"seed", "interruption"}:
        runner._players = compiled_players.instead_of(runner._players)
    return runner


def weights_of(runner: Runner) -> dict[str, np.ndarray]:
    """Return a copy of every parameter of a runner."""
    return runner._players.weights()


def assert_same_weights(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    """Fail unless both hold the same parameters to the bit."""
    assert left.keys() == right.keys()
    different = [name for name in left if left[name].tobytes() != right[name].tobytes()]
    assert not different
