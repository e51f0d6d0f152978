"""A run that saves all the time is killed at random instants, again and again, and loses nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from processes import digest, finish, is_listening, saved, start, uninterrupted, wait_until, write_recipe

from ms_gan_callbacks import Runner
from ms_gan_callbacks.config.recipe import load_recipe
from ms_gan_callbacks.storage.checkpoints import CheckpointStore

RUN = Path("run")
KILLS = 16


def go_on() -> subprocess.Popen[str]:
    """Go on with the run, or begin it where no kill has let it begin."""
    command = ["resume", "run"] if (RUN / "run.json").exists() else ["run", str(write_recipe()), "--out", "run"]
    return start(*command, "--quiet")


def newest(names: set[str]) -> int:
    """Return the newest step that has a checkpoint."""
    return max((int(name.removeprefix("step-")) for name in names if name.startswith("step-")), default=0)


def kill(process: subprocess.Popen[str], draw: random.Random) -> str:
    """Kill a process at a random instant: most often around a save, else while it starts up; return when."""
    before = saved(RUN)
    if draw.random() < 0.2:
        when, wait = "starting up", draw.uniform(0, 2.5)
        wait_until(lambda: is_listening(process), process)
    elif draw.random() < 0.5:
        when, wait = "in a draft", draw.uniform(0, 0.004)
        wait_until(lambda: any(name.endswith(".tmp") for name in saved(RUN) - before), process)
    else:
        when, wait, saves = "after a save", draw.uniform(0, 0.03), draw.randint(1, 5)
        wait_until(lambda: newest(saved(RUN)) >= newest(before) + saves, process)
    time.sleep(wait)
    assert process.poll() is None, f"it ended by itself: {process.communicate()}"
    process.kill()
    code, _, errors = finish(process)
    assert code == -signal.SIGKILL
    assert not errors or "training starts from the first step" in errors, errors
    return when


def history() -> list[int]:
    """Return the steps that the run was resumed from."""
    return [entry["from_step"] for entry in json.loads((RUN / "run.json").read_bytes()).get("history", [])]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_a_run_that_is_killed_again_and_again_goes_on_from_its_newest_checkpoint(seed: int) -> None:
    draw = random.Random(seed)
    like = Runner.from_recipe(load_recipe(write_recipe()), "other")._players.weights()
    store = CheckpointStore(RUN / "checkpoints")
    digests: dict[int, str] = {}
    times: dict[str, int] = {}
    step, resumes = 0, list[int]()
    for _ in range(KILLS):
        when = kill(go_on(), draw)
        times[when] = times.get(when, 0) + 1
        if (RUN / "run.json").exists():
            assert history() in (resumes, [*resumes, step]), "it went on from something else than it had"
            resumes = history()
        found = store.load_newest(like)  # a damaged one would warn, and warnings are errors here
        assert (found.step if found else 0) >= step
        if found:
            step = found.step
            digests[step] = digest(found.weights)
            assert found.state["progress"]["step"] == step
            for player in ("g_optimizer", "d_optimizer"):
                assert found.weights[f"{player}.global_step"].tolist() == [step]
    assert len(times) == 3 and len(digests) > KILLS // 3, "the kills fell where they prove little"
    process = go_on()
    wait_until(lambda: newest(saved(RUN)) >= step + 3, process)
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process)
    assert code == 130, errors
    last = store.load_newest(like)
    assert last is not None and last.step > step
    digests[last.step] = digest(last.weights)
    print(f"{times}; {len(resumes)} resumes; {len(digests)} checkpoints compared, the last at step {last.step}")
    assert uninterrupted(digests) == digests
    ours, whole = ((Path(name) / "metrics.jsonl").read_bytes() for name in ("run", "whole"))
    assert ours and whole.startswith(ours)
    assert not [path for path in RUN.rglob(".*") if path.name != ".lock"], "leftovers were not swept up"
