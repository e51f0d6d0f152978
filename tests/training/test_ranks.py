"""Runs by several processes: the same results as one process, and agreement of the ranks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.models.world import World, get_world

JOB = Path(__file__).with_name("rank_job.py")
CLOSE = 1e-6
DEADLINE = 900  # a hang, on any machine
LAUNCH = (
    "import sys; from ms_gan_callbacks.cli.launcher import launch; "
    "sys.exit(launch(2, [sys.executable, *sys.argv[1:]]))"
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the results of the job in one process and in two ranks."""
    folder = tmp_path_factory.mktemp("job")

    def run(*command: str) -> None:
        subprocess.run([sys.executable, *command], check=True, timeout=DEADLINE, cwd=folder)

    run(str(JOB), str(folder))
    shutil.copytree(folder / "1" / "plain", folder / "resumed-2")
    run("-c", LAUNCH, str(JOB), str(folder))
    shutil.copytree(folder / "2" / "plain", folder / "resumed-1")
    shutil.rmtree(folder / "1")
    run(str(JOB), str(folder), "resumed")
    return folder


def load(job: Path, name: str, size: int, rank: int) -> Mapping[str, np.ndarray]:
    return dict(np.load(job / f"{name}-{size}-{rank}.npz"))


def find_difference(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> float:
    assert left.keys() == right.keys()
    return max(float(np.abs(left[name].astype(float) - right[name]).max()) for name in left)


def list_different(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> list[str]:
    return [name for name in left if left[name].tobytes() != right[name].tobytes()]


SAME = ["plain", "penalty", "synchronised", "game"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_two_ranks_train_what_one_process_does(job: Path, name: str) -> None:
    assert find_difference(load(job, name, 1, 0), load(job, name, 2, 0)) < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_ranks_have_the_same_parameters_to_the_bit(job: Path, name: str) -> None:
    assert not list_different(load(job, name, 2, 0), load(job, name, 2, 1))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
def test_a_run_is_resumed_with_another_number_of_ranks(job: Path, size: int) -> None:
    resumed = load(job, "resumed", size, 0)
    whole = load(job, "plain", 1, 0)
    assert find_difference(dict(whole, scalars=resumed["scalars"]), resumed) < CLOSE


@pytest.mark.slow
def test_statistics_of_a_part_of_the_batch_differ_but_trained_weights_do_not(job: Path) -> None:
    whole, first, second = (load(job, "statistics", *place) for place in ((1, 0), (2, 0), (2, 1)))
    different = list_different(first, second)
    assert different and all("moving_" in name for name in different)
    assert first["step"] == 200
    assert find_difference(whole, first) > CLOSE  # other mathematics


@pytest.mark.slow
def test_a_stop_ends_all_ranks_at_the_same_step(job: Path) -> None:
    assert [int(load(job, "plain", 2, rank)["step"]) for rank in (0, 1)] == [12, 12]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seed", "rank 1 differs from rank 0 in: seed"),
        ("data", "rank 1 differs from rank 0 in: data"),
        ("odd", "a batch of 5 cannot be divided among 2 ranks: choose a batch size of 4 or 6"),
    ],
)
def test_ranks_that_differ_are_named_before_anything_is_written(job: Path, name: str, words: str) -> None:
    for rank in (0, 1):
        assert words in (job / f"{name}-{rank}.txt").read_text()
    assert not (job / f"refused-{name}").exists()


def test_a_world_of_one_changes_nothing() -> None:
    world, rows = get_world(), np.arange(6)
    assert (world.rank, world.size, world.leads) == (0, 1, True)
    assert world.part(rows, 6) is rows
    assert world.mean() is None
    assert list(world.agree([1.0, 2.0])) == [1, 2]
    world.same({"seed": "1"})
    assert world.share("runs/a") == "runs/a"
    world.check_divides(7)


def test_parts_are_the_batch() -> None:
    rows = np.arange(12).reshape(6, 2)
    parts = [World(rank, 3).part(rows, 6) for rank in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert all(part.flags.c_contiguous for part in parts)
    step = np.array(3.0)
    assert World(1, 3).part(step, 6) is step


@pytest.mark.parametrize(("batch", "sizes"), [(7, "6 or 9"), (2, "of 3")])
def test_a_batch_must_be_divisible(batch: int, sizes: str) -> None:
    with pytest.raises(UsageError, match=rf"a batch of {batch} cannot be divided among 3 ranks: .*{sizes}"):
        World(0, 3).check_divides(batch)
