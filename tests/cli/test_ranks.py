"""``--ranks``: runs of several processes that are killed, interrupted or fail end as one process would."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from processes import TINY_GAN, finish, saved, start, wait_until

from ms_gan_callbacks.cli import main
from ms_gan_callbacks.cli.launcher import Rank, launch
from ms_gan_callbacks.storage.checkpoint_files import FILES, read_checked, read_manifest

PROMISED = 15.0
DEADLINE = 300.0  # a hang, on any machine
RECIPE = (
    TINY_GAN
    + '''

class Trouble(Callback):
    """Does on rank 0, at step 3, what a test asks for."""

    def __init__(self, kind):
        self.kind = kind

    def on_train_step_end(self, run):
        if run.step == 3 and self.kind == "long evaluation":
            time.sleep(33)
        if run.step == 3 and self.kind == "full disk":
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


class Damaged(ArraySource):
    def batches(self, seed, epoch, start=0):
        for batch in super().batches(seed, epoch, start):
            if epoch == 2 and os.environ.get("RANK_ID") == "1":
                raise DataError("the disk of this rank is damaged")
            yield batch


def damaged():
    return Damaged(np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8), batch_size=4)


def recipe(epochs: int = 100_000, trouble: str = ""):
    data = damaged if trouble == "damaged disk" else images
    return tiny_gan(epochs, [Checkpoint(Every.steps(1), keep=3), Trouble(trouble)], data)
'''
)


@pytest.fixture
def recipe() -> str:
    Path("tiny.py").write_text(RECIPE)
    return "tiny.py"


def start_ranks(recipe: str, left: list[psutil.Process], trouble: str = "") -> subprocess.Popen[str]:
    """Start a run of two ranks, which ends with its launcher when the test fails."""
    job = start("run", recipe, "--out", "run", "--ranks", "2", "--set", f"trouble={trouble}")
    left.append(psutil.Process(job.pid))
    return job


def list_members(job: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """Return the processes of a job: "scheduler", "0" and "1"."""
    found = {}
    for process in psutil.Process(job.pid).children(recursive=True):
        environment = process.environ()
        if "MS_ROLE" in environment:
            found[environment.get("RANK_ID", "scheduler")] = process
    return found


@pytest.fixture
def nothing_left() -> Iterator[list[psutil.Process]]:
    """Collects processes, all of which must have ended when the test ends."""
    members: list[psutil.Process] = []
    yield members
    gone, alive = psutil.wait_procs(members, timeout=5)
    for process in alive:
        process.kill()
    assert not alive
    assert len(gone) == len(members)


def check_newest_checkpoint() -> int:
    """Return the step of the newest checkpoint, after verifying its digests."""
    steps = sorted(int(name[5:]) for name in saved(Path("run")) if name.startswith("step-"))
    folder = Path("run/checkpoints") / f"step-{steps[-1]:08d}"
    manifest = read_manifest(folder, steps[-1])
    for name in FILES:
        read_checked(folder / name, manifest["files"][name])
    return steps[-1]


def wait_for_steps(job: subprocess.Popen[str]) -> None:
    """Wait until a run has saved, and then for a random time."""
    wait_until(lambda: saved(Path("run")), job, DEADLINE)
    time.sleep(random.uniform(0, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["0", "1"])
def test_a_killed_rank_ends_the_run(recipe: str, victim: str, nothing_left: list[psutil.Process]) -> None:
    job = start_ranks(recipe, nothing_left)
    wait_for_steps(job)
    members = list_members(job)
    nothing_left += members.values()
    assert set(members) == {"scheduler", "0", "1"}
    ports = [one for member in members.values() for one in member.net_connections() if one.status == "LISTEN"]
    assert ports and {one.laddr.ip for one in ports} == {"127.0.0.1"}
    killed = time.monotonic()
    members[victim].kill()
    code, _, errors = finish(job, DEADLINE)
    assert (code, time.monotonic() - killed < PROMISED) == (1, True)
    assert f"rank {victim} was killed by SIGKILL" in errors
    assert "resume with: ms-gan resume run" in errors
    assert check_newest_checkpoint() >= 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "trouble"), [(signal.SIGINT, ""), (signal.SIGTERM, "long evaluation")])
def test_a_signal_ends_all_ranks_after_the_step(
    recipe: str, number: int, trouble: str, nothing_left: list[psutil.Process]
) -> None:
    job = start_ranks(recipe, nothing_left, trouble)
    wait_for_steps(job)
    nothing_left += list_members(job).values()
    if trouble:
        wait_until(lambda: "step-00000004" in saved(Path("run")), job, DEADLINE)
    job.send_signal(number)
    code, _, errors = finish(job, DEADLINE)
    assert code == 128 + number
    step = check_newest_checkpoint()
    assert f"interrupted and saved at step {step:,}; resume with: ms-gan resume run" in errors
    assert "Traceback" not in errors and "rank 1" not in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("damaged disk", "rank 1: Error: the disk of this rank is damaged"),
        ("full disk", "cannot save a checkpoint at step 3"),
    ],
)
def test_a_failing_rank_ends_the_run(
    recipe: str, trouble: str, words: str, nothing_left: list[psutil.Process]
) -> None:
    job = start_ranks(recipe, nothing_left, trouble)
    wait_until(lambda: saved(Path("run")), job, DEADLINE)
    nothing_left += list_members(job).values()
    code, _, errors = finish(job, DEADLINE)
    assert code == 1
    assert words in errors
    assert check_newest_checkpoint() >= 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_ranks_end_with_their_launcher(recipe: str, nothing_left: list[psutil.Process]) -> None:
    job = start_ranks(recipe, nothing_left)
    wait_until(lambda: len(list_members(job)) == 3, job, DEADLINE)
    nothing_left += list_members(job).values()
    job.kill()
    job.communicate()


def test_an_error_of_all_ranks_is_reported_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print('Error: no such data', file=sys.stderr); sys.exit(2)"
    assert launch(2, [sys.executable, "-c", program]) == 2
    assert capfd.readouterr().err == "Error: no such data\n"


def test_the_end_of_a_rank_closes_its_log(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("w+b")
    rank = Rank(
        "rank 1", subprocess.Popen([sys.executable, "-c", "print(1)"], stdout=log, start_new_session=True), log
    )
    rank.process.wait()
    assert rank.read_end() == ["1"]
    rank.kill()
    assert log.closed


@pytest.mark.slow
def test_a_rank_that_fails_alone_is_named_with_its_last_lines(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import os, sys, time; r = os.environ['RANK_ID']; print('line of', r); "
        "time.sleep(60 * (r == '0')); sys.exit(3)"
    )
    assert launch(2, [sys.executable, "-c", program], Path("a b")) == 1
    errors = capfd.readouterr().err
    assert "Error: rank 1 failed with exit code 3, so all ranks were ended" in errors
    assert "resume with: ms-gan resume 'a b'" in errors
    assert "rank 1: line of 1" in errors


def test_a_rank_is_not_started_again() -> None:
    job = {**os.environ, "MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "4"}
    command = [sys.executable, "-m", "ms_gan_callbacks", "run", "mnist_mlp", "--ranks", "2"]
    done = subprocess.run(command, env=job, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--ranks 2 does not match the 4 processes of this job" in done.stderr


def test_a_recipe_that_does_not_exist_starts_nothing() -> None:
    result = CliRunner().invoke(main, ["run", "mnist_mpl", "--ranks", "2"])
    assert result.exit_code == 2
    assert "mnist_mlp" in result.output


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_the_number_of_ranks_is_checked(number: str) -> None:
    result = CliRunner().invoke(main, ["run", "mnist_mlp", "--ranks", number])
    assert result.exit_code == 2
    assert "--ranks" in result.output
